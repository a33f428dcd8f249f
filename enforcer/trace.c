/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/trace.h"

#include "decide/error.h"
#include "enforcer/enforcer.h"

#ifdef VP_TRACE_OBJECT

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "enforcer/calls.h"
#include "enforcer/fight.h"
#include "enforcer/traceevent.h"

/* The programs, compiled for the kernel, are part of this one. */
__asm__(".section .rodata\n"
        ".balign 8\n"
        "vp_trace_object: .incbin \"" VP_TRACE_OBJECT "\"\n"
        "vp_trace_object_end: .byte 0\n"
        ".previous\n");
extern const char vp_trace_object[] __attribute__((visibility("hidden")));
extern const char vp_trace_object_end[] __attribute__((visibility("hidden")));

struct vp_trace {
    struct bpf_object *object;
    struct ring_buffer *ring;
    struct vp_enforcer *enforcer;
    int threads, lost; /* descriptors of maps, the object's */
    uint64_t lost_before;
};

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level, (void)format, (void)args;
    return 0;
}

/* ---- starting ---- */

static int set_conf(struct bpf_object *object, struct vp_error *err)
{
    struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
    struct vp_trace_conf conf = {.self = (uint32_t)getpid()};
    struct stat st;

    if (stat("/proc/self/ns/pid", &st) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "/proc/self/ns/pid");
    /* The kernel's own way to write a device number. */
    conf.dev = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
    conf.ino = st.st_ino;
    if (!map || bpf_map__set_initial_value(map, &conf, sizeof(conf)) < 0)
        return vp_fail(err, VP_HOST, "the tracing programs are not those of this version");
    return 0;
}

static bool has_tracefs(void)
{
    static const char events[] = "/events/syscalls/sys_enter_sched_setaffinity/id";
    char path[128];

    snprintf(path, sizeof(path), "/sys/kernel/tracing%s", events);
    if (access(path, R_OK) == 0)
        return true;
    snprintf(path, sizeof(path), "/sys/kernel/debug/tracing%s", events);
    return access(path, R_OK) == 0;
}

static int attach_all(struct bpf_object *object, struct vp_error *err)
{
    struct bpf_program *program;

    bpf_object__for_each_program(program, object)
    {
        /* The object owns no links: they last as long as this process. */
        if (!bpf_program__attach(program))
            return vp_fail_errno(err, VP_HOST, errno, "tracing: attaching to %s",
                                 bpf_program__section_name(program));
    }
    return 0;
}

static int load(struct vp_trace *trace, struct vp_error *err)
{
    int result;

    if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
        return vp_fail(err, VP_HOST,
                       "tracing: the kernel says nothing of its types (/sys/kernel/btf/vmlinux, "
                       "CONFIG_DEBUG_INFO_BTF)");
    if (!has_tracefs())
        return vp_fail(err, VP_HOST,
                       "tracing: no tracepoint of sched_setaffinity at /sys/kernel/tracing "
                       "(mount -t tracefs tracefs /sys/kernel/tracing)");
    trace->object = bpf_object__open_mem(vp_trace_object,
                                         (size_t)(vp_trace_object_end - vp_trace_object), NULL);
    if (!trace->object)
        return vp_fail_errno(err, VP_HOST, errno, "tracing: reading the programs");
    if (set_conf(trace->object, err) < 0)
        return -1;
    result = bpf_object__load(trace->object);
    if (result < 0)
        return vp_fail_errno(err, VP_HOST, -result,
                             "tracing: the kernel does not take the programs");
    trace->threads = bpf_object__find_map_fd_by_name(trace->object, "threads");
    trace->lost = bpf_object__find_map_fd_by_name(trace->object, "lost");
    return attach_all(trace->object, err);
}

static int on_event(void *data, void *event, size_t size)
{
    struct vp_trace *trace = data;

    if (size >= sizeof(struct vp_trace_event))
        vp_calls_take(trace->enforcer, event);
    return 0;
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)fd, (void)events;
    vp_enforcer_run_due(enforcer);
    vp_fight_limit(enforcer, source, &enforcer->calls_limited);
    return 0;
}

static int watch(struct vp_trace *trace, struct vp_error *err)
{
    int ring = bpf_object__find_map_fd_by_name(trace->object, "ring");
    int result;

    trace->ring = ring_buffer__new(ring, on_event, trace, NULL);
    if (!trace->ring)
        return vp_fail_errno(err, VP_HOST, errno, "tracing: the ring");
    result = sd_event_add_io(trace->enforcer->event, NULL, ring_buffer__epoll_fd(trace->ring),
                             EPOLLIN, on_ring, trace->enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}

int vp_trace_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_trace *trace = calloc(1, sizeof(*trace));

    if (!trace)
        return vp_fail(err, VP_HOST, "out of memory");
    trace->enforcer = enforcer;
    libbpf_set_print(say_nothing);
    if (load(trace, err) < 0 || watch(trace, err) < 0) {
        vp_trace_stop(trace);
        return -1;
    }
    enforcer->trace = trace;
    return 0;
}

void vp_trace_stop(struct vp_trace *trace)
{
    if (!trace)
        return;
    ring_buffer__free(trace->ring);
    bpf_object__close(trace->object);
    free(trace);
}

/* ---- at work ---- */

/* What got lost may have been about anybody. */
static void check_lost(struct vp_trace *trace)
{
    uint32_t first = 0;
    uint64_t lost = 0;

    if (bpf_map_lookup_elem(trace->lost, &first, &lost) < 0 || lost == trace->lost_before)
        return;
    trace->lost_before = lost;
    vp_sight_lost(trace->enforcer, VP_SIGHT_CALLS);
}

void vp_trace_drain(struct vp_enforcer *enforcer)
{
    if (!enforcer->trace)
        return;
    ring_buffer__consume(enforcer->trace->ring);
    check_lost(enforcer->trace);
}

static bool same(const struct vp_threads *a, const struct vp_threads *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->item, b->item, a->count * sizeof(*a->item)) == 0);
}

void vp_trace_follow(struct vp_trace *trace, struct vp_threads *followed,
                     const struct vp_threads *now)
{
    static const struct vp_threads none;
    uint8_t there = 1;

    now = now ? now : &none;
    if (!trace || same(followed, now))
        return;
    for (size_t i = 0; i < followed->count; i++)
        bpf_map_delete_elem(trace->threads, &followed->item[i].tid);
    vp_threads_clear(followed);
    if (now->count == 0)
        return;
    followed->item = malloc(now->count * sizeof(*now->item));
    /* Without memory, or in a full map, they are left to the sweep. */
    for (size_t i = 0; followed->item && i < now->count; i++) {
        followed->item[followed->count++] = now->item[i];
        bpf_map_update_elem(trace->threads, &now->item[i].tid, &there, BPF_ANY);
    }
}

#else

int vp_trace_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    (void)enforcer;
    return vp_fail(err, VP_HOST, "tracing: this virtpind was built without libbpf");
}

void vp_trace_stop(struct vp_trace *trace)
{
    (void)trace;
}

void vp_trace_drain(struct vp_enforcer *enforcer)
{
    (void)enforcer;
}

void vp_trace_follow(struct vp_trace *trace, struct vp_threads *followed,
                     const struct vp_threads *now)
{
    (void)trace, (void)followed, (void)now;
}

#endif
