/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/virtdefinition.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "enforcer/driftlog.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/journal.h"
#include "host/virt.h"

static void join_changes(const struct vp_changes *changes, bool to, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < changes->count && used < size; i++) {
        const struct vp_change *change = &changes->item[i];
        int length = snprintf(text + used, size - used, "%s%s %s", used ? ", " : "",
                              vp_facet_word(change->facet), to ? change->to : change->from);

        if (length > 0)
            used += (size_t)length;
    }
}

/* The record of that guest that is still open, so that it is the same one
 * that goes on. */
static void take_up(struct vp_engine *engine, struct vp_drift_record *record)
{
    VP_AUTO(free) struct vp_drift_record *old = NULL;
    struct vp_error err = {0};
    size_t count = 0;

    if (vp_ledger_drift_list(engine->ledger, 0, 0, &old, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (old[i].kind == VP_DRIFT_DEFINITION && old[i].state != VP_DRIFT_REPAIRED &&
            strcmp(old[i].uuid, record->uuid) == 0) {
            record->id = old[i].id;
            record->first_ms = old[i].first_ms;
            record->count = old[i].count + 1;
        }
    }
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool stands_already(struct vp_engine *engine, const struct vp_drift_record *record)
{
    VP_AUTO(free) struct vp_drift_record *old = NULL;
    struct vp_error err = {0};
    size_t count = 0;

    if (record->id == 0 ||
        vp_ledger_drift_list(engine->ledger, 0, record->id - 1, &old, &count, &err) < 0)
        return false;
    return count > 0 && old[0].id == record->id && old[0].state == record->state &&
           same_text(old[0].wanted_text, record->wanted_text) &&
           same_text(old[0].found_text, record->found_text);
}

static int keep_record(struct vp_engine *engine, virDomainPtr domain,
                       const struct vp_changes *changes, enum vp_drift_state state,
                       struct vp_error *err)
{
    struct vp_drift_record record = {.role = VP_ROLE_EMULATOR,
                                     .kind = VP_DRIFT_DEFINITION,
                                     .first_ms = vp_now_ms(),
                                     .count = 1,
                                     .state = state,
                                     .repair_us = -1,
                                     .by = {.uid = -1}};

    record.last_ms = record.first_ms;
    if (virDomainGetUUIDString(domain, record.uuid) < 0)
        return vp_virt_fail(err, "reading a uuid");
    snprintf(record.guest, sizeof(record.guest), "%s", virDomainGetName(domain));
    join_changes(changes, true, record.wanted_text, sizeof(record.wanted_text));
    join_changes(changes, false, record.found_text, sizeof(record.found_text));
    if (state == VP_DRIFT_REPAIRED)
        record.repaired_ms = record.last_ms;
    take_up(engine, &record);
    if (stands_already(engine, &record))
        return 0;
    vp_driftlog(&record);
    return vp_ledger_drift_put(engine->ledger, &record, err);
}

/* A definition that is as it should be closes what was open. */
static int close_record(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err)
{
    VP_AUTO(free) struct vp_drift_record *old = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN];
    size_t count = 0;

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return vp_virt_fail(err, "reading a uuid");
    if (vp_ledger_drift_list(engine->ledger, 0, 0, &old, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (old[i].kind != VP_DRIFT_DEFINITION || old[i].state == VP_DRIFT_REPAIRED ||
            strcmp(old[i].uuid, uuid) != 0)
            continue;
        old[i].state = VP_DRIFT_REPAIRED;
        old[i].repaired_ms = vp_now_ms();
        if (vp_ledger_drift_put(engine->ledger, &old[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Under audit the difference is recorded and nothing is written. */
static bool audited(struct vp_engine *engine, virDomainPtr domain)
{
    VP_AUTO(vp_domain) struct vp_domain *read = NULL;
    VP_AUTO(free) char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    struct vp_choice choice = {0};
    struct vp_error err = {0};

    if (!xml || vp_domain_parse(xml, strlen(xml), &read, &err) < 0)
        return false;
    vp_engine_choose(engine, read, &choice);
    return choice.policy && choice.policy->mode == VP_MODE_AUDIT;
}

static void say_findings(virDomainPtr domain, const struct vp_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        vp_journal(findings->item[i].grade == VP_ERROR ? LOG_WARNING : LOG_NOTICE,
                   VP_MSG_DEFINITION, NULL, 0, "%s: %s%s%s", virDomainGetName(domain),
                   findings->item[i].text, findings->item[i].remedy ? ": " : "",
                   findings->item[i].remedy ? findings->item[i].remedy : "");
}

int vp_virtdefinition(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err)
{
    struct vp_changes changes = {0};
    struct vp_findings findings = {0};
    bool audit = audited(engine, domain);
    enum vp_definition_result result =
        vp_definition_rewrite(engine, domain, audit, &changes, &findings, err);
    int status = 0;

    switch (result) {
    case VP_DEFINITION_SAME:
        status = close_record(engine, domain, err);
        break;
    case VP_DEFINITION_WRITTEN:
        status =
            keep_record(engine, domain, &changes, audit ? VP_DRIFT_AUDIT : VP_DRIFT_REPAIRED, err);
        break;
    case VP_DEFINITION_IMPOSSIBLE:
        status = keep_record(engine, domain, &changes, audit ? VP_DRIFT_AUDIT : VP_DRIFT_OPEN, err);
        break;
    case VP_DEFINITION_CONTESTED:
        status = keep_record(engine, domain, &changes, VP_DRIFT_CONTESTED, err);
        break;
    case VP_DEFINITION_FAILED:
        status = -1;
        break;
    }
    if (result != VP_DEFINITION_SAME)
        say_findings(domain, &findings);
    vp_changes_clear(&changes);
    vp_findings_clear(&findings);
    return status;
}
