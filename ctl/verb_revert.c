/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/threads.h"

#define RELEASE_MS (3600 * 1000)

/* ---- revert ---- */

static int revert(struct vp_engine *engine, virConnectPtr connection, struct vp_ctl *ctl,
                  struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = vp_ctl_domain(connection, ctl->argv[0], err);
    bool reverted = false;
    json_object *object;
    int result;

    if (!domain)
        return -1;
    vp_waiting("putting the definition back", 0);
    result = vp_definition_revert(engine, domain, &reverted, err);
    vp_waited();
    if (result != 0)
        return -1;
    if (!reverted)
        return vp_fail(err, VP_REFUSED,
                       "nothing of the definition of %s is virtpin's: nothing was put back",
                       ctl->argv[0]);
    if (ctl->json) {
        object = vp_json_new("virtpin.revert/1");
        vp_json_string(object, "guest", virDomainGetName(domain));
        vp_json_bool(object, "reverted", true);
        vp_json_print(object);
    } else {
        printf("%s: the definition is as it was before virtpin\n", virDomainGetName(domain));
    }
    return VP_EXIT_GOOD;
}

/* ---- release ---- */

struct release {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    virDomainPtr domain;
    int64_t until_ms; /* how long it is left alone; 0: it is not managed at all */
    bool definition, live;
};

/* First, so that the enforcer does not tell libvirt the pins again. */
static int hold_row(struct release *release, struct vp_guest_row *row, struct vp_error *err)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    int found;

    if (!release->engine->ledger)
        return 0;
    if (virDomainGetUUIDString(release->domain, uuid) != 0)
        return vp_virt_fail(err, "the uuid of a guest");
    found = vp_ledger_guest(release->engine->ledger, uuid, row, err);
    if (found != 1)
        return found;
    return vp_guest_row_hold(release->engine, uuid, release->until_ms, err) == 0 ? 1 : -1;
}

/* What libvirt's live definition has of ours: pins where the mark is. */
static int open_pins(struct release *release, const struct vp_domain *live, struct vp_error *err)
{
    struct vp_pins open = {0};
    unsigned told = 0;
    int result = 0;

    for (size_t i = 0; result == 0 && i < live->pins.count; i++)
        result = vp_pins_add(&open, live->pins.item[i].role, live->pins.item[i].index,
                             &release->engine->topology->online);
    if (result != 0)
        vp_fail(err, VP_HOST, "out of memory");
    else
        result = vp_virt_set_pins(release->domain, &open, &live->pins, VIR_DOMAIN_AFFECT_LIVE,
                                  &told, err);
    vp_pins_clear(&open);
    if (result == 0)
        result = vp_virt_mark(release->domain, NULL, VIR_DOMAIN_AFFECT_LIVE, &told, err);
    release->live = told > 0;
    return result;
}

static int release_live(struct release *release, const struct vp_guest_row *row,
                        struct vp_error *err)
{
    VP_AUTO(free) char *xml = virDomainGetXMLDesc(release->domain, 0);
    VP_AUTO(vp_domain) struct vp_domain *live = NULL;

    if (!xml)
        return vp_virt_fail(err, "reading what %s runs by", release->ctl->argv[0]);
    if (vp_domain_parse(xml, strlen(xml), &live, err) != 0)
        return -1;
    if (!live->applied_policy)
        return 0;
    if (open_pins(release, live, err) != 0)
        return -1;
    /* libvirt has opened the threads too: back to their CPUs, which are still
     * booked, so that nobody else's are disturbed until the guest has left. */
    return row->uuid[0] ? vp_engine_apply(release->engine, row->uuid, true, NULL, err) : 0;
}

static int print_release(const struct release *release)
{
    const char *name = virDomainGetName(release->domain);
    char time[VP_TIME_TEXT];
    json_object *object;

    if (release->ctl->json) {
        object = vp_json_new("virtpin.release/1");
        vp_json_string(object, "guest", name);
        vp_json_bool(object, "definition", release->definition);
        vp_json_bool(object, "live", release->live);
        vp_json_time(object, "held_until", release->until_ms);
        vp_json_print(object);
        return VP_EXIT_GOOD;
    }
    printf("%s: virtpin's pins and mark: definition %s, running guest %s\n", name,
           release->definition ? "taken out" : "had none", release->live ? "opened" : "had none");
    if (release->until_ms > 0)
        printf("%s: left alone until %s; move it before then\n", name,
               vp_time_text(release->until_ms, time));
    return VP_EXIT_GOOD;
}

static int release_guest(struct release *release, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int held = hold_row(release, &row, err);
    int result = held < 0 ? -1 : 0;

    if (held == 0)
        release->until_ms = 0;
    if (result == 0 && virDomainIsPersistent(release->domain) == 1)
        result = vp_definition_strip(release->engine, release->domain, &release->definition, err);
    if (result == 0 && virDomainIsActive(release->domain) == 1)
        result = release_live(release, &row, err);
    vp_guest_row_clear(&row);
    return result;
}

/* ---- both ---- */

static int open_both(struct vp_ctl *ctl, struct vp_engine *engine, virConnectPtr *connection,
                     struct vp_error *err)
{
    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "%s acts on this host: --topology is of no use here",
                       ctl->verb->name);
    if (vp_ctl_engine(ctl, engine, err) != 0 || vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    *connection = vp_ctl_connect(engine->set->host.uri, err);
    return *connection ? 0 : -1;
}

int vp_verb_revert(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;

    if (open_both(ctl, &engine, &connection, err) != 0)
        return -1;
    return revert(&engine, connection, ctl, err);
}

int vp_verb_release(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
    struct release release = {.ctl = ctl, .engine = &engine};
    const char *span = vp_ctl_option(ctl, "for");
    int64_t for_ms = RELEASE_MS;
    int result;

    if (span && vp_span_parse(span, &for_ms, err) != 0)
        return vp_wrap(err, "--for");
    if (for_ms == 0)
        return vp_fail(err, VP_INPUT, "--for: found \"%s\", legal are times above 0", span);
    if (open_both(ctl, &engine, &connection, err) != 0)
        return -1;
    domain = vp_ctl_domain(connection, ctl->argv[0], err);
    if (!domain)
        return -1;
    release.domain = domain;
    release.until_ms = vp_now_ms() + for_ms;
    vp_waiting("taking virtpin's pins out of libvirt", 0);
    result = release_guest(&release, err);
    vp_waited();
    return result == 0 ? print_release(&release) : -1;
}
