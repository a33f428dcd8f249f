/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/simulate.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine.h"

int vp_verb_simulate(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(vp_sim) struct vp_sim sim = {.micros = !vp_ctl_option(ctl, "no-micros")};
    size_t bad = 0;

    sim.sys_root = engine.sys_root;
    if (vp_ctl_engine(ctl, &engine, err) < 0 ||
        vp_sim_begin(&sim, engine.set, engine.topology, err) < 0 ||
        vp_sim_stream(&sim, STDIN_FILENO, stdout, &bad, err) < 0)
        return -1;
    return bad > 0 ? VP_EXIT_USE : VP_EXIT_GOOD;
}
