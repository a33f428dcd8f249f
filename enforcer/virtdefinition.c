/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/virtdefinition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "decide/error.h"
#include "enforcer/driftlog.h"
#include "enforcer/metrics.h"
#include "enforcer/watched.h"
#include "host/clock.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/journal.h"
#include "host/virt.h"

/* ---- open records, under the lock ---- */

static int load(struct vp_definitions *definitions, struct vp_engine *engine, struct vp_error *err)
{
    struct vp_drift_record *all = NULL;
    size_t count = 0, kept = 0;

    if (definitions->loaded)
        return 0;
    if (vp_ledger_drift_standing(engine->ledger, &all, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (all[i].kind == VP_DRIFT_DEFINITION)
            all[kept++] = all[i];
    }
    definitions->open = realloc(all, (kept + 1) * sizeof(*all));
    definitions->count = definitions->open ? kept : 0;
    if (!definitions->open)
        free(all);
    definitions->loaded = true;
    return 0;
}

static struct vp_drift_record *find(struct vp_definitions *definitions, const char *uuid)
{
    for (size_t i = 0; i < definitions->count; i++) {
        if (strcmp(definitions->open[i].uuid, uuid) == 0)
            return &definitions->open[i];
    }
    return NULL;
}

static int remember(struct vp_definitions *definitions, const struct vp_drift_record *record,
                    struct vp_error *err)
{
    struct vp_drift_record *old = find(definitions, record->uuid);
    struct vp_drift_record *grown;

    if (old && record->state == VP_DRIFT_REPAIRED)
        *old = definitions->open[--definitions->count];
    else if (old)
        *old = *record;
    if (old || record->state == VP_DRIFT_REPAIRED)
        return 0;
    grown = reallocarray(definitions->open, definitions->count + 1, sizeof(*grown));
    if (!grown)
        return vp_fail(err, VP_HOST, "out of memory");
    definitions->open = grown;
    grown[definitions->count++] = *record;
    return 0;
}

static bool same(const struct vp_drift_record *a, const struct vp_drift_record *b)
{
    return a->state == b->state && strcmp(a->wanted_text, b->wanted_text) == 0 &&
           strcmp(a->found_text, b->found_text) == 0;
}

static int put_locked(struct vp_definitions *definitions, struct vp_engine *engine,
                      struct vp_drift_record *record, struct vp_error *err)
{
    struct vp_drift_record *old;

    if (load(definitions, engine, err) < 0)
        return -1;
    old = find(definitions, record->uuid);
    if (old && same(old, record))
        return 0;
    if (old) {
        record->id = old->id;
        record->first_ms = old->first_ms;
        record->count = old->count + 1;
    }
    if (vp_ledger_drift_put(engine->ledger, record, err) < 0)
        return -1;
    vp_driftlog(record);
    vp_count_drift(VP_DRIFT_DEFINITION);
    if (record->state == VP_DRIFT_REPAIRED)
        vp_count_repair(record->repair_us);
    return remember(definitions, record, err);
}

static int put(struct vp_definitions *definitions, struct vp_engine *engine,
               struct vp_drift_record *record, struct vp_error *err)
{
    int result;

    pthread_mutex_lock(&definitions->mutex);
    result = put_locked(definitions, engine, record, err);
    pthread_mutex_unlock(&definitions->mutex);
    return result;
}

/* What was open is over, by us or by somebody else. */
static int close_record(struct vp_definitions *definitions, struct vp_engine *engine,
                        const char *uuid, struct vp_error *err)
{
    struct vp_drift_record record, *old;
    int result;

    pthread_mutex_lock(&definitions->mutex);
    result = load(definitions, engine, err);
    old = result == 0 ? find(definitions, uuid) : NULL;
    if (old) {
        record = *old;
        record.state = VP_DRIFT_REPAIRED;
        record.last_ms = record.repaired_ms = vp_now_ms();
        result = vp_ledger_drift_put(engine->ledger, &record, err);
        if (result == 0)
            result = remember(definitions, &record, err);
    }
    pthread_mutex_unlock(&definitions->mutex);
    return result;
}

/* ---- one definition ---- */

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

static int keep_record(struct vp_definitions *definitions, struct vp_engine *engine,
                       virDomainPtr domain, const char *uuid, const struct vp_changes *changes,
                       enum vp_drift_state state, int64_t took_us, struct vp_error *err)
{
    struct vp_drift_record record = {.role = VP_ROLE_EMULATOR,
                                     .kind = VP_DRIFT_DEFINITION,
                                     .first_ms = vp_now_ms(),
                                     .count = 1,
                                     .state = state,
                                     .repair_us = -1,
                                     .by = {.uid = -1}};

    record.last_ms = record.first_ms;
    if (state == VP_DRIFT_REPAIRED) {
        record.repaired_ms = record.last_ms;
        record.repair_us = took_us;
    }
    snprintf(record.uuid, sizeof(record.uuid), "%s", uuid);
    snprintf(record.guest, sizeof(record.guest), "%.127s", virDomainGetName(domain));
    join_changes(changes, true, record.wanted_text, sizeof(record.wanted_text));
    join_changes(changes, false, record.found_text, sizeof(record.found_text));
    return put(definitions, engine, &record, err);
}

static void say_findings(virDomainPtr domain, const struct vp_findings *findings)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    const struct vp_field field[] = {{"VIRTPIN_GUEST", virDomainGetName(domain)},
                                     {"VIRTPIN_UUID", uuid}};

    virDomainGetUUIDString(domain, uuid);
    for (size_t i = 0; i < findings->count; i++)
        vp_journal(findings->item[i].grade == VP_ERROR ? LOG_WARNING : LOG_NOTICE,
                   VP_MSG_DEFINITION, field, 2, "%s: %s%s%s", virDomainGetName(domain),
                   findings->item[i].text, findings->item[i].remedy ? ": " : "",
                   findings->item[i].remedy ? findings->item[i].remedy : "");
}

