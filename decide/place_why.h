/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_WHY_H
#define VP_PLACE_WHY_H

#include "decide/place_priv.h"

/* A sentence under way; what is too long for it is cut. */
struct vp_why {
    char *at;
    size_t size, used;
};
void vp_why_put(struct vp_why *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- place_limit.c */
/* The one of memory, cache and PCI locality without which the guest would be
 * placed, VP_LIMIT_NONE if there is none such; -1: without memory. */
int vp_place_other_limit(const struct vp_place_host *host, const struct vp_place_request *request);
/* Says so of answer->limit, and sets short_by: MiB of memory, CPUs of an L3. */
bool vp_place_why_limit(const struct vp_place_host *host, const struct vp_place_request *request,
                        struct vp_place_answer *answer, struct vp_why *text);

#endif
