/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TELL_H
#define VP_TELL_H

struct vp_engine;

/* Has libvirt told the pins that a running guest has by now: by the enforcer
 * where it is up (the request is in the ledger already), else at once. What
 * fails is said on stderr: the threads are where they should be all the same. */
void vp_tell_guest(struct vp_engine *engine, const char *uuid);

#endif
