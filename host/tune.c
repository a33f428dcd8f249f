/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/tune.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"

/* Files and words: kernel Documentation/scheduler/sched-bwc.rst,
 * admin-guide/cgroup-v2.rst; where libvirt has which: src/util/vircgroup.c. */

#define GROUP_FORMAT "%.480s/vcpu%u"

static bool ends_in(const char *dir, const char *last)
{
    size_t length = strlen(dir), tail = strlen(last);

    return length > tail && strcmp(dir + length - tail, last) == 0;
}

/* The directory that holds the vCPUs' groups, and the guest's own, whose shares
 * libvirt sets: under systemd the scope above. "" without the controller. */
static int locate(const struct vp_cgroups *cpu, pid_t pid, char groups[512], char own[512],
                  struct vp_error *err)
{
    struct vp_error why = {0};

    groups[0] = own[0] = '\0';
    if (cpu->version == VP_CGROUP_NONE)
        return 0;
    if (vp_cgroup_cpu_of(cpu, pid, groups, 480, &why) < 0) {
        if (why.code == VP_GONE && err)
            *err = why;
        groups[0] = '\0';
        return why.code == VP_GONE ? -1 : 0;
    }
    if (!ends_in(groups, "/emulator")) {
        groups[0] = '\0';
        return 0;
    }
    groups[strlen(groups) - strlen("/emulator")] = '\0';
    strcpy(own, groups);
    if (ends_in(own, "/libvirt"))
        own[strlen(own) - strlen("/libvirt")] = '\0';
    return 0;
}

/* ---- files ---- */

static bool read_text(const char *group, const char *file, char *text, size_t size)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/%s", group, file);
    return vp_file_read(AT_FDCWD, path, text, size) > 0;
}

/* 0 or -errno. */
static int write_text(const char *group, const char *file, const char *text)
{
    char path[600];
    ssize_t done;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", group, file);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    done = write(fd, text, strlen(text));
    done = done < 0 ? -errno : 0;
    close(fd);
    return (int)done;
}

static const char *shares_file(const struct vp_cgroups *cpu)
{
    return cpu->version == VP_CGROUP_V2 ? "cpu.weight" : "cpu.shares";
}

static bool read_limit_v2(const char *group, struct vp_tuned_vcpu *vcpu)
{
    char text[64], quota[32];

    if (!read_text(group, "cpu.max", text, sizeof(text)) ||
        sscanf(text, "%31s %llu", quota, &vcpu->period) != 2)
        return false;
    vcpu->quota = strcmp(quota, "max") == 0 ? -1 : strtoll(quota, NULL, 10);
    return true;
}

static bool read_limit(const struct vp_cgroups *cpu, const char *group, struct vp_tuned_vcpu *vcpu)
{
    char period[32], quota[32];

    if (cpu->version == VP_CGROUP_V2)
        return read_limit_v2(group, vcpu);
    if (!read_text(group, "cpu.cfs_period_us", period, sizeof(period)) ||
        !read_text(group, "cpu.cfs_quota_us", quota, sizeof(quota)))
        return false;
    vcpu->period = strtoull(period, NULL, 10);
    vcpu->quota = strtoll(quota, NULL, 10);
    return true;
}

/* ---- looking ---- */

static int scheduler_of(pid_t tid, struct vp_vcpu_scheduler *scheduler)
{
    struct sched_param param = {0};
    int policy = sched_getscheduler(tid);

    if (policy < 0 || sched_getparam(tid, &param) < 0)
        return -errno;
    switch (policy & ~SCHED_RESET_ON_FORK) {
    case SCHED_BATCH:
        scheduler->policy = VP_SCHEDULER_BATCH;
        break;
    case SCHED_IDLE:
        scheduler->policy = VP_SCHEDULER_IDLE;
        break;
    case SCHED_FIFO:
        scheduler->policy = VP_SCHEDULER_FIFO;
        break;
    case SCHED_RR:
        scheduler->policy = VP_SCHEDULER_RR;
        break;
    default:
        scheduler->policy = VP_SCHEDULER_OTHER;
    }
    scheduler->priority = (unsigned)param.sched_priority;
    return 0;
}

