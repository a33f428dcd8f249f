/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/threads.h"

/* What would change on this host now: nothing is done here. */

struct step {
    char *guest, *from, *to;
    const char *kind; /* adopt, policy, thread, libvirt, definition, place */
};

struct plan {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    struct vp_view view;
    struct step *step;
    size_t count;
    char note[1200]; /* what could not be looked at, "" */
};

static int add(struct plan *plan, const char *guest, const char *kind, const char *from,
               const char *to)
{
    struct step *step = reallocarray(plan->step, plan->count + 1, sizeof(*step));

    if (!step)
        return -1;
    plan->step = step;
    step = &plan->step[plan->count];
    *step =
        (struct step){.guest = strdup(guest), .kind = kind, .from = strdup(from), .to = strdup(to)};
    plan->count++;
    return step->guest && step->from && step->to ? 0 : -1;
}

static int add_cpus(struct plan *plan, const char *guest, const char *kind, const char *what,
                    const struct vp_cpuset *from, const struct vp_cpuset *to)
{
    VP_AUTO(free) char *was = vp_cpuset_format(from);
    VP_AUTO(free) char *wanted = vp_cpuset_format(to);
    char left[1024], right[1024];

    snprintf(left, sizeof(left), "%s on %.900s", what, was ? was : "?");
    snprintf(right, sizeof(right), "on %.900s", wanted ? wanted : "?");
    return add(plan, guest, kind, left, right);
}

/* ---- running guests ---- */

static int look_at_threads(struct plan *plan, const struct vp_view_guest *guest)
{
    bool tell = plan->engine->set->host.tell_libvirt;
    char what[64];

    for (size_t i = 0; i < guest->thread_count; i++) {
        const struct vp_view_thread *thread = &guest->thread[i];

        snprintf(what, sizeof(what), "%s %u", vp_role_word(thread->role), thread->index);
        if (!thread->ok &&
            add_cpus(plan, guest->name, "thread", what, &thread->affinity, &thread->wanted) != 0)
            return -1;
        if (tell && thread->has_wanted && thread->has_libvirt &&
            !vp_cpuset_equal(&thread->wanted, &thread->libvirt) &&
            add_cpus(plan, guest->name, "libvirt", what, &thread->libvirt, &thread->wanted) != 0)
            return -1;
    }
    return 0;
}

static int look_at_view(struct plan *plan)
{
    for (size_t i = 0; i < plan->view.guest_count; i++) {
        const struct vp_view_guest *guest = &plan->view.guest[i];
        bool enforced = guest->mode == VP_MODE_ENFORCE;

        if (guest->state == VP_VIEW_UNMANAGED && guest->policy && guest->mode != VP_MODE_OFF &&
            add(plan, guest->name, "adopt", "not managed", guest->policy) != 0)
            return -1;
        if (guest->state == VP_VIEW_RUNNING && enforced && guest->held_until_ms == 0 &&
            look_at_threads(plan, guest) != 0)
            return -1;
    }
    return 0;
}

static char *pins_text(struct plan *plan, const struct vp_guest_row *row,
                       const struct vp_domain *domain)
{
    struct vp_pins pins = {0};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    if (vp_engine_pins(plan->engine, row, domain, &pins, NULL) == 0)
        for (size_t i = 0; i < pins.count; i++) {
            VP_AUTO(free) char *cpus = vp_cpuset_format(&pins.item[i].cpus);

            fprintf(out, "%s%s %u: %s", i ? ", " : "", vp_role_word(pins.item[i].role),
                    pins.item[i].index, cpus ? cpus : "?");
        }
    vp_pins_clear(&pins);
    fclose(out);
    return text;
}

/* The policy that applies now against the plan that is in force. */
static int look_at_row(struct plan *plan, const struct vp_guest_row *row)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    VP_AUTO(vp_plan) struct vp_plan *fresh = NULL;
    VP_AUTO(free) char *was = NULL, *would = NULL;
    struct vp_guest_row copy = *row;
    struct vp_error why = {0};
    struct vp_choice choice;

    if (row->state != VP_GUEST_RUNNING || !row->plan ||
        vp_status_load(plan->engine->status_dir, row->name, &status, NULL) != 0)
        return 0;
    vp_engine_choose(plan->engine, status->domain, &choice);
    if (!choice.policy || choice.policy->mode == VP_MODE_OFF)
        return add(plan, row->name, "policy", row->plan->policy, "none: its definition's pins");
    if (strcmp(choice.policy->name, row->plan->policy) != 0 &&
        add(plan, row->name, "policy", row->plan->policy, choice.policy->name) != 0)
        return -1;
    if (vp_engine_would(plan->engine, status->domain, &choice, &fresh, NULL, NULL, &why) !=
            VP_PLAN_OK ||
        !fresh)
        return row->unplaced ? 0 : add(plan, row->name, "place", "placed", why.text);
    copy.plan = fresh;
    copy.unplaced = NULL;
    was = pins_text(plan, row, status->domain);
    would = pins_text(plan, &copy, status->domain);
    if (was && would && strcmp(was, would) != 0)
        return add(plan, row->name, "place", was[0] ? was : "nothing",
                   would[0] ? would : "nothing");
    return was && would ? 0 : -1;
}

