/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/error.h"

/* libvirt has read the nodes before us: a list that we cannot read makes what
 * is wanted unknown, and nothing of the guest is refused for it. */
static bool read_nodes(const xmlNode *node, struct vp_cpuset *nodes)
{
    const char *text = vp_xml_attr(node, "nodeset");

    return text && vp_cpuset_parse(nodes, text, NULL) == 0 && !vp_cpuset_empty(nodes);
}

static bool is_confining(const char *mode)
{
    return !mode || strcmp(mode, "strict") == 0 || strcmp(mode, "restrictive") == 0;
}

static int read_cells(const xmlNode *node, struct vp_guest_numatune *tune, struct vp_error *err)
{
    for (const xmlNode *cell = vp_xml_child(node, "memnode"); cell; cell = vp_xml_again(cell)) {
        struct vp_cpuset *grown = realloc(tune->cell, (tune->cell_count + 1) * sizeof(*tune->cell));

        if (!grown)
            return vp_xml_no_memory(err);
        tune->cell = grown;
        grown[tune->cell_count] = (struct vp_cpuset){0};
        if (read_nodes(cell, &grown[tune->cell_count]))
            tune->cell_count++;
        else
            tune->unknown = true;
    }
    return 0;
}

int vp_domain_read_numatune(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    struct vp_guest_numatune *tune = &domain->numatune;
    const xmlNode *memory = node ? vp_xml_child(node, "memory") : NULL;
    const char *placement;

    if (!memory)
        return 0;
    placement = vp_xml_attr(memory, "placement");
    tune->confines = is_confining(vp_xml_attr(memory, "mode"));
    tune->unknown =
        (placement && strcmp(placement, "auto") == 0) || !read_nodes(memory, &tune->nodes);
    return read_cells(node, tune, err);
}
