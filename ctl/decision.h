/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DECISION_H
#define VP_DECISION_H

#include <libxml/tree.h>
#include <stdbool.h>

#include "decide/domain.h"
#include "decide/finding.h"
#include "decide/guestnuma.h"
#include "decide/plan.h"
#include "decide/rewrite.h"

struct vp_ctl;
struct vp_engine;
struct vp_error;

/* What virtpin would do with one domain: for explain, rewrite, plan, start.
 * Nothing is booked or changed. */
struct vp_decision {
    char *xml; /* owned */
    size_t length;
    xmlDoc *doc;
    struct vp_domain *domain;
    struct vp_choice choice;            /* policy NULL: none */
    struct vp_policy own;               /* that policy with what its auto goes by, shallow */
    struct vp_numa_facts numa;          /* of it: a decision stays where it was made */
    struct vp_policy one;               /* the same as it is for this host */
    struct vp_changes changes;          /* in what its guest CPU misses the policy */
    char host_cannot[512];              /* this host cannot run that CPU; "" */
    char *host_model;                   /* what host-model is there, for explain; owned; or NULL */
    struct vp_plan *plan;               /* NULL under mode off, without a policy, or refused */
    const struct vp_topology *topology; /* the engine's */
    struct vp_pins pins;                /* the plan with the pool filled in */
    struct vp_findings findings;        /* of planning */
    bool no_place;
    char why[1024]; /* no_place: the sentence */
    struct vp_place_answer answer;
    bool refused; /* a start (or migration, restore) would be refused now: why */
};

/* Takes `xml` (the decision's from now on, also after a failure). Asks libvirt
 * for this host's CPUs only where the CPU is to be changed and neither
 * --topology nor --capabilities is given. The caller clears. */
int vp_decide(const struct vp_ctl *ctl, struct vp_engine *engine, char *xml, size_t length,
              enum vp_rewrite_op op, struct vp_decision *decision, struct vp_error *err);
void vp_decision_clear(struct vp_decision *decision);
static inline void vp_decision_cleanup(struct vp_decision *decision)
{
    vp_decision_clear(decision);
}

/* Changes the tree to the decision, as definitions or incoming guests have it.
 * Under audit nothing. *changed says whether anything was. */
int vp_decision_apply(struct vp_decision *decision, enum vp_rewrite_op op, bool *changed,
                      struct vp_error *err);

/* "cpu: custom/EPYC -> host-model" */
void vp_change_text(const struct vp_change *change, char *text, size_t size);

#endif
