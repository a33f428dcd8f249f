/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TRACE_H
#define VP_TRACE_H

#include <sys/types.h>

#include "host/threads.h"

struct vp_enforcer;
struct vp_error;
struct vp_trace;

/* The kernel's own word of calls that change a guest's thread, by BPF programs
 * on tracepoints (bpf/trace.bpf.c): at once, and with the caller, who may have
 * ended since. Needs CONFIG_BPF_EVENTS, CONFIG_FTRACE_SYSCALLS, BTF
 * (/sys/kernel/btf/vmlinux), a mounted tracefs, Linux 5.8, and CAP_BPF with
 * CAP_PERFMON or CAP_SYS_ADMIN; where one is missing the sweep finds changes. */

/* Loads and attaches the programs and adds them to the loop. VP_HOST with what
 * is missing, in the operator's words; then enforcer->trace stays NULL. */
int vp_trace_start(struct vp_enforcer *enforcer, struct vp_error *err);
/* NULL is legal. */
void vp_trace_stop(struct vp_trace *trace);

/* Takes what has come and marks guests for a look. */
void vp_trace_drain(struct vp_enforcer *enforcer);

/* From now on calls on these threads are news, and those on others of
 * `followed`, which is what was followed before and becomes a copy of `now`,
 * are not. NULL: none. Without a trace it does nothing. */
void vp_trace_follow(struct vp_trace *trace, struct vp_threads *followed,
                     const struct vp_threads *now);

#endif
