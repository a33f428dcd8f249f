/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/threads.h"

#define RELEASE_MS (3600 * 1000)

struct release {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    virDomainPtr domain; /* borrowed */
    const char *name;
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
        return vp_virt_fail(err, "reading what %s runs by", release->name);
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

static json_object *release_json(const struct release *release, json_object *object)
{
    vp_json_string(object, "guest", release->name);
    vp_json_bool(object, "definition", release->definition);
    vp_json_bool(object, "live", release->live);
    vp_json_time(object, "held_until", release->until_ms);
    return object;
}

static void print_release(const struct release *release)
{
    char time[VP_TIME_TEXT];

    printf("%s: virtpin's pins and mark: definition %s, running guest %s\n", release->name,
           release->definition ? "taken out" : "had none", release->live ? "opened" : "had none");
    if (release->until_ms > 0)
        printf("%s: left alone until %s; move it before then\n", release->name,
               vp_time_text(release->until_ms, time));
    fflush(stdout);
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

static int release_one(struct vp_ctl *ctl, struct release *release, virConnectPtr connection,
                       struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = vp_ctl_domain(connection, ctl->argv[0], err);
    int result;

    if (!domain)
        return -1;
    release->domain = domain;
    release->name = virDomainGetName(domain);
    vp_waiting("taking virtpin's pins out of libvirt", 0);
    result = release_guest(release, err);
    vp_waited();
    if (result != 0)
        return -1;
    if (ctl->json)
        vp_json_print(release_json(release, vp_json_new("virtpin.release/1")));
    else
        print_release(release);
    return VP_EXIT_GOOD;
}

/* What has nothing of ours is passed over in silence; a failure is said and
 * the others go on. */
static int release_each(const struct release *common, virDomainPtr domain, json_object *guests)
{
    struct release release = *common;
    struct vp_error err = {0};

    release.domain = domain;
    release.name = virDomainGetName(domain);
    if (release_guest(&release, &err) != 0) {
        if (err.code == VP_GONE)
            return 0;
        fprintf(stderr, "virtpin: %s: %s\n", release.name, err.text);
        return 1;
    }
    if (!release.definition && !release.live && release.until_ms == 0)
        return 0;
    if (release.ctl->json)
        vp_json_push(guests, release_json(&release, vp_json_object()));
    else
        print_release(&release);
    return 0;
}

static int release_all(struct vp_ctl *ctl, const struct release *common, virConnectPtr connection,
                       struct vp_error *err)
{
    json_object *object, *guests;
    virDomainPtr *domain = NULL;
    int failed = 0, count = virConnectListAllDomains(connection, &domain, 0);

    if (count < 0)
        return vp_virt_fail(err, "listing the guests");
    guests = vp_json_array();
    for (int i = 0; i < count; i++) {
        failed += release_each(common, domain[i], guests);
        virDomainFree(domain[i]);
    }
    free(domain);
    if (ctl->json) {
        object = vp_json_new("virtpin.release/1");
        vp_json_add(object, "guests", guests);
        vp_json_int(object, "failed", failed);
        vp_json_print(object);
    } else {
        json_object_put(guests);
    }
    return failed > 0 ? VP_EXIT_FINDING : VP_EXIT_GOOD;
}

int vp_verb_release(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct release release = {.ctl = ctl, .engine = &engine};
    const char *span = vp_ctl_option(ctl, "for");
    int64_t for_ms = RELEASE_MS;
    bool all;

    if (span && vp_span_parse(span, &for_ms, err) != 0)
        return vp_wrap(err, "--for");
    if (for_ms == 0)
        return vp_fail(err, VP_INPUT, "--for: found \"%s\", legal are times above 0", span);
    if (vp_ctl_name_or_all(ctl, &all, err) != 0 ||
        vp_ctl_open_libvirt(ctl, &engine, &connection, err) != 0)
        return -1;
    release.until_ms = vp_now_ms() + for_ms;
    return all ? release_all(ctl, &release, connection, err)
               : release_one(ctl, &release, connection, err);
}