/* The state that a result leaves the definition in. Same, and yet something
 * differs: its policy is only audited. */
static enum vp_drift_state state_of(enum vp_definition_result result)
{
    switch (result) {
    case VP_DEFINITION_SAME:
        return VP_DRIFT_AUDIT;
    case VP_DEFINITION_WRITTEN:
        return VP_DRIFT_REPAIRED;
    case VP_DEFINITION_CONTESTED:
        return VP_DRIFT_CONTESTED;
    case VP_DEFINITION_IMPOSSIBLE:
    case VP_DEFINITION_FAILED:
        break;
    }
    return VP_DRIFT_OPEN;
}

int vp_virtdefinition(struct vp_definitions *definitions, struct vp_engine *engine,
                      virDomainPtr domain, struct vp_error *err)
{
    struct vp_changes changes = {0};
    struct vp_findings findings = {0};
    char uuid[VIR_UUID_STRING_BUFLEN];
    enum vp_definition_result result;
    int64_t start_us = vp_clock_us();
    int status;

    if (virDomainGetUUIDString(domain, uuid) < 0)
        return vp_virt_fail(err, "reading a uuid");
    result = vp_definition_rewrite(engine, domain, false, &changes, &findings, err);
    if (result == VP_DEFINITION_FAILED)
        status = -1;
    else if (result == VP_DEFINITION_SAME && changes.count == 0)
        status = close_record(definitions, engine, uuid, err);
    else
        status = keep_record(definitions, engine, domain, uuid, &changes, state_of(result),
                             vp_clock_us() - start_us, err);
    if (result != VP_DEFINITION_SAME && result != VP_DEFINITION_FAILED)
        say_findings(domain, &findings);
    vp_changes_clear(&changes);
    vp_findings_clear(&findings);
    return status;
}

bool vp_virtdefinition_open(struct vp_definitions *definitions, const char *uuid)
{
    bool open;

    pthread_mutex_lock(&definitions->mutex);
    open = !definitions->loaded || find(definitions, uuid);
    pthread_mutex_unlock(&definitions->mutex);
    return open;
}

int vp_virtdefinition_gone(struct vp_definitions *definitions, struct vp_engine *engine,
                           const char *uuid, struct vp_error *err)
{
    vp_definition_forget(engine->set->host.state_dir, uuid);
    if (vp_engine_unreserve(engine, uuid, err) < 0)
        return -1;
    return close_record(definitions, engine, uuid, err);
}
