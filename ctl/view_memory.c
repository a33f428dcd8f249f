/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"

int vp_view_memory(struct vp_view *view, struct vp_error *err)
{
    for (size_t i = 0; i < view->guest_count; i++) {
        struct vp_view_guest *guest = &view->guest[i];
        VP_AUTO(free) struct vp_memory_nodes *memory = NULL;
        struct vp_error own = {0};

        if (guest->pid == 0)
            continue;
        memory = calloc(1, sizeof(*memory));
        if (!memory)
            return vp_fail(err, VP_HOST, "out of memory");
        if (vp_memory_read("/proc", guest->pid, memory, &own) == 0) {
            guest->memory = memory;
            memory = NULL;
        } else if (own.code != VP_GONE) {
            vp_findings_note(&view->findings, VP_WARNING, "guest %s: %s", guest->name, own.text);
        }
    }
    return 0;
}

const struct vp_memory_moving *vp_view_moving(const struct vp_view *view,
                                              const struct vp_view_guest *guest)
{
    return view->moving.uuid[0] && strcmp(view->moving.uuid, guest->uuid) == 0 ? &view->moving
                                                                               : NULL;
}

uint64_t vp_view_elsewhere(const struct vp_view_guest *guest)
{
    uint64_t kib = 0;

    for (int node = 0; guest->memory && !vp_cpuset_empty(&guest->nodes) && node < VP_NODES_MAX;
         node++)
        if (!vp_cpuset_has(&guest->nodes, node))
            kib += guest->memory->kib[node];
    return kib;
}
