/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITION_H
#define VP_DEFINITION_H

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/rewrite.h"

struct vp_engine;
struct vp_error;

/* Rewriting persistent definitions to the policy, keeping what was replaced,
 * and putting it back. For enforcer and ctl. */

enum vp_definition_result {
    VP_DEFINITION_SAME, /* already as the policy wants, or no policy applies */
    VP_DEFINITION_WRITTEN,
    VP_DEFINITION_IMPOSSIBLE, /* the guest or this host cannot have it: findings say why */
    VP_DEFINITION_CONTESTED,  /* another tool changed it back meanwhile */
    VP_DEFINITION_FAILED,
};

/* Reads the definition INACTIVE|SECURE, rewrites it by the policy that applies,
 * keeps the original in STATE-DIR/definitions/UUID.FACET.xml (0600, written
 * before the define), defines, reads back. If the read-back shows that the
 * define added a domain that the user had undefined meanwhile, it is undefined
 * again (nvram, tpm, checkpoints and managed save kept) and SAME is returned.
 * `dry_run`: everything but the writing. changes (may be NULL; the caller
 * clears) gets what differs. Transient domains: SAME. Before defining, a
 * CPU that libvirt's domain capabilities call unusable on this host is
 * IMPOSSIBLE, with the usable alternatives in findings. Under mode = audit
 * nothing is written: SAME, and changes tells (else they are empty with SAME).
 * What the guest cannot have (a topology whose product is not its vCPUs) is an
 * error-grade finding; the rest is written all the same. FAILED with VP_BUSY: a hook of the guest
 * or a job of libvirt is under way, try again later. A definition that was changed back too often
 * ([host] contested) is left alone for ten minutes: CONTESTED. */
enum vp_definition_result vp_definition_rewrite(struct vp_engine *engine, virDomainPtr domain,
                                                bool dry_run, struct vp_changes *changes,
                                                struct vp_findings *findings, struct vp_error *err);

/* Puts back what stood there before us: today's definition with our facets as
 * the kept original has them; byte-identical where nothing else changed.
 * *reverted false: nothing of ours is kept. The kept files go, and a mark is
 * left (STATE-DIR/definitions/UUID.reverted, with the hash of the definition)
 * so that the enforcer does not rewrite this very definition again until
 * somebody redefines it or its policy changes. */
int vp_definition_revert(struct vp_engine *engine, virDomainPtr domain, bool *reverted,
                         struct vp_error *err);

/* Takes our mark and, where it is, the pins out of the definition, for good:
 * what was kept of them goes, and the mark of a revert is left. *stripped
 * false: there was nothing of ours. */
int vp_definition_strip(struct vp_engine *engine, virDomainPtr domain, bool *stripped,
                        struct vp_error *err);

/* Leaves the mark of a revert: this very definition is not rewritten. */
int vp_definition_leave(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err);

/* Removes what is kept of a guest: call it when its definition was undefined. */
void vp_definition_forget(const char *state_dir, const char *uuid);

/* libvirt's domain capabilities for such a guest; the caller frees; NULL with
 * *err. emulator: the definition's, NULL libvirt's default. Answers are kept in
 * RUN-DIR/domcaps/ by emulator, arch, machine and virt type, and used where
 * libvirt gives none. */
char *vp_domcaps_ask(struct vp_engine *engine, virConnectPtr connection,
                     const struct vp_domain *domain, const char *emulator, struct vp_error *err);

/* They say that this host can run the CPU of the policy: 1 yes, 0 no (why), -1
 * unknown (error). *one is the policy as it is for this host, with the first of
 * cpu-models that can run (vp_policy_for_host). */
int vp_domcaps_usable(struct vp_engine *engine, virConnectPtr connection,
                      const struct vp_domain *domain, const char *emulator,
                      const struct vp_policy *policy, struct vp_policy *one, char why[512],
                      struct vp_error *err);

#endif
