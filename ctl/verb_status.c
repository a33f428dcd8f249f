/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine.h"

int vp_verb_status(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(vp_view) struct vp_view view = {0};
    const char *only = ctl->argc > 0 ? ctl->argv[0] : NULL;

    if (vp_ctl_open(ctl, &engine, err) != 0 || vp_view_gather(ctl, &engine, only, &view, err) != 0)
        return -1;
    if (only && vp_view_memory(&view, err) != 0)
        return -1;
    if (ctl->json)
        vp_status_json(&engine, &view);
    else
        vp_status_text(&engine, &view, only != NULL);
    return vp_view_has_finding(&view) ? VP_EXIT_FINDING : VP_EXIT_GOOD;
}
