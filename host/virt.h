/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRT_H
#define VP_VIRT_H

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "decide/domain.h"
#include "decide/pins.h"

struct vp_error;

/* The libvirt side, for enforcer and ctl only: never linked into the hook. */

static inline void virConnectPtr_cleanup(virConnectPtr *connection)
{
    if (*connection)
        virConnectClose(*connection);
}
static inline void virDomainPtr_cleanup(virDomainPtr *domain)
{
    if (*domain)
        virDomainFree(*domain);
}

/* Opens `uri` with keep-alive (5 s, 3 times); libvirt's own error printing is
 * silenced process-wide. The caller closes. */
virConnectPtr vp_virt_open(const char *uri, struct vp_error *err);

/* The same without keep-alive, for a thread beside libvirt's event loop: its
 * pings would wake the thread inside a call, which libvirt before 10.4 does
 * not survive (CVE-2024-4418). A hung libvirtd hangs the caller. */
virConnectPtr vp_virt_open_quiet(const char *uri, struct vp_error *err);

/* Fills *err from libvirt's last error: "CONTEXT: its message". VP_GONE for
 * VIR_ERR_NO_DOMAIN, VP_HOST else. Returns -1. No call of libvirt among the
 * arguments, not even virDomainGetName: each forgets the last error. */
int vp_virt_fail(struct vp_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* By name, uuid or id, as virsh does. The caller frees the domain. */
virDomainPtr vp_virt_domain(virConnectPtr connection, const char *name, struct vp_error *err);

/* Sets libvirt's live pins to `pins` where they differ from `known` (from the
 * status file or live XML); *told counts the calls made. Marks the live
 * definition with our metadata (urn:virtpin:applied:1, policy). */
int vp_virt_tell_pins(virDomainPtr domain, const struct vp_pins *pins, const struct vp_pins *known,
                      const char *policy, unsigned *told, struct vp_error *err);

/* The parts of it, for the live (VIR_DOMAIN_AFFECT_LIVE) or the persistent
 * definition (VIR_DOMAIN_AFFECT_CONFIG), which are changed by libvirt itself
 * and so without the race of a redefinition. Calls are added to *told. Of pins
 * that libvirt refuses the first is *err; the others are set all the same.
 * known NULL: all are set. mark with policy NULL takes the mark out. */
int vp_virt_set_pins(virDomainPtr domain, const struct vp_pins *pins, const struct vp_pins *known,
                     unsigned flags, unsigned *told, struct vp_error *err);
int vp_virt_mark(virDomainPtr domain, const char *policy, unsigned flags, unsigned *told,
                 struct vp_error *err);

/* Shares, period and quota where they differ from what libvirt knows (`known`, of
 * the same definition), in one call. For the scheduler libvirt has none. */
int vp_virt_set_tuning(virDomainPtr domain, const struct vp_tuning *tuning,
                       const struct vp_guest_tuning *known, unsigned flags, unsigned *told,
                       struct vp_error *err);

#endif
