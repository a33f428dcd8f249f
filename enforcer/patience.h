/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PATIENCE_H
#define VP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/drift.h"

struct vp_case;
struct vp_enforcer;
struct vp_watched;

/* When to touch a guest and when to wait. */

/* libvirt writes a group's cpuset and then sets the thread's affinity; a
 * repair between the two makes its call fail. Its status file is written after
 * both; this is the end where none comes (the call failed, or the daemon was
 * stopped). */
#define VP_DAEMON_WRITE_US 200000
/* After the status file was written: the next call may already be under way,
 * and the two kinds of events say nothing of their order. */
#define VP_DAEMON_DONE_US 20000
/* However busy libvirt is with a guest, it is looked at this often. */
#define VP_BUSY_MAX_US 2000000
/* Hooks and ctl write to the plan: they get the time to finish. */
#define VP_OWN_WRITE_US 20000
/* A thread that libvirt is still setting up is looked at again after this. */
#define VP_SETUP_US 100000
/* ... and is drift when it is not where it belongs after this. */
#define VP_SETUP_MAX_US 3000000

/* Somebody is at work on the guest's groups, for `wait` microseconds more. */
void vp_patience_busy(struct vp_watched *guest, int64_t now_us, int64_t wait);
/* The status file was written: libvirt's step is over. */
void vp_patience_done(struct vp_watched *guest, int64_t now_us);

/* Microseconds until this guest may be judged; 0: now. */
int64_t vp_patience_wait(const struct vp_watched *guest, int64_t now_us);

/* `virtpin hold` is in force. */
bool vp_patience_held(const struct vp_watched *guest);

/* What may be done about a difference seen now: VP_DRIFT_REPAIRED: repair it;
 * else the state that it has instead (audit, held, contested; open: repairs
 * are off or over the limit). Counts the sighting for the contest. */
enum vp_drift_state vp_patience_state(struct vp_enforcer *enforcer, struct vp_watched *guest,
                                      struct vp_case *seen, int64_t now_us);

/* Whose doing it was, for what may be done about it when: by process, or by
 * root's command names of libvirt's daemons and of virtpin. */
enum vp_writer { VP_WRITER_OURS, VP_WRITER_LIBVIRT, VP_WRITER_OTHER };
enum vp_writer vp_patience_writer(const struct vp_enforcer *enforcer, const struct vp_culprit *by);

/* The process that is libvirt's qemu driver, by its pid file; 0: unknown. */
pid_t vp_patience_daemon(const struct vp_enforcer *enforcer);

#endif
