/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/capabilities.h"
#include "ctl/ctl.h"
#include "ctl/decision.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine.h"

/* ---- JSON ---- */

static json_object *changes_json(const struct vp_changes *changes)
{
    json_object *list = vp_json_array();

    for (size_t i = 0; i < changes->count; i++) {
        json_object *object = vp_json_object();

        vp_json_string(object, "facet", vp_facet_word(changes->item[i].facet));
        vp_json_string(object, "from", changes->item[i].from);
        vp_json_string(object, "to", changes->item[i].to);
        vp_json_bool(object, "impossible", changes->item[i].impossible);
        vp_json_push(list, object);
    }
    return list;
}

static json_object *pins_json(const struct vp_pins *pins)
{
    json_object *list = vp_json_array();

    for (size_t i = 0; i < pins->count; i++) {
        json_object *object = vp_json_object();

        vp_json_string(object, "role", vp_role_word(pins->item[i].role));
        vp_json_int(object, "index", pins->item[i].index);
        vp_json_cpus(object, "cpus", &pins->item[i].cpus);
        vp_json_push(list, object);
    }
    return list;
}

static const char *pool_name(const struct vp_decision *decision)
{
    return decision->plan->pool ? decision->plan->pool : "default";
}

static json_object *memory_json(const struct vp_plan *plan)
{
    json_object *list = vp_json_array();

    for (size_t i = 0; i < plan->memory_count; i++) {
        json_object *object = vp_json_object();

        vp_json_int(object, "node", plan->memory[i].node);
        vp_json_int(object, "kib", (int64_t)plan->memory[i].kib);
        vp_json_push(list, object);
    }
    return list;
}

static json_object *place_json(const struct vp_decision *decision)
{
    json_object *object = vp_json_object();
    struct vp_cpuset own;

    vp_json_string(object, "placement", vp_placement_word(decision->plan->placement));
    vp_plan_exclusive(decision->plan, &own);
    vp_json_cpus(object, "cpus", &own);
    vp_json_cpus(object, "idle", &decision->plan->idle_cpus);
    vp_json_cpus(object, "nodes", &decision->plan->nodes);
    vp_json_string(object, "pool", vp_plan_uses_pool(decision->plan) ? pool_name(decision) : NULL);
    vp_json_add(object, "memory", memory_json(decision->plan));
    vp_json_add(object, "threads", pins_json(&decision->pins));
    return object;
}

static json_object *notes_json(const struct vp_decision *decision)
{
    json_object *list = vp_json_array();

    if (decision->choice.warning[0])
        vp_json_push(list, json_object_new_string(decision->choice.warning));
    if (decision->host_cannot[0])
        vp_json_push(list, json_object_new_string(decision->host_cannot));
    for (size_t i = 0; i < decision->findings.count; i++)
        vp_json_push(list, json_object_new_string(decision->findings.item[i].text));
    return list;
}

static void print_json(const struct vp_decision *decision)
{
    const struct vp_policy *policy = decision->choice.policy;
    json_object *object = vp_json_new("virtpin.explain/1");

    vp_json_string(object, "guest", decision->domain->name);
    vp_json_string(object, "uuid", decision->domain->uuid[0] ? decision->domain->uuid : NULL);
    vp_json_string(object, "policy", policy ? policy->name : NULL);
    vp_json_string(object, "file", policy ? policy->file : NULL);
    if (policy)
        vp_json_int(object, "line", policy->line);
    else
        vp_json_null(object, "line");
    vp_json_string(object, "chosen_by",
                   decision->choice.by == VP_CHOSEN_MATCH      ? "match"
                   : decision->choice.by == VP_CHOSEN_METADATA ? "metadata"
                                                               : "none");
    vp_json_string(object, "why", decision->choice.why);
    vp_json_string(object, "mode", policy ? vp_mode_word(policy->mode) : NULL);
    vp_json_add(object, "changes", changes_json(&decision->changes));
    if (decision->host_model)
        vp_json_string(object, "host_model", decision->host_model);
    vp_json_add(object, "place", decision->plan ? place_json(decision) : NULL);
    vp_json_bool(object, "refused", decision->refused);
    vp_json_string(object, "refusal", decision->why[0] ? decision->why : NULL);
    vp_json_string(object, "limit",
                   decision->no_place && decision->answer.limit != VP_LIMIT_NONE
                       ? vp_limit_word(decision->answer.limit)
                       : NULL);
    if (decision->no_place)
        vp_json_int(object, "short", decision->answer.short_by);
    else
        vp_json_null(object, "short");
    vp_json_string(object, "help", decision->answer.help[0] ? decision->answer.help : NULL);
    vp_json_add(object, "notes", notes_json(decision));
    vp_json_print(object);
}

/* ---- text ---- */

static void print_cpus(const char *what, const struct vp_cpuset *cpus)
{
    VP_AUTO(free) char *text = vp_cpuset_format(cpus);

    if (!vp_cpuset_empty(cpus))
        printf("  %s %s\n", what, text ? text : "?");
}

