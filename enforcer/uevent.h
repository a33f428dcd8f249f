/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_UEVENT_H
#define VP_UEVENT_H

struct vp_enforcer;
struct vp_error;

/* CPUs that go off and come on, as the kernel says so (netlink, the same
 * messages that udev gets): the host's shape is read anew at once. */
int vp_uevent_start(struct vp_enforcer *enforcer, struct vp_error *err);

#endif
