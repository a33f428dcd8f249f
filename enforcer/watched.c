/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/watched.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"

static void parse_would(struct vp_watched *guest)
{
    struct vp_error err = {0};

    vp_plan_free(guest->would);
    guest->would = NULL;
    if (guest->row.would && vp_plan_parse(guest->row.would, &guest->would, &err) < 0)
        guest->would = NULL; /* of another major version: nothing to compare with */
}

struct vp_watched *vp_watched_new(struct vp_guest_row *row)
{
    struct vp_watched *guest = calloc(1, sizeof(*guest));

    if (!guest)
        return NULL;
    guest->row = *row;
    *row = (struct vp_guest_row){0};
    guest->status_changed = true;
    guest->plan_since_ms = vp_now_ms();
    parse_would(guest);
    return guest;
}

void vp_watched_free(struct vp_watched *guest)
{
    if (!guest)
        return;
    vp_guest_row_clear(&guest->row);
    vp_plan_free(guest->would);
    vp_status_free(guest->status);
    free(guest->iothread);
    vp_packed_clear(&guest->pins);
    vp_pins_clear(&guest->before);
    vp_threads_clear(&guest->threads);
    vp_threads_clear(&guest->followed);
    free(guest->mask);
    free(guest->follow);
    free(guest->calls);
    free(guest->cases);
    free(guest);
}

void vp_watched_row(struct vp_watched *guest, struct vp_guest_row *row)
{
    bool other_process = row->pid != guest->row.pid || row->pid_start != guest->row.pid_start;

    if (row->gen != guest->row.gen)
        guest->plan_since_ms = vp_now_ms();
    vp_guest_row_clear(&guest->row);
    guest->row = *row;
    *row = (struct vp_guest_row){0};
    guest->resolved = false;
    parse_would(guest);
    if (other_process) {
        guest->status_changed = true;
        guest->root[0] = '\0';
        free(guest->follow);
        guest->follow = NULL;
        vp_threads_clear(&guest->threads);
    }
}

bool vp_watched_audit(const struct vp_watched *guest)
{
    return guest->would || (guest->row.plan && guest->row.plan->mode == VP_MODE_AUDIT);
}

const struct vp_plan *vp_watched_plan(const struct vp_watched *guest)
{
    if (guest->row.unplaced)
        return NULL;
    return guest->would ? guest->would : guest->row.plan;
}

static bool same_pins(const struct vp_pins *a, const struct vp_pins *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct vp_pin *other = vp_pins_find(b, a->item[i].role, a->item[i].index);

        if (!other || !vp_cpuset_equal(&a->item[i].cpus, &other->cpus))
            return false;
    }
    return true;
}

/* Sets of CPUs are large, and of the wants no more is needed than this. */
static int note_wants(struct vp_watched *guest, struct vp_plan *plan)
{
    unsigned *iothread = calloc(plan->want_count + 1, sizeof(*iothread));

    if (!iothread)
        return -1;
    free(guest->iothread);
    guest->iothread = iothread;
    guest->iothread_count = 0;
    for (size_t i = 0; i < plan->want_count; i++)
        if (plan->want[i].role == VP_ROLE_IOTHREAD)
            iothread[guest->iothread_count++] = plan->want[i].index;
    guest->wants = plan->want_count > 0;
    free(plan->want);
    plan->want = NULL;
    plan->want_count = 0;
    return 0;
}

/* `pins` is taken over where it is other than what was wanted so far. */
static int take_pins(struct vp_watched *guest, struct vp_pins *pins, int64_t now_ms, bool *changed)
{
    struct vp_pins before = {0};

    if (vp_packed_get(&guest->pins, &before) < 0)
        return -1;
    if (same_pins(pins, &before)) {
        vp_pins_clear(&before);
        return 0;
    }
    if (vp_packed_set(&guest->pins, pins) < 0) {
        vp_pins_clear(&before);
        return -1;
    }
    vp_pins_clear(&guest->before);
    guest->before = before;
    guest->pins_since_ms = now_ms;
    guest->told = false;
    *changed = true;
    return 0;
}

int vp_watched_resolve(struct vp_watched *guest, const struct vp_cpuset *pool, int64_t now_ms,
                       bool *changed)
{
    const struct vp_plan *plan = vp_watched_plan(guest);
    struct vp_pins pins = {0};
    int result;

    *changed = false;
    if (guest->resolved)
        return 0;
    if (plan && vp_plan_resolve(plan, pool, &pins) < 0)
        return -1;
    result = take_pins(guest, &pins, now_ms, changed);
    vp_pins_clear(&pins);
    if (result == 0 && guest->row.plan)
        result = note_wants(guest, guest->row.plan);
    guest->resolved = result == 0;
    return result;
}

int vp_watched_refresh(struct vp_watched *guest, struct vp_engine *engine, struct vp_error *err)
{
    struct vp_status *status = NULL;
    struct vp_error root_err = {0};

    if (guest->status_changed || !guest->status) {
        if (vp_status_load(engine->status_dir, guest->row.name, &status, err) < 0)
            return -1;
        vp_status_free(guest->status);
        guest->status = status;
        guest->status_changed = false;
    }
    if (guest->root[0] || engine->cgroups.version == VP_CGROUP_NONE)
        return 0;
    if (vp_cgroup_guest_root(&engine->cgroups, guest->row.pid, guest->root, sizeof(guest->root),
                             &root_err) < 0) {
        guest->root[0] = '\0';
        if (root_err.code == VP_GONE)
            return vp_fail(err, VP_GONE, "%s", root_err.text);
    }
    return 0;
}

/* ---- the quick look ---- */

