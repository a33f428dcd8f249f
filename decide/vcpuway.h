/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VCPUWAY_H
#define VP_VCPUWAY_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/cpuset.h"

struct vp_error;

/* How a guest can get another number of vCPUs now. libvirt unplugs a vCPU only
 * if it was hotpluggable when the guest booted or was plugged since
 * (src/qemu/qemu_hotplug.c, 9.0.0 to 11.3.0); the guest agent takes vCPUs
 * offline inside and leaves their threads. */

enum vp_vcpu_way {
    VP_WAY_NONE, /* it has that number already */
    VP_WAY_PLUG,
    VP_WAY_UNPLUG,
    VP_WAY_AGENT,
    VP_WAY_DEFINITION, /* at its next start */
};
/* "none", "plug", "unplug", "agent", "definition". */
const char *vp_vcpu_way_word(enum vp_vcpu_way way);

struct vp_vcpu_facts {
    bool running;
    bool persistent;
    bool paused;
    unsigned maximum;              /* running: of the guest as it runs; else of its definition */
    struct vp_cpuset listed;       /* running: vCPUs that libvirt counts */
    struct vp_cpuset lost;         /* of these the ones that QEMU has no thread for any more */
    struct vp_cpuset unpluggable;  /* of listed without lost */
    bool agent;                    /* the guest agent answers; the three below are its answer */
    struct vp_cpuset guest_vcpus;  /* CPUs inside the guest, by the guest's numbers */
    struct vp_cpuset guest_online; /* of these */
    struct vp_cpuset guest_offlinable;
    unsigned defined; /* persistent: vCPUs at the next start, and the most then */
    unsigned defined_most;
    unsigned
        policy_current; /* the policy in force writes so many into definitions; 0: it does not */
    const char *policy; /* its name; where policy_current is not 0 */
};

/* What has to be done. */
struct vp_vcpu_steps {
    enum vp_vcpu_way way;
    struct vp_cpuset unplug;        /* UNPLUG: these vCPUs, the highest first */
    struct vp_cpuset guest_online;  /* AGENT, PLUG (once all are plugged): by the guest's numbers */
    struct vp_cpuset guest_offline; /* AGENT */
    char why[256];                  /* DEFINITION of a running guest: why nothing works now; "" */
};

/* vCPUs the guest has: those it uses where its agent says so, else those that
 * QEMU has; of a guest that does not run, those of its next start. */
unsigned vp_vcpu_count(const struct vp_vcpu_facts *facts);

/* The way to `wanted` vCPUs. VP_REFUSED with what would help where there is
 * none. */
int vp_vcpu_choose(const struct vp_vcpu_facts *facts, unsigned wanted, struct vp_vcpu_steps *steps,
                   struct vp_error *err);

#endif
