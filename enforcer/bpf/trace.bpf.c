/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in the kernel. Filters there, so that calls on other threads than
 * guests' wake nobody, and takes down who called: most callers have ended
 * before anybody could ask /proc for them. */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "enforcer/traceevent.h"

/* Calls under way at one moment, and threads of guests. */
#define CALLS_MAX 1024
#define THREADS_MAX 262144
#define RING_BYTES (64 * 1024)

#define THREAD_FLAG 0x10000 /* CLONE_THREAD of linux/sched.h */

char program_license[] SEC("license") = "GPL";

const volatile struct vp_trace_conf conf = {0};

/* The part of the kernel's types that is read; where it lies is settled when
 * the program is loaded. */
struct tty_struct {
    char name[64];
} __attribute__((preserve_access_index));
struct signal_struct {
    struct tty_struct *tty;
} __attribute__((preserve_access_index));
struct task_struct {
    struct task_struct *group_leader;
    struct signal_struct *signal;
    char comm[16];
} __attribute__((preserve_access_index));

struct syscall_enter {
    __u64 common;
    __u64 number;
    __u64 argument[6];
};
struct syscall_exit {
    __u64 common;
    __u64 number;
    __s64 result;
};
struct newtask {
    __u64 common;
    __s32 pid;
    char comm[16];
    __u32 pad;
    __u64 flags;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, THREADS_MAX);
    __type(key, __u32);
    __type(value, __u8);
} threads SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, CALLS_MAX);
    __type(key, __u64);
    __type(value, __u32);
} calls SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* Events for which the ring had no room. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} lost SEC(".maps");

/* False for callers of another PID namespace: what they call 4711 is not what
 * the enforcer calls so. */
static __always_inline int caller(struct bpf_pidns_info *ids)
{
    return bpf_get_ns_current_pid_tgid(conf.dev, conf.ino, ids, sizeof(*ids)) == 0 &&
           ids->tgid != conf.self;
}

static __always_inline void count_lost(void)
{
    __u32 first = 0;
    __u64 *count = bpf_map_lookup_elem(&lost, &first);

    if (count)
        __sync_fetch_and_add(count, 1);
}

static __always_inline void tell(__u32 what, __u32 target, __u32 pid)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct vp_trace_event *event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
    struct tty_struct *tty;

    if (!event) {
        count_lost();
        return;
    }
    event->at_ns = bpf_ktime_get_ns();
    event->cgroup = bpf_get_current_cgroup_id();
    event->what = what;
    event->target = target;
    event->pid = pid;
    event->uid = (__u32)bpf_get_current_uid_gid();
    event->comm[0] = event->tty[0] = '\0';
    BPF_CORE_READ_STR_INTO(&event->comm, task, group_leader, comm);
    tty = BPF_CORE_READ(task, signal, tty);
    if (tty)
        bpf_core_read_str(event->tty, sizeof(event->tty), &tty->name);
    bpf_ringbuf_submit(event, 0);
}

static __always_inline int entered(const struct syscall_enter *call)
{
    __u32 target = (__u32)call->argument[0];
    __u64 self = bpf_get_current_pid_tgid();
    struct bpf_pidns_info ids;

    if (!caller(&ids))
        return 0;
    if (target == 0)
        target = ids.pid;
    if (bpf_map_lookup_elem(&threads, &target))
        bpf_map_update_elem(&calls, &self, &target, BPF_ANY);
    return 0;
}

static __always_inline int left(const struct syscall_exit *call, __u32 what)
{
    __u64 self = bpf_get_current_pid_tgid();
    __u32 *target = bpf_map_lookup_elem(&calls, &self);
    struct bpf_pidns_info ids;

    if (!target)
        return 0;
    if (call->result == 0 && caller(&ids))
        tell(what, *target, ids.tgid);
    bpf_map_delete_elem(&calls, &self);
    return 0;
}

#define CALL(name, what)                                                                           \
    SEC("tracepoint/syscalls/sys_enter_" #name) int enter_##name(struct syscall_enter *call)       \
    {                                                                                              \
        return entered(call);                                                                      \
    }                                                                                              \
    SEC("tracepoint/syscalls/sys_exit_" #name) int exit_##name(struct syscall_exit *call)          \
    {                                                                                              \
        return left(call, what);                                                                   \
    }

CALL(sched_setaffinity, VP_TRACE_AFFINITY)
CALL(sched_setscheduler, VP_TRACE_SCHEDULER)
CALL(sched_setparam, VP_TRACE_SCHEDULER)
CALL(sched_setattr, VP_TRACE_SCHEDULER)

SEC("tracepoint/task/task_newtask") int new_task(struct newtask *task)
{
    struct bpf_pidns_info ids;

    if (!(task->flags & THREAD_FLAG) || !caller(&ids))
        return 0;
    if (bpf_map_lookup_elem(&threads, &ids.tgid))
        tell(VP_TRACE_THREAD, ids.tgid, ids.tgid);
    return 0;
}
