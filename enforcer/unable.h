/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_UNABLE_H
#define VP_UNABLE_H

#include <stdbool.h>

struct vp_enforcer;
struct vp_error;
struct vp_watched;

/* The kernel does not let the enforcer put guests right: no right to (EPERM), a
 * file system that is read-only or broken. Status file, metrics and journal say
 * so, with what to do, until it lets it again. */
struct vp_unable {
    char why[256];    /* "": it does */
    char remedy[256]; /* what would help */
    char uuid[37];    /* the guest it was about last */
};

/* Whether such an error number of a write or a call is one of these: others are
 * about the thing that was written. */
bool vp_unable_is(int number);

/* It was refused; `err` says what. */
void vp_unable_begin(struct vp_enforcer *enforcer, const struct vp_watched *guest, int number,
                     const struct vp_error *err);

/* A repair of that guest was made, or there is nothing of it left to repair. */
void vp_unable_over(struct vp_enforcer *enforcer, const struct vp_watched *guest, bool repaired);

/* Sweep: the guest it was about may be no more. */
void vp_unable_check(struct vp_enforcer *enforcer);

#endif
