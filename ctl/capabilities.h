/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CAPABILITIES_H
#define VP_CAPABILITIES_H

#include <libxml/tree.h>

struct vp_ctl;
struct vp_domain;
struct vp_engine;
struct vp_error;
struct vp_policy;

/* Whether the host in question can run the policy's CPU: by --capabilities, by
 * this host's libvirt, or, with --topology alone or without an answer of
 * libvirt, not asked (one note on stderr). why: "" or the reason. *one: the
 * policy as it is for that host, with the first of cpu-models that it can run
 * (not asked: the first). */
int vp_ctl_capable(const struct vp_ctl *ctl, struct vp_engine *engine,
                   const struct vp_domain *domain, xmlDoc *doc, const struct vp_policy *policy,
                   struct vp_policy *one, char why[512], struct vp_error *err);

/* What libvirt makes of host-model on the host in question; the caller frees;
 * NULL where it is not known. */
char *vp_ctl_host_model(const struct vp_ctl *ctl, struct vp_engine *engine,
                        const struct vp_domain *domain, xmlDoc *doc);

#endif
