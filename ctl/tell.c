/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/tell.h"

#include <stdio.h>

#include "ctl/connect.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine.h"
#include "host/threads.h"

static int tell(struct vp_engine *engine, const struct vp_guest_row *row, struct vp_error *err)
{
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_pins pins = {0};
    unsigned told = 0;
    int result = -1;

    connection = vp_ctl_connect(engine->set->host.uri, err);
    if (!connection)
        return -1;
    if (vp_status_load(engine->status_dir, row->name, &status, err) == 0 &&
        vp_engine_pins(engine, row, status->domain, &pins, err) == 0 &&
        (domain = vp_virt_domain(connection, row->uuid, err)))
        result =
            vp_virt_tell_pins(domain, &pins, &status->domain->pins, row->plan->policy, &told, err);
    vp_pins_clear(&pins);
    return result;
}

void vp_tell_guest(struct vp_engine *engine, const char *uuid)
{
    struct vp_enforcer_facts enforcer;
    struct vp_guest_row row = {0};
    struct vp_error err = {0};

    vp_enforcer_read(engine->set->host.run_dir, &enforcer);
    if (enforcer.running || !engine->set->host.tell_libvirt)
        return;
    if (vp_ledger_guest(engine->ledger, uuid, &row, &err) == 1 && row.plan &&
        tell(engine, &row, &err) != 0)
        fprintf(stderr, "virtpin: %s: libvirt's pins were not set: %s\n", row.name, err.text);
    vp_guest_row_clear(&row);
}
