/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFWAIT_H
#define VP_CONFWAIT_H

struct vp_conf_where;
struct vp_error;

/* Before anything else is opened: waits until there is a set of policies, the
 * files' or the last good one. While there is none, says so in the journal, each
 * error once, and to the service manager, and looks again every second and at
 * SIGHUP. Only where a service manager waits for word (NOTIFY_SOCKET): anybody
 * else is told at once, by the caller's next step. Leaves SIGTERM, SIGINT and
 * SIGHUP blocked where it waited. 0: go on; 1: SIGTERM or SIGINT came; -1: it
 * cannot wait. */
int vp_confwait(const struct vp_conf_where *where, struct vp_error *err);

#endif
