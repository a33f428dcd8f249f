/* SPDX-License-Identifier: GPL-2.0-or-later */
/* <numatune> as the plan has it, noted in our mark: memory="MODE". */
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "decide/rewrite.h"
#include "decide/rewritepart.h"
#include "decide/rewritetree.h"

bool vp_rewrite_binds_memory(const xmlNode *root)
{
    const xmlNode *mark = vp_rewrite_mark(root);

    return mark && vp_xml_attr(mark, "memory") != NULL;
}

void vp_rewrite_unbind_memory(xmlNode *root)
{
    vp_rewrite_remove_all(root, "numatune", vp_rewrite_is_element, false);
}

static xmlNode *make(xmlNode *root, const char *name, const char *mode,
                     const struct vp_cpuset *nodes)
{
    VP_AUTO(free) char *list = vp_cpuset_format(nodes);
    xmlNode *node = list ? vp_tree_element(root->doc, name) : NULL;

    if (node && xmlNewProp(node, (const xmlChar *)"mode", (const xmlChar *)mode) &&
        xmlNewProp(node, (const xmlChar *)"nodeset", (const xmlChar *)list))
        return node;
    xmlFreeNode(node);
    return NULL;
}

static bool stands(const xmlNode *node, const char *mode, const struct vp_cpuset *nodes)
{
    const char *has = node ? vp_xml_attr(node, "mode") : NULL;
    const char *list = node ? vp_xml_attr(node, "nodeset") : NULL;
    struct vp_cpuset is = {0};

    return list && strcmp(has ? has : "strict", mode) == 0 &&
           vp_cpuset_parse(&is, list, NULL) == 0 && vp_cpuset_equal(&is, nodes);
}

/* Just these elements, in this order. */
static bool is_bound(xmlNode *root, const struct vp_memory_bind *bind, const char *mode)
{
    const xmlNode *tune = vp_xml_child(root, "numatune"), *child;
    size_t cells = 0;
    bool memory = false;

    if (!tune || vp_xml_again(tune))
        return false;
    for (child = tune->children; child; child = child->next) {
        const char *id;

        if (!vp_rewrite_is_element(child))
            continue;
        if (vp_xml_is(child, "memory") && !memory && stands(child, mode, &bind->nodes)) {
            memory = true;
            continue;
        }
        id = vp_xml_attr(child, "cellid");
        if (!vp_xml_is(child, "memnode") || cells >= bind->cell_count || !id ||
            strtoul(id, NULL, 10) != bind->cell[cells].id ||
            !stands(child, mode, &bind->cell[cells].nodes))
            return false;
        cells++;
    }
    return memory && cells == bind->cell_count;
}

static int write_bind(xmlNode *root, const struct vp_memory_bind *bind, const char *mode,
                      struct vp_error *err)
{
    xmlNode *tune, *after;

    vp_rewrite_unbind_memory(root);
    tune = vp_tree_part(root, "numatune", err);
    if (!tune)
        return -1;
    after = make(root, "memory", mode, &bind->nodes);
    if (!after)
        return vp_xml_no_memory(err);
    if (vp_tree_insert(tune, NULL, after, err) < 0)
        return -1;
    for (size_t i = 0; i < bind->cell_count; i++) {
        xmlNode *cell = make(root, "memnode", mode, &bind->cell[i].nodes);
        char id[16];

        snprintf(id, sizeof(id), "%u", bind->cell[i].id);
        if (!cell || !xmlNewProp(cell, (const xmlChar *)"cellid", (const xmlChar *)id)) {
            xmlFreeNode(cell);
            return vp_xml_no_memory(err);
        }
        if (vp_tree_insert(tune, after, cell, err) < 0)
            return -1;
        after = cell;
    }
    return 0;
}

int vp_rewrite_memory(xmlNode *root, const struct vp_memory_bind *bind, bool *changed,
                      struct vp_error *err)
{
    const char *mode = vp_memory_word(bind->mode);
    xmlNode *mark = vp_rewrite_mark(root);

    if (bind->mode == VP_MEMORY_KEEP || vp_cpuset_empty(&bind->nodes)) {
        if (!mark || !vp_xml_attr(mark, "memory"))
            return 0;
        vp_rewrite_unbind_memory(root);
        return vp_tree_set(mark, "memory", NULL, changed, err);
    }
    if (!mark)
        return vp_fail(err, VP_INPUT, "memory is bound only beside virtpin's pins");
    if (!is_bound(root, bind, mode)) {
        *changed = true;
        if (write_bind(root, bind, mode, err) < 0)
            return -1;
    }
    return vp_tree_set(mark, "memory", mode, changed, err);
}
