/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/definition_kept.h"
#include "host/engine.h"

/* ---- what became of each guest ---- */

enum outcome { REVERTED, NOTHING, GONE, FAILED };

struct report {
    bool json;
    json_object *guests;
    unsigned count[FAILED + 1];
};

static const char *sentence(enum outcome outcome)
{
    static const char *const sentences[] = {
        [REVERTED] = "the definition is as it was before virtpin",
        [NOTHING] = "nothing of the definition is virtpin's",
        [GONE] = "is not defined any more: there is nothing to put back",
    };

    return sentences[outcome];
}

static void add(struct report *report, const char *name, const char *uuid, enum outcome outcome,
                const struct vp_error *err)
{
    const char *why = outcome == FAILED ? err->text : sentence(outcome);
    json_object *one;

    report->count[outcome]++;
    if (report->json) {
        one = vp_json_object();
        vp_json_string(one, "guest", name);
        vp_json_string(one, "uuid", uuid);
        vp_json_bool(one, "reverted", outcome == REVERTED);
        vp_json_string(one, "why", outcome == REVERTED ? NULL : why);
        vp_json_push(report->guests, one);
        return;
    }
    if (outcome == FAILED)
        fprintf(stderr, "virtpin: %s: %s\n", name, why);
    else
        printf("%s: %s\n", name, why);
    fflush(stdout); /* each as it is done: a hundred guests take their time */
}

static void print_json(struct report *report, const char *name)
{
    json_object *object = vp_json_new("virtpin.revert/1");

    vp_json_string(object, "guest", name);
    vp_json_bool(object, "reverted", report->count[REVERTED] > 0 && report->count[FAILED] == 0);
    vp_json_add(object, "guests", report->guests);
    vp_json_print(object);
}

static enum outcome revert(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err)
{
    bool reverted = false;
    int result;

    vp_waiting("putting the definition back", 0);
    result = vp_definition_revert(engine, domain, &reverted, err);
    vp_waited();
    if (result != 0)
        return err->code == VP_GONE ? GONE : FAILED;
    return reverted ? REVERTED : NOTHING;
}

/* ---- one, all ---- */

static int revert_one(struct vp_engine *engine, virConnectPtr connection, struct vp_ctl *ctl,
                      struct report *report, struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = vp_ctl_domain(connection, ctl->argv[0], err);
    char uuid[VIR_UUID_STRING_BUFLEN];
    enum outcome outcome;

    if (!domain)
        return -1;
    if (virDomainGetUUIDString(domain, uuid) != 0)
        return vp_virt_fail(err, "the uuid of %s", ctl->argv[0]);
    outcome = revert(engine, domain, err);
    if (outcome == FAILED || outcome == GONE)
        return -1;
    if (outcome == NOTHING)
        return vp_fail(err, VP_REFUSED,
                       "nothing of the definition of %s is virtpin's: nothing was put back",
                       ctl->argv[0]);
    add(report, virDomainGetName(domain), uuid, outcome, err);
    return 0;
}

static void revert_kept(struct vp_engine *engine, virConnectPtr connection,
                        const struct vp_kept_guest *guest, struct report *report)
{
    struct vp_error err = {0};
    VP_AUTO(virDomainPtr)
    virDomainPtr domain = virDomainLookupByUUIDString(connection, guest->uuid);
    const char *name = guest->name[0] ? guest->name : guest->uuid;
    enum outcome outcome;

    if (domain)
        outcome = revert(engine, domain, &err);
    else if (vp_virt_fail(&err, "looking for %s", name) != 0 && err.code == VP_GONE)
        outcome = GONE;
    else
        outcome = FAILED;
    add(report, domain ? virDomainGetName(domain) : name, guest->uuid, outcome, &err);
}

static int revert_all(struct vp_engine *engine, virConnectPtr connection, struct report *report,
                      struct vp_error *err)
{
    struct vp_kept_guest *guest = NULL;
    size_t count = 0;

    if (vp_kept_list(engine->set->host.state_dir, &guest, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        revert_kept(engine, connection, &guest[i], report);
    free(guest);
    if (report->json)
        return 0;
    if (count == 0)
        printf("nothing is kept: no definition is virtpin's\n");
    else
        printf("%u put back, %u not defined any more, %u failed\n",
               report->count[REVERTED] + report->count[NOTHING], report->count[GONE],
               report->count[FAILED]);
    return 0;
}

int vp_verb_revert(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct report report = {.json = ctl->json};
    bool all;
    int result;

    if (vp_ctl_name_or_all(ctl, &all, err) != 0 ||
        vp_ctl_open_libvirt(ctl, &engine, &connection, err) != 0)
        return -1;
    report.guests = vp_json_array();
    result = all ? revert_all(&engine, connection, &report, err)
                 : revert_one(&engine, connection, ctl, &report, err);
    if (result != 0 || !ctl->json)
        json_object_put(report.guests);
    else
        print_json(&report, all ? NULL : ctl->argv[0]);
    if (result != 0)
        return -1;
    return report.count[FAILED] > 0 ? VP_EXIT_FINDING : VP_EXIT_GOOD;
}
