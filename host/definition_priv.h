/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITION_PRIV_H
#define VP_DEFINITION_PRIV_H

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "decide/finding.h"
#include "decide/guestnuma.h"
#include "decide/policy.h"
#include "host/definition_kept.h"

struct vp_engine;

/* One rewriting of one definition: what definition.c and definition_keep.c
 * share. */
struct vp_work {
    struct vp_engine *engine;
    virDomainPtr domain;
    const char *state_dir;
    char uuid[VIR_UUID_STRING_BUFLEN];
    bool dry_run;
    bool written;    /* make has given a text that may be defined */
    bool impossible; /* something of the policy cannot be had */
    bool contested;
    bool audit;
    struct vp_choice choice; /* points into the engine's set */
    struct vp_policy own;    /* the policy chosen, shallow: with what auto goes by */
    struct vp_numa_facts numa;
    struct vp_policy one; /* the same as it is for this host */
    struct vp_changes *changes;
    struct vp_findings *findings;
    struct vp_kept kept[VP_FACETS]; /* of this attempt: to be saved with what was read back */
    bool keep[VP_FACETS];
    struct vp_kept prior[VP_FACETS]; /* what stood in those files before, where had */
    bool had[VP_FACETS];
};

void vp_work_report(struct vp_work *work, enum vp_grade grade, const char *text,
                    const char *remedy);

/* Prepares the records of the facets in which `after` is other than `before`
 * (whose text is xml). 1: write; 0: nothing to write, work says why; -1. */
int vp_work_prepare(struct vp_work *work, const struct vp_domain *before,
                    const struct vp_domain *after, const char *xml, size_t length,
                    struct vp_error *err);
int vp_work_save(struct vp_work *work, struct vp_error *err);
/* Whether libvirt's own calls can make `before` what `after` is (definition_calls.c). */
bool vp_work_calls_suffice(const struct vp_work *work, xmlNode *root,
                           const struct vp_domain *before, const struct vp_domain *after);
/* Makes them. 0 done, to be read back; 1: this driver has no such calls, define; -1. */
int vp_work_call(struct vp_work *work, const struct vp_domain *before,
                 const struct vp_domain *after, struct vp_error *err);
/* The records as they were: nothing was defined. context: the work. */
void vp_work_abandon(void *context);

#endif