int vp_tune_look(const struct vp_cgroups *cpu, const struct vp_status *status,
                 struct vp_tuned *tuned, struct vp_error *err)
{
    char groups[512], shares[32];

    *tuned = (struct vp_tuned){0};
    if (locate(cpu, status->pid, groups, tuned->group, err) < 0)
        return -1;
    tuned->vcpu = calloc(status->vcpu_count + 1, sizeof(*tuned->vcpu));
    if (!tuned->vcpu)
        return vp_fail(err, VP_HOST, "out of memory");
    if (tuned->group[0] && read_text(tuned->group, shares_file(cpu), shares, sizeof(shares))) {
        tuned->has_shares = true;
        tuned->shares = strtoull(shares, NULL, 10);
    }
    for (size_t i = 0; i < status->vcpu_count; i++) {
        struct vp_tuned_vcpu *vcpu = &tuned->vcpu[tuned->count];

        *vcpu = (struct vp_tuned_vcpu){.index = status->vcpu[i].id, .tid = status->vcpu[i].tid};
        if (scheduler_of(vcpu->tid, &vcpu->scheduler) < 0)
            continue;
        if (groups[0]) {
            snprintf(vcpu->group, sizeof(vcpu->group), GROUP_FORMAT, groups, vcpu->index);
            vcpu->has_limit = read_limit(cpu, vcpu->group, vcpu);
        }
        tuned->count++;
    }
    return 0;
}

/* ---- writing ---- */

struct run {
    const struct vp_cgroups *cpu;
    const struct vp_tuning *wanted;
    struct vp_tune_report *report;
    struct vp_error *err; /* NULL once it holds the first refusal */
};

static struct vp_error *refusal(struct run *run)
{
    struct vp_error *err = run->err;

    run->err = NULL;
    return err;
}

static void put(struct run *run, const char *group, const char *file, const char *text)
{
    int result = write_text(group, file, text);

    if (result == 0)
        run->report->written++;
    else if (result != -ENOENT && result != -ENODEV)
        vp_fail_errno(refusal(run), VP_HOST, -result, "%s/%s: writing \"%s\"", group, file, text);
}

static void set_shares(struct run *run, const struct vp_tuned *tuned)
{
    char text[32];

    snprintf(text, sizeof(text), "%u", run->wanted->shares);
    put(run, tuned->group, shares_file(run->cpu), text);
}

/* v1 has two files, and the kernel judges each write by what stands in the
 * other: without a limit any period will do. */
static void set_limit_v1(struct run *run, const struct vp_tuned_vcpu *vcpu,
                         unsigned long long period, long long quota)
{
    char text[32];

    if (period != vcpu->period) {
        if (vcpu->quota >= 0)
            put(run, vcpu->group, "cpu.cfs_quota_us", "-1");
        snprintf(text, sizeof(text), "%llu", period);
        put(run, vcpu->group, "cpu.cfs_period_us", text);
    }
    snprintf(text, sizeof(text), "%lld", quota);
    put(run, vcpu->group, "cpu.cfs_quota_us", text);
}

static void set_limit(struct run *run, const struct vp_tuned_vcpu *vcpu)
{
    unsigned long long period = run->wanted->period != 0 ? run->wanted->period : vcpu->period;
    long long quota = run->wanted->quota != 0 ? run->wanted->quota : vcpu->quota;
    char text[64];

    if (run->cpu->version != VP_CGROUP_V2) {
        set_limit_v1(run, vcpu, period, quota);
        return;
    }
    if (quota < 0)
        snprintf(text, sizeof(text), "max %llu", period);
    else
        snprintf(text, sizeof(text), "%lld %llu", quota, period);
    put(run, vcpu->group, "cpu.max", text);
}

