/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/guestnuma.h"
#include "decide/rewritetree.h"

/* <numa> in <cpu>. A cell that is there keeps what else it says: memAccess,
 * discard, caches. */

static int set_number(xmlNode *node, const char *name, unsigned long long value,
                      struct vp_error *err)
{
    bool changed = false;
    char text[32];

    snprintf(text, sizeof(text), "%llu", value);
    return vp_tree_set(node, name, text, &changed, err);
}

static xmlNode *add(xmlNode *parent, xmlNode *after, const char *name, struct vp_error *err)
{
    xmlNode *node = vp_tree_element(parent->doc, name);

    if (!node) {
        vp_xml_no_memory(err);
        return NULL;
    }
    return vp_tree_insert(parent, after, node, err) < 0 ? NULL : node;
}

/* libvirt's order in <cpu>: numa is its last but for what newer ones may add. */
static xmlNode *make_numa(xmlNode *cpu, struct vp_error *err)
{
    static const char *const before[] = {"arch",      "model",       "vendor",  "microcode",
                                         "signature", "maxphysaddr", "counter", "topology",
                                         "cache",     "feature",     NULL};
    xmlNode *numa = vp_xml_child(cpu, "numa");

    return numa ? numa : add(cpu, vp_tree_last_of(cpu, before), "numa", err);
}

static int write_distances(xmlNode *cell, unsigned at, const struct vp_cells *cells,
                           const struct vp_numa_facts *facts, struct vp_error *err)
{
    xmlNode *old = vp_xml_child(cell, "distances"), *distances, *after = NULL;

    if (old)
        vp_tree_remove(old);
    if (!facts || !facts->has_distance || facts->count != cells->count || cells->count < 2)
        return 0;
    distances = add(cell, NULL, "distances", err);
    if (!distances)
        return -1;
    for (unsigned i = 0; i < cells->count; i++) {
        after = add(distances, after, "sibling", err);
        if (!after || set_number(after, "id", i, err) < 0 ||
            set_number(after, "value", facts->distance[at][i], err) < 0)
            return -1;
    }
    return 0;
}

static int write_cell(xmlNode *cell, unsigned at, const struct vp_cells *cells,
                      const struct vp_numa_facts *facts, struct vp_error *err)
{
    VP_AUTO(free) char *list = vp_cpuset_format(&cells->vcpus[at]);
    bool changed = false;

    if (!list)
        return vp_xml_no_memory(err);
    if (set_number(cell, "id", at, err) < 0 || vp_tree_set(cell, "cpus", list, &changed, err) < 0 ||
        set_number(cell, "memory", cells->memory_kib[at], err) < 0 ||
        vp_tree_set(cell, "unit", "KiB", &changed, err) < 0)
        return -1;
    return write_distances(cell, at, cells, facts, err);
}

/* Cells are told by their place here; libvirt writes them by id. */
int vp_guest_numa_write(xmlNode *root, const struct vp_cells *cells,
                        const struct vp_numa_facts *facts, struct vp_error *err)
{
    xmlNode *cpu = vp_tree_part(root, "cpu", err);
    xmlNode *numa = cpu ? make_numa(cpu, err) : NULL;
    xmlNode *cell = vp_xml_child(numa, "cell"), *after = NULL, *next;

    if (!numa)
        return -1;
    for (unsigned i = 0; i < cells->count; i++) {
        if (!cell)
            cell = add(numa, after, "cell", err);
        if (!cell || write_cell(cell, i, cells, facts, err) < 0)
            return -1;
        after = cell;
        cell = vp_xml_again(cell);
    }
    for (; cell; cell = next) {
        next = vp_xml_again(cell);
        vp_tree_remove(cell);
    }
    return 0;
}
