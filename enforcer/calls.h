/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CALLS_H
#define VP_CALLS_H

#include <sys/types.h>

#include "decide/drift.h"

struct vp_enforcer;
struct vp_trace_event;
struct vp_watched;

/* What a traced call means for a guest: whose it was, and when to look. */

/* Notes the call with the guest whose thread it was about, and marks it for a
 * look: at once, or when the caller (libvirt, a hook) is done. */
void vp_calls_take(struct vp_enforcer *enforcer, const struct vp_trace_event *event);

/* The guest that had that thread at its last look; NULL: none. */
struct vp_watched *vp_calls_guest(struct vp_enforcer *enforcer, pid_t tid);

/* The caller as the event has it; what else there is (unit) from /proc or, if
 * it has ended, from its group, a directory below v2_mount ("" : none). */
void vp_calls_culprit(const struct vp_trace_event *event, const char *v2_mount,
                      struct vp_culprit *by);

#endif
