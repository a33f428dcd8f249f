/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/memfollow.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/memlook.h"
#include "enforcer/patience.h"
#include "host/clock.h"
#include "host/journal.h"

/* Another guest's memory is on its way. */
#define BUSY_US 1000000
/* Nodes were full, or the kernel did not let us. */
#define AGAIN_US (5 * 60 * 1000000LL)
#define TICK_US 1000000
#define SAY_US (30 * 1000000LL)
/* What QEMU's start leaves elsewhere is not worth a word. */
#define SAY_KIB (16 * 1024)

void vp_memfollow_plan(const struct vp_watched *guest, struct vp_mems_plan *plan)
{
    *plan = (struct vp_mems_plan){0};
    if (guest->plan.nodes.count == 0 || vp_watched_audit(guest))
        return;
    vp_watched_nodes(guest, &plan->nodes);
    if (guest->follow)
        plan->passed = guest->follow->passed;
    else /* the first look of this enforcer: an earlier one may have left it anywhere */
        vp_cpuset_add_range(&plan->passed, 0, VP_NODES_MAX - 1);
}

/* ---- what is said ---- */

static double mib(uint64_t kib)
{
    return (double)kib / 1024;
}

static void say(struct vp_enforcer *enforcer, int priority, const char *text)
{
    const struct vp_memwork *work = &enforcer->memwork;
    char nodes[256];

    vp_cpuset_print(&work->moving.nodes, nodes, sizeof(nodes));
    const struct vp_field fields[] = {
        {"VIRTPIN_GUEST", work->name}, {"VIRTPIN_UUID", work->uuid}, {"VIRTPIN_NODES", nodes}};

    vp_journal(priority, VP_MSG_MEMORY, fields, 3, "guest %s: %s", work->name, text);
}

static void say_begun(struct vp_enforcer *enforcer)
{
    const struct vp_memwork *work = &enforcer->memwork;
    char text[400], nodes[256];

    vp_cpuset_print(&work->moving.nodes, nodes, sizeof(nodes));
    snprintf(text, sizeof(text), "%.1f MiB of its memory follow it to node %s",
             mib(work->moving.total_kib), nodes);
    say(enforcer, LOG_NOTICE, text);
}

static void say_done(struct vp_enforcer *enforcer, uint64_t stayed_kib, int64_t now_ms)
{
    const struct vp_memwork *work = &enforcer->memwork;
    uint64_t total = work->moving.total_kib;
    char text[500], nodes[256];
    size_t used;

    vp_cpuset_print(&work->moving.nodes, nodes, sizeof(nodes));
    used = (size_t)snprintf(text, sizeof(text),
                            "%.1f MiB of its memory were moved to node %s in "
                            "%.1f s",
                            mib(total > stayed_kib ? total - stayed_kib : 0), nodes,
                            (double)(now_ms - work->moving.since_ms) / 1000);
    if (stayed_kib > 0)
        snprintf(text + used, sizeof(text) - used,
                 "; %.1f MiB stay where they are: the kernel cannot move them (devices have them "
                 "pinned)",
                 mib(stayed_kib));
    say(enforcer, stayed_kib > SAY_KIB ? LOG_WARNING : LOG_NOTICE, text);
}

/* ---- while it goes on ---- */