static void print_place(const struct vp_decision *decision)
{
    struct vp_cpuset own;

    if (decision->no_place) {
        printf("place: %sdoes not fit%s: %s\n", vp_colour(VP_RED), vp_colour_end(), decision->why);
        if (decision->answer.help[0])
            printf("  what would help: %s\n", decision->answer.help);
        return;
    }
    if (!decision->plan)
        return;
    printf("place: %s\n", vp_placement_word(decision->plan->placement));
    vp_plan_exclusive(decision->plan, &own);
    print_cpus("CPUs of its own", &own);
    print_cpus("of these left idle", &decision->plan->idle_cpus);
    print_cpus("fixed CPUs", &decision->plan->fixed_cpus);
    print_cpus("NUMA nodes", &decision->plan->nodes);
    if (decision->plan->pool && vp_plan_uses_pool(decision->plan))
        printf("  pool: %s\n", decision->plan->pool);
    for (size_t i = 0; i < decision->plan->memory_count; i++)
        printf("  memory of node %d: %llu MiB\n", decision->plan->memory[i].node,
               (unsigned long long)decision->plan->memory[i].kib / 1024);
    for (size_t i = 0; i < decision->pins.count; i++) {
        const struct vp_pin *pin = &decision->pins.item[i];
        char what[64];

        snprintf(what, sizeof(what), pin->role == VP_ROLE_EMULATOR ? "%s on" : "%s %u on",
                 vp_role_word(pin->role), pin->index);
        print_cpus(what, &pin->cpus);
    }
}

static void print_text(const struct vp_decision *decision)
{
    const struct vp_policy *policy = decision->choice.policy;
    char text[1024];

    printf("%s%s%s: ", vp_colour(VP_BOLD), decision->domain->name, vp_colour_end());
    if (!policy)
        printf("no policy applies; virtpin leaves it alone\n");
    else
        printf("policy %s (%s:%d), mode %s\n", policy->name, policy->file ? policy->file : "?",
               policy->line, vp_mode_word(policy->mode));
    if (decision->choice.why[0])
        printf("  because: %s\n", decision->choice.why);
    if (decision->choice.warning[0])
        printf("  %swarning%s: %s\n", vp_colour(VP_YELLOW), vp_colour_end(),
               decision->choice.warning);
    if (!policy || policy->mode == VP_MODE_OFF)
        return;
    if (decision->changes.count == 0)
        printf("definition: its guest CPU and topology are as the policy wants them\n");
    for (size_t i = 0; i < decision->changes.count; i++) {
        vp_change_text(&decision->changes.item[i], text, sizeof(text));
        printf("definition: %s\n", text);
    }
    if (decision->host_model)
        printf("host-model: %s\n", decision->host_model);
    if (decision->host_cannot[0])
        printf("  %serror%s: %s\n", vp_colour(VP_RED), vp_colour_end(), decision->host_cannot);
    print_place(decision);
    for (size_t i = 0; i < decision->findings.count; i++)
        printf("  %swarning%s: %s\n", vp_colour(VP_YELLOW), vp_colour_end(),
               decision->findings.item[i].text);
    if (decision->refused)
        printf("%sit would be refused%s: %s\n", vp_colour(VP_RED), vp_colour_end(), decision->why);
    else if (policy->mode == VP_MODE_AUDIT)
        printf("mode = audit: this is only compared and reported\n");
}

static int read_xml(struct vp_ctl *ctl, struct vp_engine *engine, char **xml, size_t *length,
                    struct vp_error *err)
{
    const char *file = vp_ctl_option(ctl, "xml");

    if (!file && ctl->argc == 0)
        return vp_fail(err, VP_INPUT, "explain: NAME or --xml FILE is missing");
    if (file && ctl->argc > 0)
        return vp_fail(err, VP_INPUT, "explain: NAME and --xml FILE exclude each other");
    if (file)
        return vp_ctl_read(file, xml, length, err);
    if (ctl->topology)
        return vp_fail(err, VP_INPUT,
                       "--topology means another host, where guest %s is not asked for: use --xml "
                       "FILE",
                       ctl->argv[0]);
    return vp_ctl_definition(engine, ctl->argv[0], xml, length, err);
}

/* A start from this definition as it is: the hook refuses, and the enforcer
 * then rewrites it. */
static void refuse_as_it_is(struct vp_decision *decision)
{
    const struct vp_policy *policy = decision->choice.policy;

    if (decision->refused || decision->changes.count == 0 || policy->mode != VP_MODE_ENFORCE ||
        policy->on_start != VP_VERDICT_REFUSE)
        return;
    decision->refused = true;
    snprintf(decision->why, sizeof(decision->why),
             "on-start = refuse, and this definition misses policy %s: virtpin start rewrites it "
             "first, and so does the enforcer when it is defined",
             policy->name);
}

int vp_verb_explain(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(vp_decision) struct vp_decision decision = {0};
    size_t length;
    char *xml;

    if (vp_ctl_engine(ctl, &engine, err) != 0 || vp_ctl_ledger(ctl, &engine, false, err) != 0 ||
        read_xml(ctl, &engine, &xml, &length, err) != 0 ||
        vp_decide(ctl, &engine, xml, length, VP_OP_DEFINE, &decision, err) != 0)
        return -1;
    refuse_as_it_is(&decision);
    if (decision.choice.policy && decision.choice.policy->cpu_mode == VP_CPU_HOST_MODEL)
        decision.host_model = vp_ctl_host_model(ctl, &engine, decision.domain, decision.doc);
    if (ctl->json)
        print_json(&decision);
    else
        print_text(&decision);
    return decision.refused ? VP_EXIT_FINDING : VP_EXIT_GOOD;
}
