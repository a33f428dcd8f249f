/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/memlook.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/memfollow.h"
#include "enforcer/patience.h"
#include "enforcer/record.h"
#include "host/clock.h"
#include "host/mems.h"

/* Another guest's memory is on its way, or the kernel refused. */
#define AGAIN_US 1000000
/* While it plugs a vCPU libvirt opens the emulator's nodes, and takes them back. */
#define LIBVIRT_US 2000000

/* ---- the process ---- */

void vp_memlook_forget(struct vp_enforcer *enforcer)
{
    struct vp_memwork *work = &enforcer->memwork;

    sd_event_source_unref(work->source);
    sd_event_source_unref(work->tick);
    if (work->pid > 0)
        close(work->fd);
    vp_memory_job_clear(&work->job);
    *work = (struct vp_memwork){.fd = -1};
}

static void work_failed(struct vp_enforcer *enforcer, struct vp_watched *guest, int number)
{
    struct vp_error err = {0};

    vp_fail_errno(&err, VP_HOST, number, "%s: putting its memory nodes right",
                  enforcer->memwork.name);
    vp_enforcer_complain(enforcer, &err);
    if (guest && vp_unable_is(number))
        vp_unable_begin(enforcer, guest, number, &err);
    for (size_t i = 0; guest && i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind != VP_DRIFT_MEMS || !seen->asked)
            continue;
        seen->asked = false;
        vp_record_state(seen, VP_DRIFT_OPEN, -1);
    }
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    struct vp_watched *guest = vp_enforcer_guest(enforcer, enforcer->memwork.uuid);
    siginfo_t how = {0};
    int number;

    (void)source, (void)fd, (void)events;
    if (waitid(P_PID, (id_t)enforcer->memwork.pid, &how, WEXITED | WNOHANG) == 0 && how.si_pid == 0)
        return 0;
    number = how.si_code == CLD_EXITED ? how.si_status : EINTR;
    if (number != 0)
        work_failed(enforcer, guest, number);
    if (guest)
        vp_watched_due(guest, vp_clock_us() + (number ? AGAIN_US : 0));
    vp_memlook_forget(enforcer);
    vp_enforcer_run_due(enforcer);
    return 0;
}

/* False if it could not be begun; the guest is looked at again. */
static bool begin_work(struct vp_enforcer *enforcer, struct vp_watched *guest,
                       const struct vp_mems_job *job)
{
    struct vp_memwork *work = &enforcer->memwork;
    struct vp_error err = {0};

    work->pid = vp_mems_start(job, &work->fd, &err);
    if (work->pid < 0) {
        *work = (struct vp_memwork){.fd = -1};
        vp_wrap(&err, "%s", guest->row.name);
        vp_enforcer_complain(enforcer, &err);
        return false;
    }
    snprintf(work->uuid, sizeof(work->uuid), "%s", guest->row.uuid);
    snprintf(work->name, sizeof(work->name), "%s", guest->row.name);
    if (sd_event_add_io(enforcer->event, &work->source, work->fd, EPOLLIN, on_ended, enforcer) >= 0)
        return true;
    vp_memlook_forget(enforcer);
    return false;
}

void vp_memlook_stop(struct vp_enforcer *enforcer)
{
    if (enforcer->memwork.pid > 0 && enforcer->memwork.follows) {
        kill(enforcer->memwork.pid, SIGKILL);
        vp_memoryfile_remove(enforcer->run.dir);
    }
    vp_memlook_forget(enforcer);
}

/* ---- judging ---- */

static struct vp_case *take(struct vp_watched *guest, const struct vp_diff *diff, int64_t now_us)
{
    const struct vp_write *write = vp_watched_write(guest, diff->where);
    struct vp_case *seen = vp_record_case(guest, diff->role, diff->index, VP_DRIFT_MEMS);
    struct vp_culprit by = {.uid = -1};

    if (!seen)
        return NULL;
    if (!seen->standing)
        seen->asked = false;
    if (write)
        by = write->by;
    vp_record_seen(guest, seen, diff, &by,
                   write             ? write->at_us
                   : guest->event_us ? guest->event_us
                                     : now_us);
    return seen;
}

/* libvirt's daemon opened it a moment ago, and will take it back. */
static bool libvirt_at_work(struct vp_watched *guest, const struct vp_diff *diff, int64_t now_us)
{
    const struct vp_write *write = vp_watched_write(guest, diff->where);

    if (write && write->libvirt)
        guest->mems_until_us = write->at_us + LIBVIRT_US;
    if (now_us >= guest->mems_until_us)
        return false;
    vp_watched_due(guest, guest->mems_until_us);
    return true;
}

