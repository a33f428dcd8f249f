/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_INTENT_H
#define VP_INTENT_H

#include <stddef.h>

struct vp_drift_record;
struct vp_error;

/* What is being put right at this moment, in RUN-DIR/repairing. A repair is
 * written first and recorded then; whoever is killed between the two leaves
 * the file as it is, and the next enforcer says what it holds. */

#define VP_INTENT_SIZE 1024

struct vp_intent {
    int fd; /* -1: not open, and everything below does nothing */
    size_t length;
    char text[VP_INTENT_SIZE];
};

/* Says in the journal what an enforcer before this one left. */
int vp_intent_open(struct vp_intent *intent, const char *run_dir, struct vp_error *err);
void vp_intent_close(struct vp_intent *intent);

/* Adds a record, keeps them all on file (before a repair), forgets them (when
 * all is recorded). What has no room is left out. */
void vp_intent_add(struct vp_intent *intent, const struct vp_drift_record *record);
void vp_intent_keep(struct vp_intent *intent);
void vp_intent_done(struct vp_intent *intent);

#endif
