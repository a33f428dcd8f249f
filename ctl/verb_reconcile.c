/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/output.h"
#include "ctl/repair.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/threads.h"

struct pass {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    const char *only;
    bool record; /* no enforcer is up to do it */
    unsigned repaired, left, guests;
    json_object *list; /* with --json */
};

static void note(struct pass *pass, const char *guest, const char *what, const char *text, bool bad)
{
    json_object *object;

    pass->left += bad;
    if (!pass->ctl->json) {
        printf("%s: %s%s%s%s%s\n", guest, vp_colour(bad ? VP_RED : VP_PLAIN), what,
               bad ? vp_colour_end() : "", text[0] ? ": " : "", text);
        return;
    }
    object = vp_json_object();
    vp_json_string(object, "guest", guest);
    vp_json_string(object, "what", what);
    vp_json_string(object, "text", text[0] ? text : NULL);
    vp_json_bool(object, "ok", !bad);
    vp_json_push(pass->list, object);
}

static bool is_asked(const struct pass *pass, const struct vp_guest_row *row)
{
    return !pass->only || strcmp(pass->only, row->name) == 0 ||
           strcasecmp(pass->only, row->uuid) == 0;
}

static void repair(struct pass *pass, const struct vp_guest_row *row)
{
    struct vp_repaired repaired;
    struct vp_error own = {0};
    bool changed = false;
    char text[64];

    if (vp_engine_replan(pass->engine, row->uuid, &changed, &own) != 0 && own.code != VP_GONE)
        note(pass, row->name, "not planned anew", own.text, true);
    if (changed)
        note(pass, row->name, "planned anew", "its policy has changed", false);
    if (vp_repair_guest(pass->engine, row, pass->record, &repaired, &own) != 0) {
        if (own.code != VP_GONE)
            note(pass, row->name, "not repaired", own.text, true);
        return;
    }
    snprintf(text, sizeof(text), "%u", repaired.differed);
    if (repaired.left > 0)
        note(pass, row->name, "still differs", repaired.why, true);
    else if (repaired.differed > 0)
        note(pass, row->name, "differences repaired", text, false);
    pass->repaired +=
        repaired.differed - (repaired.left < repaired.differed ? repaired.left : repaired.differed);
}

static void look_at(struct pass *pass, const struct vp_guest_row *row)
{
    if (row->state != VP_GUEST_RUNNING || !is_asked(pass, row))
        return;
    pass->guests++;
    if (row->hold_until_ms > vp_now_ms())
        note(pass, row->name, "held", "drift is left alone (virtpin hold NAME --for 0s)", false);
    else
        repair(pass, row);
}

static int look_at_all(struct pass *pass, struct vp_error *err)
{
    struct vp_guest_rows rows = {0};

    if (vp_ledger_guests(pass->engine->ledger, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        look_at(pass, &rows.item[i]);
        if (is_asked(pass, &rows.item[i]) && rows.item[i].unplaced)
            note(pass, rows.item[i].name, "has no place", rows.item[i].unplaced, true);
    }
    vp_guest_rows_clear(&rows);
    return 0;
}

/* libvirt's pins are the enforcer's to set; without one, ours. */
static int tell_libvirt(struct pass *pass, struct vp_error *err)
{
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct vp_guest_rows rows = {0};
    struct vp_error own = {0};

    if (!pass->engine->set->host.tell_libvirt)
        return 0;
    if (vp_ledger_guests(pass->engine->ledger, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        const struct vp_guest_row *row = &rows.item[i];
        VP_AUTO(vp_status) struct vp_status *status = NULL;
        VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
        struct vp_pins pins = {0};
        unsigned told = 0;

        if (row->state != VP_GUEST_RUNNING || !is_asked(pass, row) || !row->plan ||
            row->plan->mode != VP_MODE_ENFORCE || row->hold_until_ms > vp_now_ms())
            continue;
        if (!pass->record) {
            if (vp_ledger_begin(pass->engine->ledger, &own) == 0 &&
                vp_ledger_request(pass->engine->ledger, "tell", row->uuid, &own) == 0)
                vp_ledger_commit(pass->engine->ledger, &own);
            vp_ledger_rollback(pass->engine->ledger);
            continue;
        }
        if (!connection && !(connection = vp_ctl_connect(pass->engine->set->host.uri, &own))) {
            note(pass, row->name, "libvirt's pins not set", own.text, false);
            break;
        }
        if (vp_status_load(pass->engine->status_dir, row->name, &status, &own) == 0 &&
            vp_engine_pins(pass->engine, row, status->domain, &pins, &own) == 0 &&
            (domain = vp_virt_domain(connection, row->uuid, &own)) &&
            (vp_virt_tell_pins(domain, &pins, &status->domain->pins, row->plan->policy, &told,
                               &own) != 0 ||
             vp_virt_set_tuning(domain, &row->plan->tuning, &status->domain->tuning,
                                VIR_DOMAIN_AFFECT_LIVE, &told, &own) != 0))
            note(pass, row->name, "libvirt's pins not set", own.text, true);
        vp_pins_clear(&pins);
    }
    vp_guest_rows_clear(&rows);
    return 0;
}

static int run(struct pass *pass, struct vp_error *err)
{
    struct vp_error own = {0};
    bool changed = false;

    vp_waiting("adopting and repairing guests", 0);
    if (vp_engine_adopt_all(pass->engine, &changed, &own) != 0)
        note(pass, "this host", "not everything was adopted", own.text, true);
    if (look_at_all(pass, err) != 0 || tell_libvirt(pass, err) != 0)
        return -1;
    vp_waited();
    return 0;
}

static void print_end(struct pass *pass)
{
    json_object *object;

    if (!pass->ctl->json) {
        printf("%u %s looked at, %u %s repaired, %u %s left\n", pass->guests,
               pass->guests == 1 ? "guest" : "guests", pass->repaired,
               pass->repaired == 1 ? "difference" : "differences", pass->left,
               pass->left == 1 ? "finding" : "findings");
        return;
    }
    object = vp_json_new("virtpin.reconcile/1");
    vp_json_time(object, "time", vp_now_ms());
    vp_json_int(object, "guests", pass->guests);
    vp_json_int(object, "repaired", pass->repaired);
    vp_json_int(object, "left", pass->left);
    vp_json_add(object, "notes", pass->list);
    vp_json_print(object);
}

int vp_verb_reconcile(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct pass pass = {.ctl = ctl, .engine = &engine, .only = ctl->argc > 0 ? ctl->argv[0] : NULL};
    struct vp_enforcer_facts enforcer;
    char reason[256];

    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "reconcile acts on this host: --topology is of no use here");
    if (vp_conf_disabled(&ctl->where, reason))
        return vp_fail(err, VP_REFUSED, "virtpin is disabled: %s (virtpin enable)", reason);
    if (vp_ctl_engine(ctl, &engine, err) != 0 || vp_ctl_ledger(ctl, &engine, true, err) != 0)
        return -1;
    vp_enforcer_read(engine.set->host.run_dir, &enforcer);
    pass.record = !enforcer.running;
    if (ctl->json)
        pass.list = vp_json_array();
    if (run(&pass, err) != 0)
        return -1;
    if (pass.only && pass.guests == 0)
        return vp_fail(err, VP_REFUSED, "no guest \"%s\" runs under a policy here (virtpin status)",
                       pass.only);
    print_end(&pass);
    return pass.left > 0 ? VP_EXIT_FINDING : VP_EXIT_GOOD;
}