static void set_scheduler(struct run *run, const struct vp_tuned_vcpu *vcpu)
{
    static const int policy[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE,
                                 SCHED_FIFO,  SCHED_RR,    SCHED_OTHER};
    const struct vp_vcpu_scheduler *wanted = &run->wanted->scheduler;
    struct sched_param param = {.sched_priority = (int)wanted->priority};

    if (sched_setscheduler(vcpu->tid, policy[wanted->policy], &param) == 0)
        run->report->written++;
    else if (errno == EPERM)
        vp_fail(refusal(run), VP_HOST,
                "vCPU %u (thread %d) cannot have scheduler %s: not permitted (real-time time of "
                "its group, RLIMIT_RTPRIO or CAP_SYS_NICE)",
                vcpu->index, (int)vcpu->tid, vp_scheduler_word(wanted->policy));
    else if (errno != ESRCH)
        vp_fail_errno(refusal(run), VP_HOST, errno, "vCPU %u (thread %d): scheduler %s",
                      vcpu->index, (int)vcpu->tid, vp_scheduler_word(wanted->policy));
}

static const struct vp_tuned_vcpu *find(const struct vp_tuned *tuned, pid_t tid)
{
    for (size_t i = 0; i < tuned->count; i++)
        if (tuned->vcpu[i].tid == tid)
            return &tuned->vcpu[i];
    return NULL;
}

static void set_one(struct run *run, const struct vp_tuned *tuned,
                    const struct vp_tuning_diff *diff)
{
    const struct vp_tuned_vcpu *vcpu = find(tuned, diff->tid);

    if (diff->kind == VP_DRIFT_SHARES && tuned->has_shares)
        set_shares(run, tuned);
    else if (diff->kind == VP_DRIFT_QUOTA && vcpu && vcpu->has_limit)
        set_limit(run, vcpu);
    else if (diff->kind == VP_DRIFT_SCHEDULER && vcpu)
        set_scheduler(run, vcpu);
}

static int look_and_compare(struct run *run, const struct vp_status *status, struct vp_tuned *tuned,
                            struct vp_error *err)
{
    vp_tuned_clear(tuned);
    if (vp_tune_look(run->cpu, status, tuned, err) < 0)
        return -1;
    if (vp_tuning_compare(run->wanted, tuned, &run->report->left) == 0)
        return 0;
    return vp_fail(err, VP_HOST, "out of memory");
}

/* What differs although nothing was refused: there is no controller. */
static void tell_left(struct run *run)
{
    const struct vp_tuning_diff *diff = run->report->left.item;

    if (run->report->left.count == 0)
        return;
    if (diff->kind == VP_DRIFT_SHARES)
        vp_fail(refusal(run), VP_HOST, "the guest's shares are %s, wanted %s", diff->found,
                diff->wanted);
    else
        vp_fail(refusal(run), VP_HOST, "vCPU %u has %s%s, wanted %s", diff->index,
                diff->kind == VP_DRIFT_SCHEDULER ? "scheduler " : "", diff->found, diff->wanted);
}

int vp_tune_apply(const struct vp_cgroups *cpu, const struct vp_status *status,
                  const struct vp_tuning *wanted, struct vp_tune_report *report,
                  struct vp_error *err)
{
    struct run run = {.cpu = cpu, .wanted = wanted, .report = report, .err = err};
    struct vp_tuned tuned = {0};
    struct vp_error gone = {0};
    int result;

    *report = (struct vp_tune_report){0};
    if (err)
        *err = (struct vp_error){0};
    if (!vp_tuning_any(wanted))
        return 0;
    result = look_and_compare(&run, status, &tuned, &gone);
    if (result == 0 && report->left.count > 0) {
        for (size_t i = 0; i < report->left.count; i++)
            set_one(&run, &tuned, &report->left.item[i]);
        result = look_and_compare(&run, status, &tuned, &gone);
    }
    vp_tuned_clear(&tuned);
    if (result == 0) {
        tell_left(&run);
        return 0;
    }
    vp_tuning_diffs_clear(&report->left);
    if (err)
        *err = gone;
    return -1;
}

struct vp_tuning_host vp_tune_host(const struct vp_cgroups *cpu)
{
    struct vp_tuning_host host = {.cgroup = cpu->version == VP_CGROUP_V2   ? 2
                                            : cpu->version == VP_CGROUP_V1 ? 1
                                                                           : 0};
    char path[400];

    host.no_controller = cpu->version == VP_CGROUP_NONE;
    snprintf(path, sizeof(path), "%s/cpu.rt_runtime_us", cpu->mount);
    host.no_realtime = cpu->version == VP_CGROUP_V1 && access(path, F_OK) == 0;
    return host;
}