static bool is_at_work(const struct vp_enforcer *enforcer, const struct vp_watched *guest)
{
    return enforcer->memwork.pid > 0 && strcmp(enforcer->memwork.uuid, guest->row.uuid) == 0;
}

/* True if it is to be put back now. */
static bool judge(struct vp_enforcer *enforcer, struct vp_watched *guest,
                  const struct vp_diff *diff, bool possible, int64_t now_us)
{
    struct vp_case *seen;
    enum vp_drift_state state;

    if (libvirt_at_work(guest, diff, now_us))
        return false;
    seen = take(guest, diff, now_us);
    if (!seen || (seen->asked && is_at_work(enforcer, guest)))
        return false;
    if (seen->asked) /* it was written, and differs again */
        vp_contest_repaired(&seen->contest, vp_now_ms());
    seen->asked = false;
    state = vp_patience_state(enforcer, guest, seen, now_us);
    if (state == VP_DRIFT_REPAIRED && possible) {
        seen->record.state = VP_DRIFT_OPEN; /* until it is done the journal does not hear of it */
        return true;
    }
    vp_record_state(seen, state == VP_DRIFT_REPAIRED ? VP_DRIFT_OPEN : state, -1);
    return false;
}

/* What stood and is right now: by our write, or by itself. */
static void close_cases(struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind != VP_DRIFT_MEMS || !seen->standing || !seen->asked ||
            seen->look == guest->looks)
            continue;
        seen->asked = false;
        vp_contest_repaired(&seen->contest, vp_now_ms());
        vp_record_state(seen, VP_DRIFT_REPAIRED, vp_clock_us() - seen->event_us);
    }
}

static void show(const struct vp_enforcer *enforcer, const struct vp_watched *guest,
                 const struct vp_mems_diff *found, struct vp_diff *diff)
{
    *diff = (struct vp_diff){.role = found->role,
                             .index = found->index,
                             .kind = VP_DRIFT_MEMS,
                             .wanted = found->wanted,
                             .found = found->found};
    for (size_t i = 0; i < guest->threads.count; i++)
        if (guest->threads.item[i].role == found->role &&
            guest->threads.item[i].index == found->index)
            diff->tid = guest->threads.item[i].tid;
    vp_mems_where(&enforcer->engine.cgroups, guest->root, found, diff->where, sizeof(diff->where));
}

static void repair(struct vp_enforcer *enforcer, struct vp_watched *guest,
                   const struct vp_mems_job *job, int64_t now_us)
{
    bool begun = enforcer->memwork.pid == 0 && begin_work(enforcer, guest, job);

    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind == VP_DRIFT_MEMS && seen->standing && seen->look == guest->looks &&
            seen->record.state == VP_DRIFT_OPEN)
            seen->asked = begun;
    }
    if (!begun)
        vp_watched_due(guest, now_us + AGAIN_US);
}

static void look(struct vp_enforcer *enforcer, struct vp_watched *guest,
                 const struct vp_mems_plan *plan, const struct vp_mems *mems, int64_t now_us)
{
    struct vp_mems_job job = {0};
    char above[512] = "";

    for (size_t i = 0; i < mems->count; i++) {
        struct vp_mems_diff found;
        struct vp_diff diff;

        if (vp_mems_right(vp_watched_numatune(guest), plan, mems, &mems->group[i], &found))
            continue;
        show(enforcer, guest, &found, &diff);
        /* one file above many groups: the first has the record */
        if (!found.own && strcmp(above, diff.where) == 0)
            continue;
        if (!found.own)
            snprintf(above, sizeof(above), "%s", diff.where);
        if (judge(enforcer, guest, &diff, found.possible, now_us))
            vp_mems_job_add(&job, guest->root, &found);
    }
    close_cases(guest);
    if (job.count > 0)
        repair(enforcer, guest, &job, now_us);
    vp_mems_job_clear(&job);
}

void vp_memlook(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us)
{
    struct vp_mems_plan plan;
    struct vp_mems mems;

    if (enforcer->engine.topology->node_count < 2 || !guest->root[0] || !guest->plan.wants ||
        guest->row.unplaced)
        return;
    if (vp_mems_look(&enforcer->engine.cgroups, guest->root, &mems, NULL) < 0)
        return; /* it is ending: the status directory and the sweep say so */
    vp_memfollow_plan(guest, &plan);
    look(enforcer, guest, &plan, &mems, now_us);
    vp_memfollow(enforcer, guest, &plan, &mems, now_us);
    vp_mems_clear(&mems);
}
