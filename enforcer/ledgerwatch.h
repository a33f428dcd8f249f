/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LEDGERWATCH_H
#define VP_LEDGERWATCH_H

struct vp_enforcer;

/* The ledger, by inotify on RUN-DIR: every commit writes to ledger.db-wal, a
 * hook that has a request touches `wake`, and a ledger that is taken away is
 * noticed at once. At the start and at each sweep: a directory that was made
 * anew is watched again; where it cannot be, the ledger is read. */
void vp_ledgerwatch_check(struct vp_enforcer *enforcer);

#endif
