/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line's way to an engine; apart, so that the hook need not link
 * what reads files and looks at hosts. */
#include "host/discover.h"
#include "host/engine_priv.h"

int vp_engine_open(struct vp_engine *engine, const struct vp_conf_where *where, const char *spec,
                   struct vp_error *err)
{
    if (!spec)
        return vp_engine_open_here(engine, where, NULL, err);
    if (vp_engine_begin(engine, where, err) < 0 ||
        vp_conf_load(&engine->where, &engine->set, &engine->findings, err) < 0)
        return -1;
    vp_engine_sys_root(engine, spec);
    return vp_discover(spec, &engine->topology, err);
}