/* The figures of the process, for the journal and for status. */
static void show(struct vp_enforcer *enforcer, int64_t now_us)
{
    struct vp_memwork *work = &enforcer->memwork;
    struct vp_error err = {0};
    char text[200];

    work->moving.total_kib = atomic_load(&work->job.progress->total_kib);
    work->moving.left_kib = atomic_load(&work->job.progress->left_kib);
    if (work->moving.total_kib < SAY_KIB)
        return;
    if (vp_memoryfile_write(enforcer->run.dir, &work->moving, &err) < 0)
        vp_enforcer_complain(enforcer, &err);
    if (work->said_us == 0)
        say_begun(enforcer);
    else if (now_us - work->said_us >= SAY_US) {
        snprintf(text, sizeof(text), "%.1f of %.1f MiB of its memory still to be moved",
                 mib(work->moving.left_kib), mib(work->moving.total_kib));
        say(enforcer, LOG_INFO, text);
    }
    if (work->said_us == 0 || now_us - work->said_us >= SAY_US)
        work->said_us = now_us;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)usec;
    show(enforcer, vp_clock_us());
    sd_event_source_set_time_relative(source, TICK_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* ---- the end ---- */

static void failed(struct vp_enforcer *enforcer, struct vp_watched *guest, int number)
{
    const struct vp_memwork *work = &enforcer->memwork;
    struct vp_error err = {0};
    char text[500], nodes[256];

    if (guest && guest->follow)
        guest->follow->again_us = vp_clock_us() + AGAIN_US;
    if (number == ESRCH || number == ENOENT) /* it has ended */
        return;
    if (number == ENOMEM) {
        vp_cpuset_print(&work->moving.nodes, nodes, sizeof(nodes));
        snprintf(text, sizeof(text),
                 "node %.200s is full: %.1f MiB of its memory stay where they are "
                 "for now",
                 nodes, mib(work->moving.left_kib));
        say(enforcer, LOG_WARNING, text);
        return;
    }
    vp_fail_errno(&err, VP_HOST, number, "%s: moving its memory", work->name);
    vp_enforcer_complain(enforcer, &err);
}

static void ended(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    const struct vp_memwork *work = &enforcer->memwork;
    uint64_t stayed = atomic_load(&work->job.progress->stayed_kib);

    if (work->said_us != 0)
        say_done(enforcer, stayed, vp_now_ms());
    if (!guest || !guest->follow)
        return;
    guest->follow->done = true;
    guest->follow->passed = (struct vp_cpuset){0};
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    struct vp_memwork *work = &enforcer->memwork;
    struct vp_watched *guest = vp_enforcer_guest(enforcer, work->uuid);
    siginfo_t how = {0};

    (void)source, (void)fd, (void)events;
    if (waitid(P_PID, (id_t)work->pid, &how, WEXITED | WNOHANG) == 0 && how.si_pid == 0)
        return 0;
    show(enforcer, vp_clock_us());
    if (how.si_code == CLD_EXITED && how.si_status == 0)
        ended(enforcer, guest);
    else if (how.si_code == CLD_EXITED)
        failed(enforcer, guest, how.si_status);
    /* else it was killed: by us, and what is wanted now is begun by the next look */
    vp_memoryfile_remove(enforcer->run.dir);
    vp_memlook_forget(enforcer);
    if (guest)
        vp_watched_due(guest, vp_clock_us());
    vp_enforcer_run_due(enforcer);
    return 0;
}

/* ---- the beginning ---- */

/* What the groups are to have: all at once while it is under way, then the nodes alone. */
static int list_groups(struct vp_memory_job *job, struct vp_watched *guest,
                       const struct vp_mems_plan *plan, const struct vp_mems *mems)
{
    for (size_t i = 0; i < mems->count; i++) {
        const struct vp_mems_group *group = &mems->group[i];
        struct vp_mems_diff diff = {
            .role = group->role, .index = group->index, .own = true, .wanted = plan->nodes};

        if (!group->set || vp_cpuset_equal(&group->mems, &plan->nodes))
            continue;
        if (vp_mems_job_add(&job->narrow, guest->root, &diff) < 0)
            return -1;
        vp_cpuset_or(&diff.wanted, &group->mems);
        vp_cpuset_or(&guest->follow->passed, &diff.wanted);
        if (vp_mems_job_add(&job->wide, guest->root, &diff) < 0)
            return -1;
    }
    return 0;
}

static int aim(struct vp_enforcer *enforcer, struct vp_watched *guest, const struct vp_cpuset *was,
               struct vp_memory_aim *out, struct vp_error *err)
{
    const struct vp_guest_numatune earlier = {.nodes = *was};
    const struct vp_engine *engine = &enforcer->engine;
    VP_AUTO(vp_status) struct vp_status *status = NULL; /* the guest's own are without */
    struct vp_guest_row row = {0};                      /* domain and plan */
    struct vp_memory_bind bind = {0};
    int result = -1;

    if (vp_status_load(engine->status_dir, guest->row.name, &status, err) < 0)
        return -1;
    if (vp_ledger_guest(engine->ledger, guest->row.uuid, &row, err) == 1 && row.plan) {
        result = vp_plan_bind(row.plan, engine->topology, status->domain, &bind);
        if (result == 0)
            vp_memory_aim_make(vp_cpuset_empty(was) ? &status->domain->numatune : &earlier, &bind,
                               row.plan, out);
    }
    vp_memory_bind_clear(&bind);
    vp_guest_row_clear(&row);
    return result;
}

static int add_sources(struct vp_enforcer *enforcer)
{
    struct vp_memwork *work = &enforcer->memwork;
    int result =
        sd_event_add_io(enforcer->event, &work->source, work->fd, EPOLLIN, on_ended, enforcer);

    if (result >= 0)
        result = sd_event_add_time_relative(enforcer->event, &work->tick, CLOCK_MONOTONIC, TICK_US,
                                            0, on_tick, enforcer);
    return result;
}

static int start(struct vp_enforcer *enforcer, struct vp_watched *guest,
                 const struct vp_mems_plan *plan, const struct vp_mems *mems, struct vp_error *err)
{
    struct vp_memwork *work = &enforcer->memwork;

    if (vp_memory_job_init(&work->job, err) < 0 ||
        aim(enforcer, guest, &guest->follow->from, &work->job.aim, err) < 0)
        return -1;
    work->job.pid = guest->row.pid;
    work->job.aim.nodes = plan->nodes;
    if (vp_watched_numatune(guest)->confines && list_groups(&work->job, guest, plan, mems) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    work->moving.since_ms = vp_now_ms();
    work->pid = vp_memory_move_start(&work->job, &work->fd, err);
    if (work->pid < 0)
        return -1;
    snprintf(work->uuid, sizeof(work->uuid), "%s", guest->row.uuid);
    snprintf(work->name, sizeof(work->name), "%s", guest->row.name);
    snprintf(work->moving.uuid, sizeof(work->moving.uuid), "%s", guest->row.uuid);
    work->moving.nodes = plan->nodes;
    work->follows = true;
    return add_sources(enforcer) < 0 ? vp_fail(err, VP_HOST, "the event loop") : 0;
}

static void begin(struct vp_enforcer *enforcer, struct vp_watched *guest,
                  const struct vp_mems_plan *plan, const struct vp_mems *mems, int64_t now_us)
{
    struct vp_error err = {0};

    if (enforcer->memwork.pid > 0) {
        vp_watched_due(guest, now_us + BUSY_US);
        return;
    }
    if (!vp_cpuset_within(&plan->nodes, &mems->above))
        vp_fail(&err, VP_REFUSED, "its memory cannot follow it: the group above %s lacks its nodes",
                guest->root);
    else if (start(enforcer, guest, plan, mems, &err) == 0)
        return;
    vp_wrap(&err, "%s", guest->row.name);
    vp_enforcer_complain(enforcer, &err);
    vp_memlook_forget(enforcer);
    guest->follow->again_us = now_us + AGAIN_US;
    vp_watched_due(guest, guest->follow->again_us);
}

/* ---- whether ---- */

static bool may(const struct vp_enforcer *enforcer, const struct vp_watched *guest)
{
    return !enforcer->disabled && !vp_patience_held(guest);
}

/* What is under way for this guest, and is not wanted any more. */
static void stop_outdated(struct vp_enforcer *enforcer, const struct vp_watched *guest,
                          const struct vp_mems_plan *plan)
{
    const struct vp_memwork *work = &enforcer->memwork;

    if (work->pid > 0 && work->follows && strcmp(work->uuid, guest->row.uuid) == 0 &&
        (!may(enforcer, guest) || !vp_cpuset_equal(&plan->nodes, &work->moving.nodes)))
        kill(work->pid, SIGKILL);
}

static bool groups_follow(const struct vp_watched *guest, const struct vp_mems_plan *plan,
                          const struct vp_mems *mems)
{
    for (size_t i = 0; i < mems->count; i++)
        if (vp_mems_follows(vp_watched_numatune(guest), plan, &mems->group[i]))
            return true;
    return false;
}

void vp_memfollow(struct vp_enforcer *enforcer, struct vp_watched *guest,
                  const struct vp_mems_plan *plan, const struct vp_mems *mems, int64_t now_us)
{
    struct vp_memfollow *follow = guest->follow;

    stop_outdated(enforcer, guest, plan);
    if (vp_cpuset_empty(&plan->nodes) || vp_watched_numatune(guest)->unknown)
        return;
    if (!follow) {
        follow = guest->follow = calloc(1, sizeof(*follow));
        if (!follow)
            return;
        follow->passed = plan->passed;
    }
    if (!vp_cpuset_equal(&follow->nodes, &plan->nodes)) {
        follow->from = follow->nodes;
        follow->nodes = plan->nodes;
        follow->done = false;
        follow->again_us = 0;
    } else if (follow->done && groups_follow(guest, plan, mems)) {
        follow->done = false; /* libvirt has written its own, for a vCPU that was plugged */
    }
    if (follow->done || !may(enforcer, guest))
        return;
    if (enforcer->memwork.pid > 0 && strcmp(enforcer->memwork.uuid, guest->row.uuid) == 0)
        return;
    if (now_us < follow->again_us || now_us < guest->mems_until_us)
        vp_watched_due(guest, now_us < follow->again_us ? follow->again_us : guest->mems_until_us);
    else
        begin(enforcer, guest, plan, mems, now_us);
}