/* The kernel's mask of a thread, as long as the kernel has it; -1: gone. */
static long read_mask(pid_t tid, unsigned char *mask, size_t size)
{
    return syscall(SYS_sched_getaffinity, tid, size, mask);
}

static unsigned long count_links(pid_t pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    return stat(path, &st) < 0 ? 0 : (unsigned long)st.st_nlink;
}

/* Bytes of the kernel's masks: the same until the next boot. */
static size_t kernels_mask(void)
{
    static size_t known;
    unsigned char own[VP_CPU_MAX / 8];
    long size;

    if (known == 0) {
        size = read_mask(0, own, sizeof(own));
        known = size > 0 ? (size_t)size : sizeof(own);
    }
    return known;
}

void vp_watched_remember(struct vp_watched *guest, struct vp_threads *threads,
                         const struct vp_seen_list *seen)
{
    bool all_seen = seen && seen->count == threads->count;

    vp_threads_clear(&guest->threads);
    guest->threads = *threads;
    *threads = (struct vp_threads){0};
    free(guest->mask);
    guest->mask_size = kernels_mask();
    guest->mask = calloc(guest->threads.count + 1, guest->mask_size);
    guest->task_links = count_links(guest->row.pid);
    for (size_t i = 0; guest->mask && i < guest->threads.count; i++) {
        unsigned char *mask = guest->mask + i * guest->mask_size;

        /* a set's words are the kernel's mask as it stands */
        if (all_seen)
            memcpy(mask, seen->item[i].affinity.w, guest->mask_size);
        else
            read_mask(guest->threads.item[i].tid, mask, guest->mask_size);
    }
}

bool vp_watched_quiet(const struct vp_watched *guest)
{
    unsigned char mask[VP_CPU_MAX / 8];

    if (!guest->mask || guest->threads.count == 0 ||
        count_links(guest->row.pid) != guest->task_links)
        return false;
    for (size_t i = 0; i < guest->threads.count; i++) {
        if (read_mask(guest->threads.item[i].tid, mask, guest->mask_size) < 0 ||
            memcmp(mask, guest->mask + i * guest->mask_size, guest->mask_size) != 0)
            return false;
    }
    return true;
}

bool vp_watched_knows(const struct vp_watched *guest, pid_t tid)
{
    for (size_t i = 0; i < guest->threads.count; i++) {
        if (guest->threads.item[i].tid == tid)
            return true;
    }
    return false;
}

struct vp_write *vp_watched_write_add(struct vp_watched *guest, const char *where, bool *lost)
{
    struct vp_write *write = NULL;

    *lost = false;
    for (size_t i = 0; i < VP_WRITES_KEPT && !write; i++)
        if (guest->write[i].at_us != 0 && strcmp(guest->write[i].where, where) == 0)
            write = &guest->write[i];
    if (!write) {
        write = &guest->write[guest->writes++ % VP_WRITES_KEPT];
        *lost = write->at_us != 0 && !write->taken;
    }
    memset(write, 0, sizeof(*write));
    snprintf(write->where, sizeof(write->where), "%.*s", (int)sizeof(write->where) - 1, where);
    return write;
}

const struct vp_write *vp_watched_write(const struct vp_watched *guest, const char *where)
{
    const struct vp_write *last = NULL;

    for (size_t i = 0; i < VP_WRITES_KEPT; i++) {
        const struct vp_write *write = &guest->write[i];

        if (write->at_us != 0 && strcmp(write->where, where) == 0 &&
            (!last || write->at_us > last->at_us))
            last = write;
    }
    return last;
}

struct vp_call *vp_watched_call_add(struct vp_watched *guest, pid_t tid)
{
    size_t count = guest->call_count;
    struct vp_call *grown;

    for (size_t i = 0; i < count; i++) {
        if (guest->calls[i].tid == tid)
            count = i;
    }
    if (count == VP_CALLS_MAX)
        return NULL;
    if (count == guest->call_count && (count & (count - 1)) == 0) { /* room is a power of two */
        grown = realloc(guest->calls, (count ? count * 2 : 1) * sizeof(*grown));
        if (!grown)
            return NULL;
        guest->calls = grown;
    }
    if (count == guest->call_count)
        guest->call_count++;
    guest->calls[count] = (struct vp_call){.tid = tid};
    return &guest->calls[count];
}

const struct vp_call *vp_watched_call(const struct vp_watched *guest, pid_t tid)
{
    for (size_t i = 0; i < guest->call_count; i++) {
        if (guest->calls[i].tid == tid)
            return &guest->calls[i];
    }
    return NULL;
}

void vp_watched_forget_events(struct vp_watched *guest, int64_t before_us)
{
    size_t kept = 0;

    guest->event_us = 0;
    for (size_t i = 0; i < VP_WRITES_KEPT; i++) {
        if (guest->write[i].at_us < before_us)
            guest->write[i].at_us = 0;
        else if (guest->event_us == 0 || guest->write[i].at_us < guest->event_us)
            guest->event_us = guest->write[i].at_us;
    }
    for (size_t i = 0; i < guest->call_count; i++) {
        if (guest->calls[i].at_us < before_us)
            continue;
        if (guest->event_us == 0 || guest->calls[i].at_us < guest->event_us)
            guest->event_us = guest->calls[i].at_us;
        guest->calls[kept++] = guest->calls[i];
    }
    guest->call_count = kept;
    if (kept > 0)
        return;
    free(guest->calls);
    guest->calls = NULL;
}

void vp_watched_due(struct vp_watched *guest, int64_t at_us)
{
    if (guest->look_at_us == 0 || at_us < guest->look_at_us)
        guest->look_at_us = at_us;
}
