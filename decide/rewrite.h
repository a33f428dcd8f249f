/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REWRITE_H
#define VP_REWRITE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "decide/domain.h"
#include "decide/pins.h"
#include "decide/policy.h"

struct vp_error;

/* Changing domain XML to a policy. Pure: tree in, tree out. */

enum vp_facet {
    VP_FACET_CPU, /* mode, model, check=, migratable= */
    VP_FACET_TOPOLOGY,
    VP_FACET_PINS,
    VP_FACET_VCPUS,
    VP_FACET_AGENT,
    VP_FACET_FEATURES, /* CPU features, cache, maxphysaddr, pmu, hint-dedicated */
    VP_FACET_TUNING,   /* shares, period, quota, vcpusched */
    VP_FACET_NUMA,     /* the guest's NUMA cells */
};
enum { VP_FACETS = VP_FACET_NUMA + 1 };
/* "cpu", "topology", "pins", "vcpus", "agent", "features", "tuning", "numa" */
const char *vp_facet_word(enum vp_facet facet);
/* The same for a sentence "guest CPU is ..., policy wants ...". */
const char *vp_facet_noun(enum vp_facet facet);
/* Whether the guest sees the facet as its CPU: on-start and on-migrate refuse
 * for such facets only. */
bool vp_facet_is_guest_cpu(enum vp_facet facet);

/* One thing in which the XML differs from the policy. */
struct vp_change {
    enum vp_facet facet;
    char *from; /* as an operator would say it: "custom/EPYC", "2 sockets x 1 core x 1 thread" */
    char *to;
    bool impossible; /* this guest cannot have it; `to` then says why, with the arithmetic */
};
struct vp_changes {
    struct vp_change *item;
    size_t count;
};
void vp_changes_clear(struct vp_changes *changes);

enum vp_rewrite_op { VP_OP_DEFINE, VP_OP_MIGRATE, VP_OP_RESTORE };

/* In what the guest CPU and topology of `domain` miss the policy (empty:
 * nothing). Under MIGRATE and RESTORE libvirt has expanded host-model to
 * custom, which then counts as met. 0, or -1 without memory. */
int vp_guest_cpu_check(const struct vp_domain *domain, const struct vp_policy *policy,
                       enum vp_rewrite_op op, struct vp_changes *changes);

/* Changes <cpu> (mode, model, topology; what else is there stays: features,
 * numa, cache) of the <domain> at `root` to the policy. `changes` (cleared
 * first, the caller clears) gets what was changed and what was impossible and
 * therefore left. */
int vp_rewrite_guest_cpu(xmlNode *root, const struct vp_policy *policy, struct vp_changes *changes,
                         struct vp_error *err);

/* Makes the pins in <cputune> and <vcpu cpuset=> exactly `pins` (vcpupin,
 * emulatorpin, iothreadpin; other children of cputune stay; vcpu cpuset= and
 * placement='auto' go, numatune with placement='auto' too), and puts our mark
 * <virtpin:applied xmlns:virtpin="urn:virtpin:applied:1" policy="P"/> into
 * <metadata>. Equal already, mark included: *changed false, tree untouched. */
int vp_rewrite_pins(xmlNode *root, const struct vp_pins *pins, const char *policy, bool *changed,
                    struct vp_error *err);

/* Makes shares, period, quota and vcpusched of the <domain> at `root` what the
 * policy says, as far as policy->tuning_host can hold it; what the policy keeps
 * stays. For migrate and restore; definitions get it by vp_rewrite_guest_cpu.
 * Nothing to do: *changed is left alone. */
int vp_rewrite_tuning(xmlNode *root, const struct vp_policy *policy, bool *changed,
                      struct vp_error *err);

/* Makes <numatune> just what `bind` says and notes that in our mark, which is
 * there (vp_rewrite_pins); mode KEEP: what the mark says is ours goes.
 * Nothing to do: *changed is left alone. */
struct vp_memory_bind;
int vp_rewrite_memory(xmlNode *root, const struct vp_memory_bind *bind, bool *changed,
                      struct vp_error *err);

/* Takes our mark and, only where the mark is, the pins out again, and memory's
 * nodes where it says so. */
int vp_rewrite_strip(xmlNode *root, bool *changed, struct vp_error *err);

/* The document as text: without a change the input's very bytes are copied.
 * *out is the caller's, NUL-terminated, length without the NUL. */
int vp_xml_print(xmlDoc *doc, bool changed, const char *input, size_t input_length, char **out,
                 size_t *length, struct vp_error *err);

/* Undoes facets on today's definition: replaces <cpu> resp. pins of `root` by
 * what `original` has (absent there: removed here). *changed as above. */
int vp_rewrite_revert(xmlNode *root, xmlNode *original, const enum vp_facet *facets,
                      size_t facet_count, bool *changed, struct vp_error *err);

#endif
