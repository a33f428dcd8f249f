/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/http.h"
#include "ctl/output.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/metrics.h"
#include "version.h"

/* ---- facts ---- */

static bool is_row(const void *data, const char *name)
{
    const struct vp_guest_rows *rows = data;

    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->item[i].name, name) == 0)
            return true;
    return false;
}

static int take_guests(struct vp_engine *engine, struct vp_facts *facts, struct vp_error *err)
{
    struct vp_guest_rows rows = {0};
    int result = 0;

    if (engine->ledger)
        result = vp_ledger_guests(engine->ledger, &rows, err);
    for (size_t i = 0; result == 0 && i < rows.count; i++)
        if (!vp_facts_guest(facts, &rows.item[i]))
            result = vp_fail(err, VP_HOST, "out of memory");
    if (result == 0)
        result = vp_facts_unmanaged(facts, engine->status_dir, is_row, &rows, err);
    vp_guest_rows_clear(&rows);
    return result;
}

static int take_counts(struct vp_engine *engine, struct vp_facts *facts, struct vp_error *err)
{
    if (!engine->ledger)
        return 0;
    if (vp_ledger_drift_states(engine->ledger, facts->standing, err) != 0 ||
        vp_counters_read(engine->ledger, &facts->counters, err) != 0)
        return -1;
    return vp_hook_runs_peek(engine->ledger, engine->set->host.run_dir, &facts->counters, err);
}

static int take_strangers(const struct vp_engine *engine, struct vp_facts *facts)
{
    struct vp_strangers strangers;
    int result = vp_strangers_read(&strangers, engine->set->host.run_dir);

    vp_facts_strangers(facts, &strangers);
    vp_strangers_clear(&strangers);
    return result;
}

static int gather(struct vp_ctl *ctl, struct vp_engine *engine, struct vp_facts *facts,
                  struct vp_error *err)
{
    struct vp_enforcer_facts enforcer;
    char why[256] = "";

    if (vp_ctl_open(ctl, engine, err) != 0 || vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    vp_enforcer_read(engine->set->host.run_dir, &enforcer);
    *facts = (struct vp_facts){
        .version = VP_VERSION,
        .enabled = !vp_conf_disabled(&ctl->where, why),
        .policies = (unsigned)engine->set->count,
        .stale = engine->stale,
        .enforcer_running = enforcer.running,
        .connected = strcmp(enforcer.libvirt, "connected") == 0,
        .can_repair = enforcer.can_repair,
        .since_ms = enforcer.since_ms,
        .last_sweep_ms = enforcer.last_sweep_ms,
        .sweep_lag_us = enforcer.sweep_lag_us,
        .sweep_us = enforcer.sweep_us,
    };
    if (take_strangers(engine, facts) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return take_guests(engine, facts, err) != 0 ? -1 : take_counts(engine, facts, err);
}

/* The text, on the heap; NULL after a failure. */
static char *make_text(struct vp_ctl *ctl, size_t *length, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct vp_metrics metrics = {0};
    struct vp_facts facts = {0};
    char *text = NULL;
    FILE *file = open_memstream(&text, length);
    bool whole = false;

    if (!file) {
        vp_fail(err, VP_HOST, "out of memory");
        return NULL;
    }
    if (gather(ctl, &engine, &facts, err) == 0 &&
        vp_metrics_make(&engine, &facts, &metrics, err) == 0)
        whole = vp_metrics_print(&metrics, file);
    vp_metrics_clear(&metrics);
    vp_facts_clear(&facts);
    if (fclose(file) != 0)
        whole = false;
    if (whole)
        return text;
    free(text);
    if (err->code == VP_OK)
        vp_fail(err, VP_HOST, "out of memory");
    return NULL;
}

/* ---- output ---- */

static void print_json(const char *text)
{
    json_object *object = vp_json_new("virtpin.metrics/1");

    vp_json_time(object, "time", vp_now_ms());
    vp_json_string(object, "text", text);
    vp_json_print(object);
}

static int answer(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t length = 0;
    int kind, head, status;
    socklen_t size = sizeof(kind);

    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind != SOCK_STREAM)
        return vp_fail(err, VP_INPUT,
                       "metrics: --http answers on the connection that stdin is: enable "
                       "virtpin-metrics.socket");
    status = vp_http_read(STDIN_FILENO, &head);
    if (status == 200) {
        text = make_text(ctl, &length, err);
        if (!text) { /* what went wrong is the journal's: the other side may be anybody */
            vp_http_answer(STDIN_FILENO, 500, head, "", 0, NULL);
            return -1;
        }
    }
    return vp_http_answer(STDIN_FILENO, status, head, text ? text : "", length, err) == 0
               ? VP_EXIT_GOOD
               : -1;
}

int vp_verb_metrics(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t length = 0;

    if (vp_ctl_option(ctl, "http"))
        return answer(ctl, err);
    text = make_text(ctl, &length, err);
    if (!text)
        return -1;
    if (ctl->json)
        print_json(text);
    else
        fputs(text, stdout);
    return VP_EXIT_GOOD;
}