static int look_at_rows(struct plan *plan, struct vp_error *err)
{
    struct vp_guest_rows rows = {0};
    int result = 0;

    if (!plan->engine->ledger)
        return 0;
    if (vp_ledger_guests(plan->engine->ledger, &rows, err) != 0)
        return -1;
    for (size_t i = 0; result == 0 && i < rows.count; i++)
        result = look_at_row(plan, &rows.item[i]);
    vp_guest_rows_clear(&rows);
    return result == 0 ? 0 : vp_fail(err, VP_HOST, "out of memory");
}

/* ---- definitions ---- */

static int look_at_definition(struct plan *plan, virDomainPtr domain)
{
    struct vp_findings findings = {0};
    struct vp_changes changes = {0};
    struct vp_error own = {0};
    const char *name = virDomainGetName(domain);
    enum vp_definition_result result =
        vp_definition_rewrite(plan->engine, domain, true, &changes, &findings, &own);
    int added = 0;

    for (size_t i = 0; result == VP_DEFINITION_WRITTEN && added == 0 && i < changes.count; i++)
        if (!changes.item[i].impossible)
            added = add(plan, name, "definition", changes.item[i].from, changes.item[i].to);
    if (result == VP_DEFINITION_FAILED && own.code != VP_GONE)
        snprintf(plan->note, sizeof(plan->note), "definition of %s: %s", name, own.text);
    vp_changes_clear(&changes);
    vp_findings_clear(&findings);
    return added;
}

static int look_at_definitions(struct plan *plan, struct vp_error *err)
{
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct vp_error own = {0};
    virDomainPtr *domains = NULL;
    int count, result = 0;

    connection = vp_ctl_connect(plan->engine->set->host.uri, &own);
    if (!connection) {
        snprintf(plan->note, sizeof(plan->note), "definitions were not looked at: %s", own.text);
        return 0;
    }
    vp_waiting("looking at the definitions", 0);
    count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_PERSISTENT);
    if (count < 0)
        result = vp_virt_fail(err, "listing the guests");
    for (int i = 0; i < count; i++) {
        if (result == 0 && look_at_definition(plan, domains[i]) != 0)
            result = vp_fail(err, VP_HOST, "out of memory");
        virDomainFree(domains[i]);
    }
    free(domains);
    vp_waited();
    return result;
}

/* ---- output ---- */

static void print_json(const struct plan *plan)
{
    json_object *object = vp_json_new("virtpin.plan/1");
    json_object *list = vp_json_array();

    vp_json_time(object, "time", plan->view.now_ms);
    for (size_t i = 0; i < plan->count; i++) {
        json_object *step = vp_json_object();

        vp_json_string(step, "guest", plan->step[i].guest);
        vp_json_string(step, "kind", plan->step[i].kind);
        vp_json_string(step, "from", plan->step[i].from);
        vp_json_string(step, "to", plan->step[i].to);
        vp_json_push(list, step);
    }
    vp_json_add(object, "changes", list);
    vp_json_string(object, "note", plan->note[0] ? plan->note : NULL);
    vp_json_print(object);
}

static void print_text(const struct plan *plan)
{
    static const char *const heading[] = {"GUEST", "WHAT", "NOW", "WOULD BE"};
    struct vp_table table;

    if (!plan->view.enabled)
        printf("%sDISABLED%s: %s; this is what would change if virtpin were enabled\n",
               vp_colour(VP_RED), vp_colour_end(), plan->view.disabled_why);
    if (plan->note[0])
        fprintf(stderr, "virtpin: %s\n", plan->note);
    if (plan->count == 0) {
        printf("nothing would change\n");
        return;
    }
    vp_table_begin(&table, 4, heading);
    for (size_t i = 0; i < plan->count; i++) {
        vp_table_cell(&table, VP_PLAIN, plan->step[i].guest);
        vp_table_cell(&table, VP_PLAIN, plan->step[i].kind);
        vp_table_cell(&table, VP_PLAIN, plan->step[i].from);
        vp_table_cell(&table, VP_PLAIN, plan->step[i].to);
    }
    vp_table_end(&table, 0);
}

static void plan_clear(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->step[i].guest);
        free(plan->step[i].from);
        free(plan->step[i].to);
    }
    free(plan->step);
    vp_view_clear(&plan->view);
}

int vp_verb_plan(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct plan plan = {.ctl = ctl, .engine = &engine};
    int status = -1;

    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "plan looks at this host: --topology is of no use here");
    if (vp_ctl_engine(ctl, &engine, err) != 0)
        return -1;
    if (vp_view_gather(ctl, &engine, NULL, &plan.view, err) == 0) {
        if (look_at_view(&plan) != 0)
            vp_fail(err, VP_HOST, "out of memory");
        else if (look_at_rows(&plan, err) == 0 && look_at_definitions(&plan, err) == 0)
            status = plan.count > 0 ? VP_EXIT_FINDING : VP_EXIT_GOOD;
    }
    if (status >= 0 && ctl->json)
        print_json(&plan);
    else if (status >= 0)
        print_text(&plan);
    plan_clear(&plan);
    return status;
}
