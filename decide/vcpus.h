/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VCPUS_H
#define VP_VCPUS_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/domain.h"
#include "decide/policy.h"
#include "decide/rewrite.h"

struct vp_error;

/* How many vCPUs a guest has, how many at boot, and which can be unplugged.
 * libvirt: docs/formatdomain.rst, "CPU Allocation"; a vCPU can be unplugged if
 * it is hotpluggable='yes' when the guest boots, and vCPU 0 never is
 * (src/qemu/qemu_domain.c, qemuDomainDefVcpusPostParse, 9.0.0 to 11.3.0). */

struct vp_vcpus {
    unsigned maximum;
    struct vp_cpuset online;       /* at boot; 0 is among them */
    struct vp_cpuset hotpluggable; /* of these */
};

/* What the definition says. */
void vp_vcpus_of(const struct vp_domain *domain, struct vp_vcpus *vcpus);
bool vp_vcpus_equal(const struct vp_vcpus *a, const struct vp_vcpus *b);
/* "6 vCPUs, 4 at boot, all but vCPU 0 can be unplugged". */
void vp_vcpus_say(const struct vp_vcpus *vcpus, char *text, size_t size);

/* What the policy wants of it. False: this guest cannot have it, and why says
 * so; *wanted is then what the definition says. Under MIGRATE and RESTORE what
 * was plugged since the boot, and what vcpus-current says of the next, do not
 * count. */
bool vp_vcpus_wanted(const struct vp_domain *domain, const struct vp_policy *policy,
                     enum vp_rewrite_op op, struct vp_vcpus *wanted, char *why, size_t size);

/* Makes `domain` what it is once its definition was written to the policy, as
 * far as its vCPUs are concerned: for planning the start that follows. */
void vp_vcpus_foresee(struct vp_domain *domain, const struct vp_policy *policy);

/* Writes <vcpu> and <vcpus> of the <domain> at `root`. */
int vp_vcpus_write(xmlNode *root, const struct vp_vcpus *vcpus, struct vp_error *err);
/* Makes them what they are in the original. */
int vp_vcpus_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err);

#endif
