/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LEDGERWATCH_H
#define VP_LEDGERWATCH_H

struct vp_enforcer;
struct vp_error;

/* The ledger, by inotify on RUN-DIR: every commit writes to ledger.db-wal, a
 * hook that has a request touches `wake`, and a ledger that is taken away is
 * noticed at once. */
int vp_ledgerwatch_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* At each sweep: a directory that was made anew is watched again. */
void vp_ledgerwatch_check(struct vp_enforcer *enforcer);

#endif
