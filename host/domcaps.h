/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOMCAPS_H
#define VP_DOMCAPS_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "decide/policy.h"

struct vp_domain;
struct vp_engine;
struct vp_error;

/* What CPUs a host can give its guests: libvirt's domain capabilities
 * (docs/formatdomaincaps.rst, <cpu>), as `virsh domcapabilities` prints them. */
struct vp_domcaps;

/* The caller frees. VP_INPUT if it is no <domainCapabilities>. */
int vp_domcaps_parse(const char *bytes, size_t length, struct vp_domcaps **caps,
                     struct vp_error *err);
void vp_domcaps_free(struct vp_domcaps *caps);
static inline void vp_domcaps_cleanup(struct vp_domcaps **caps)
{
    vp_domcaps_free(*caps);
}

/* Whether the policy's mode and model can run there. If not, why (512 bytes)
 * says so and names models that can. What the capabilities are silent about
 * can. */
bool vp_domcaps_allows(const struct vp_domcaps *caps, const struct vp_policy *policy,
                       char why[512]);

/* The same, and the policy as it is for that host in *one (vp_policy_for_host):
 * the first of its models that can run there, the CPU's vendor. */
bool vp_domcaps_choose(const struct vp_domcaps *caps, const struct vp_policy *policy,
                       struct vp_policy *one, char why[512]);

/* Whose nested virtualisation that host has: the vendor of host-model. */
enum vp_cpu_vendor vp_domcaps_vendor(const struct vp_domcaps *caps);

/* What host-model is there, as "EPYC-Rome of AMD, +x2apic -svm"; the caller
 * frees; NULL where the capabilities do not say. */
char *vp_domcaps_host_model(const struct vp_domcaps *caps);

/* host-model's model; the caller frees; NULL where there is none. */
char *vp_domcaps_model(const struct vp_domcaps *caps);

/* Whether any mode names the feature. They name some, not all. */
bool vp_domcaps_names_feature(const struct vp_domcaps *caps, const char *name);
/* "libvirt here knows no CPU feature NAME, nearest: ..."; more: a <cpu> with
 * further features, or NULL. */
void vp_domcaps_no_feature(const struct vp_domcaps *caps, const xmlNode *more, const char *name,
                           char why[512]);

/* ---- kept in RUN-DIR/domcaps/ for those who may not ask (domcapscache.c) ---- */

void vp_domcaps_keep(const struct vp_engine *engine, const struct vp_domain *domain,
                     const char *emulator, const char *text);
/* The text that was kept; the caller frees; NULL where there is none. */
char *vp_domcaps_kept(const struct vp_engine *engine, const struct vp_domain *domain,
                      const char *emulator);
/* The policy as it is for this host by what was kept for the <domain> at
 * `root`; as it stands where nothing was, or nothing can run. */
void vp_domcaps_known(const struct vp_engine *engine, const struct vp_domain *domain, xmlNode *root,
                      const struct vp_policy *policy, struct vp_policy *one);

/* Whether the answer depends on the host: a choice of models, nested. */
bool vp_policy_asks_host(const struct vp_policy *policy);

#endif
