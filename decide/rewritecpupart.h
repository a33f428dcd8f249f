/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REWRITECPUPART_H
#define VP_REWRITECPUPART_H

#include <libxml/tree.h>
#include <stdbool.h>

#include "decide/domain.h"
#include "decide/rewrite.h"

/* The guest CPU beside mode and model: check= and migratable= (facet "cpu"), CPU
 * features, cache, maxphysaddr and what stands in <features> (facet
 * "features"). */

/* What a guest's details are judged by. */
struct vp_cpu_view {
    const struct vp_domain *domain;
    const struct vp_policy *policy;
    enum vp_rewrite_op op;
    const char *mode; /* that <cpu> has, or will have once it is rewritten */
    bool fresh;       /* the mode changes: check= and migratable= of the old one go */
};

/* Fills *view: the mode of the policy counts where it can be had. */
void vp_cpu_view(const struct vp_domain *domain, const struct vp_policy *policy,
                 enum vp_rewrite_op op, struct vp_cpu_view *view);

/* Whether <cpu> has the policy's mode, and under custom its model. */
bool vp_cpu_mode_is_met(const struct vp_guest_cpu *cpu, const struct vp_policy *policy,
                        enum vp_rewrite_op op);
/* Why this guest cannot have the policy's mode, or NULL. */
const char *vp_cpu_mode_obstacle(const struct vp_guest_cpu *cpu, const struct vp_policy *policy);

/* Adds the details that miss the policy; 0, or -1 without memory. */
int vp_cpu_details_check(const struct vp_cpu_view *view, struct vp_changes *changes);
/* Writes those that miss it and can be had into the <domain> at `root`. */
int vp_cpu_details_write(const struct vp_cpu_view *view, xmlNode *root, struct vp_error *err);

/* Appends to changes (of rewrite.c); -1 without memory. */
int vp_changes_add(struct vp_changes *changes, enum vp_facet facet, bool impossible,
                   const char *from, const char *to);

#endif
