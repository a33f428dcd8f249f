/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/watched.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/tuning.h"
#include "host/clock.h"
#include "host/engine.h"

/* The row's plans become what is needed of them, and are freed. */
static int take_plans(struct vp_watched *guest)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = VP_STEAL(guest->row.plan);
    VP_AUTO(vp_plan) struct vp_plan *would = NULL;
    struct vp_error err = {0};

    /* one of another major version cannot be parsed: nothing to compare with */
    if (guest->row.would)
        vp_plan_parse(guest->row.would, &would, &err);
    free(guest->row.would);
    guest->row.would = NULL;
    guest->audit = would || (plan && plan->mode == VP_MODE_AUDIT);
    return vp_planned_take(&guest->plan, plan, guest->row.unplaced ? NULL : would ? would : plan);
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
    if (take_plans(guest) < 0) {
        vp_watched_free(guest);
        return NULL;
    }
    return guest;
}

void vp_watched_free(struct vp_watched *guest)
{
    if (!guest)
        return;
    vp_guest_row_clear(&guest->row);
    vp_planned_clear(&guest->plan);
    vp_status_free(guest->status);
    vp_known_clear(&guest->known);
    vp_packed_clear(&guest->pins);
    vp_packed_clear(&guest->before);
    vp_threads_clear(&guest->threads);
    vp_threads_clear(&guest->followed);
    free(guest->mask);
    free(guest->follow);
    free(guest->write);
    free(guest->calls);
    free(guest->cases);
    free(guest);
}

int vp_watched_row(struct vp_watched *guest, struct vp_guest_row *row)
{
    bool other_process = row->pid != guest->row.pid || row->pid_start != guest->row.pid_start;

    if (row->gen != guest->row.gen)
        guest->plan_since_ms = vp_now_ms();
    vp_guest_row_clear(&guest->row);
    guest->row = *row;
    *row = (struct vp_guest_row){0};
    guest->resolved = false;
    if (other_process) {
        guest->status_changed = true;
        guest->root[0] = '\0';
        free(guest->follow);
        guest->follow = NULL;
        vp_threads_clear(&guest->threads);
    }
    return take_plans(guest);
}

bool vp_watched_audit(const struct vp_watched *guest)
{
    return guest->audit;
}

bool vp_watched_compared(const struct vp_watched *guest)
{
    return guest->plan.compared;
}

const struct vp_tuning *vp_watched_tuning(const struct vp_watched *guest)
{
    const struct vp_tuning *tuning = &guest->plan.tuning;

    return guest->plan.compared && vp_tuning_any(tuning) ? tuning : NULL;
}

void vp_watched_own(const struct vp_watched *guest, struct vp_cpuset *cpus)
{
    vp_kept_set(&guest->plan.own, cpus);
}

void vp_watched_nodes(const struct vp_watched *guest, struct vp_cpuset *nodes)
{
    vp_kept_set(&guest->plan.nodes, nodes);
}

const struct vp_guest_numatune *vp_watched_numatune(const struct vp_watched *guest)
{
    static const struct vp_guest_numatune none;

    return guest->known.numatune ? guest->known.numatune : &none;
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

/* `pins` is taken over where it is other than what was wanted so far. */
static int take_pins(struct vp_watched *guest, struct vp_pins *pins, int64_t now_ms, bool *changed)
{
    struct vp_packed fresh = {0};
    struct vp_pins before = {0};
    bool same;

    if (vp_packed_get(&guest->pins, &before) < 0)
        return -1;
    same = same_pins(pins, &before);
    vp_pins_clear(&before);
    if (same)
        return 0;
    if (vp_packed_set(&fresh, pins) < 0)
        return -1;
    vp_packed_clear(&guest->before);
    guest->before = guest->pins;
    guest->pins = fresh;
    guest->pins_since_ms = now_ms;
    guest->told = false;
    *changed = true;
    return 0;
}

int vp_watched_resolve(struct vp_watched *guest, const struct vp_cpuset *pool, int64_t now_ms,
                       bool *changed)
{
    struct vp_pins pins = {0};
    int result;

    *changed = false;
    if (guest->resolved)
        return 0;
    result = vp_packed_resolve(&guest->plan.wants_packed, pool, &pins);
    if (result == 0)
        result = take_pins(guest, &pins, now_ms, changed);
    vp_pins_clear(&pins);
    guest->resolved = result == 0;
    if (guest->resolved)
        vp_packed_clear(&guest->plan.wants_packed);
    return result;
}

/* The domain becomes what is needed of it, and is freed. */
static int take_domain(struct vp_watched *guest, struct vp_status *status)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = VP_STEAL(status->domain);

    return vp_known_take(&guest->known, domain);
}

int vp_watched_refresh(struct vp_watched *guest, struct vp_engine *engine, struct vp_error *err)
{
    struct vp_status *status = NULL;
    struct vp_error root_err = {0};

    if (guest->status_changed || !guest->status) {
        if (vp_status_load(engine->status_dir, guest->row.name, &status, err) < 0)
            return -1;
        vp_status_free(guest->status);
        guest->status = NULL;
        if (take_domain(guest, status) < 0) {
            vp_status_free(status);
            return vp_fail(err, VP_HOST, "out of memory");
        }
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
    if (!guest->write) {
        guest->write = calloc(VP_WRITES_KEPT, sizeof(*guest->write));
        if (!guest->write)
            return NULL;
        guest->write_room = VP_WRITES_KEPT;
    }
    for (size_t i = 0; i < guest->write_room && !write; i++)
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

    for (size_t i = 0; i < guest->write_room; i++) {
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

/* False if no write is left. */
static bool forget_writes(struct vp_watched *guest, int64_t before_us)
{
    bool any = false;

    for (size_t i = 0; i < guest->write_room; i++) {
        struct vp_write *write = &guest->write[i];

        if (write->at_us < before_us)
            write->at_us = 0;
        else if (guest->event_us == 0 || write->at_us < guest->event_us)
            guest->event_us = write->at_us;
        any |= write->at_us != 0;
    }
    return any;
}

void vp_watched_forget_events(struct vp_watched *guest, int64_t before_us)
{
    size_t kept = 0;

    guest->event_us = 0;
    if (!forget_writes(guest, before_us)) {
        free(guest->write);
        guest->write = NULL;
        guest->write_room = 0;
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
