/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/first.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/watched.h"

static const char cpus_file[] = "cpuset.cpus";

static void group_name(const struct vp_thread *thread, char *name, size_t size)
{
    if (thread->role == VP_ROLE_VCPU)
        snprintf(name, size, "vcpu%u", thread->index);
    else if (thread->role == VP_ROLE_IOTHREAD)
        snprintf(name, size, "iothread%u", thread->index);
    else
        snprintf(name, size, "emulator");
}

/* The group's name in ROOT/NAME/cpuset.cpus, and its length; NULL: another file. */
static const char *group_in(const struct vp_watched *guest, const char *where, size_t *length)
{
    size_t root = strlen(guest->root);
    const char *name = where + root + 1, *slash;

    if (root == 0 || strncmp(where, guest->root, root) != 0 || where[root] != '/')
        return NULL;
    slash = strchr(name, '/');
    if (!slash || strcmp(slash + 1, cpus_file) != 0)
        return NULL;
    *length = (size_t)(slash - name);
    return name;
}

static bool is_of(const struct vp_thread *thread, const char *name, size_t length)
{
    char own[32];

    group_name(thread, own, sizeof(own));
    return strlen(own) == length && memcmp(own, name, length) == 0;
}

bool vp_first_is_cpus(const struct vp_watched *guest, const char *where)
{
    size_t length;
    const char *name = group_in(guest, where, &length);

    for (size_t i = 0; name && i < guest->threads.count; i++)
        if (is_of(&guest->threads.item[i], name, length))
            return true;
    return false;
}

/* Its time is not there yet. */
static bool waits(const struct vp_case *seen, int64_t now_ms)
{
    return seen->standing && seen->contest.contested && seen->contest.next_repair_ms > now_ms;
}

static bool write_waits(const struct vp_watched *guest, const struct vp_write *write,
                        int64_t now_ms)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        const struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind == VP_DRIFT_CPUSET && waits(seen, now_ms) &&
            strcmp(seen->record.where, write->where) == 0)
            return true;
    }
    return false;
}

static bool call_waits(const struct vp_watched *guest, const struct vp_thread *thread,
                       int64_t now_ms)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        const struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind == VP_DRIFT_AFFINITY && waits(seen, now_ms) &&
            seen->record.role == thread->role && seen->record.index == thread->index)
            return true;
    }
    return false;
}

static bool all_simple(const struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->write_room; i++) {
        const struct vp_write *write = &guest->write[i];

        if (write->at_us != 0 && !write->taken &&
            (!write->foreign || !vp_first_is_cpus(guest, write->where)))
            return false;
    }
    for (size_t i = 0; i < guest->call_count; i++) {
        const struct vp_call *call = &guest->calls[i];

        if (!call->taken && (!call->foreign || call->scheduler || call->moved ||
                             !vp_watched_knows(guest, call->tid)))
            return false;
    }
    return true;
}

/* Whether something happened to the thread; its contest may say to wait. */
static bool concerned(const struct vp_watched *guest, const struct vp_thread *thread,
                      int64_t now_ms, bool *contested)
{
    const struct vp_call *call = vp_watched_call(guest, thread->tid);
    bool found = false;

    if (call && !call->taken) {
        if (call_waits(guest, thread, now_ms))
            *contested = true;
        else
            found = true;
    }
    for (size_t i = 0; i < guest->write_room; i++) {
        const struct vp_write *write = &guest->write[i];
        size_t length;
        const char *name;

        if (write->at_us == 0 || write->taken)
            continue;
        name = group_in(guest, write->where, &length);
        if (!name || !is_of(thread, name, length))
            continue;
        if (write_waits(guest, write, now_ms))
            *contested = true;
        else
            found = true;
    }
    return found;
}

bool vp_first_threads(const struct vp_watched *guest, int64_t now_ms, struct vp_threads *threads,
                      bool *contested)
{
    *contested = false;
    threads->pid = guest->row.pid;
    if (!all_simple(guest))
        return false;
    threads->item = calloc(guest->threads.count + 1, sizeof(*threads->item));
    if (!threads->item)
        return false;
    for (size_t i = 0; i < guest->threads.count; i++)
        if (concerned(guest, &guest->threads.item[i], now_ms, contested))
            threads->item[threads->count++] = guest->threads.item[i];
    return true;
}

void vp_first_taken(struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->write_room; i++)
        guest->write[i].taken = true;
    for (size_t i = 0; i < guest->call_count; i++)
        guest->calls[i].taken = true;
}
