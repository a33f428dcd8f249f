/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOMCAPS_H
#define VP_DOMCAPS_H

#include <stdbool.h>
#include <stddef.h>

struct vp_error;
struct vp_policy;

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

#endif
