/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies of simulated guests: the configured ones, or keys in the line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/simulate.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policydraft.h"

/* The keys that a line may hold: what decides where threads go. */
static const struct vp_key_row *key_row(const char *name)
{
    unsigned count;
    const struct vp_key_row *rows = vp_key_rows(&count);

    for (unsigned i = 0; i < count; i++) {
        const struct vp_key_row *row = &rows[i];

        if (strcmp(row->section, "policy") != 0 || strcmp(row->name, name) != 0)
            continue;
        if (strcmp(row->group, "placement") == 0 || strcmp(row->group, "other threads") == 0 ||
            strcmp(name, "on-no-room") == 0)
            return row;
    }
    return NULL;
}

static int add_keys(struct vp_draft *draft, json_object *policy, struct vp_findings *findings,
                    struct vp_error *err)
{
    json_object_object_foreach(policy, key, value)
    {
        const char *text = json_object_get_string(value);

        if (!key_row(key))
            return vp_fail(err, VP_INPUT,
                           "policy: unknown key \"%.40s\", legal: the keys of virtpin-policy(5) on "
                           "placement and other threads, and on-no-room",
                           key);
        if (!json_object_is_type(value, json_type_string) || text[0] == '\0' ||
            strlen(text) != (size_t)json_object_get_string_len(value))
            return vp_fail(err, VP_INPUT, "policy: %s: found %.80s, legal: a string as in a file",
                           key, json_object_to_json_string(value));
        vp_draft_key(draft, "policy", 0, key, text, findings);
    }
    return 0;
}

/* What stands in place of an absent key where that is not the files' default. */
static void add_defaults(struct vp_draft *draft, json_object *policy, struct vp_findings *findings)
{
    if (!json_object_object_get_ex(policy, "placement", NULL))
        vp_draft_key(draft, "policy", 0, "placement", "dedicated", findings);
    if (!json_object_object_get_ex(policy, "numa", NULL))
        vp_draft_key(draft, "policy", 0, "numa", "any", findings);
}

/* The files' pools by name, so that a line may name them; what they are is
 * looked up in the files' set. */
static void add_pools(struct vp_draft *draft, const struct vp_host_conf *host,
                      struct vp_findings *findings)
{
    char head[80], cpu[24];

    for (size_t i = 0; i < host->pool_count; i++) {
        snprintf(head, sizeof(head), "pool %s", host->pool[i].name);
        vp_draft_section(draft, "policy", 0, head, findings);
        snprintf(cpu, sizeof(cpu), "%zu", i);
        if (strcmp(host->pool[i].name, "default") != 0)
            vp_draft_key(draft, "policy", 0, "cpus", cpu, findings);
    }
}

static int make_set(const struct vp_host_conf *host, json_object *policy,
                    struct vp_policy_set **set, struct vp_error *err)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new_known();
    struct vp_findings findings = {0};
    int result;

    if (!draft)
        return vp_fail(err, VP_HOST, "out of memory");
    add_pools(draft, host, &findings);
    vp_draft_section(draft, "policy", 0, "policy simulated", &findings);
    result = add_keys(draft, policy, &findings, err);
    if (result == 0) {
        add_defaults(draft, policy, &findings);
        if (vp_draft_finish(draft, "simulated", set, &findings) < 0)
            result = findings.count > 0
                         ? vp_fail(err, VP_INPUT, "policy: %s", findings.item[0].text)
                         : vp_fail(err, VP_HOST, "out of memory");
    }
    vp_findings_clear(&findings);
    return result;
}

static void free_policy(struct vp_sim_policy *own)
{
    vp_policy_set_free(own->set);
    free(own->text);
    free(own);
}

static int new_policy(struct vp_sim *sim, json_object *policy, const char *text,
                      struct vp_sim_policy **own, struct vp_error *err)
{
    struct vp_sim_policy *made = calloc(1, sizeof(*made));

    if (!made || !(made->text = strdup(text))) {
        free(made);
        return vp_fail(err, VP_HOST, "out of memory");
    }
    if (make_set(&sim->set->host, policy, &made->set, err) < 0) {
        free_policy(made);
        return -1;
    }
    if (xmlHashAddEntry(sim->policies, (const xmlChar *)text, made) < 0) {
        free_policy(made);
        return vp_fail(err, VP_HOST, "out of memory");
    }
    *own = made;
    return 0;
}

int vp_sim_take_policy(struct vp_sim *sim, json_object *policy, struct vp_sim_guest *guest,
                       struct vp_error *err)
{
    const char *text =
        policy ? json_object_to_json_string_ext(policy, JSON_C_TO_STRING_PLAIN) : "{}";
    json_object *none = NULL;
    int result = 0;

    if (policy && json_object_is_type(policy, json_type_string)) {
        guest->policy = vp_policy_find(sim->set, json_object_get_string(policy));
        return guest->policy ? 0
                             : vp_fail(err, VP_INPUT,
                                       "policy: found %.80s, legal: a policy of the "
                                       "files in use (virtpin policy show)",
                                       text);
    }
    guest->own = xmlHashLookup(sim->policies, (const xmlChar *)text);
    if (!guest->own) {
        if (!policy && !(none = json_object_new_object()))
            return vp_fail(err, VP_HOST, "out of memory");
        result = new_policy(sim, policy ? policy : none, text, &guest->own, err);
        json_object_put(none);
    }
    if (result < 0)
        return -1;
    guest->own->users++;
    guest->policy = &guest->own->set->policy[0];
    return 0;
}

void vp_sim_drop_policy(struct vp_sim *sim, struct vp_sim_guest *guest)
{
    struct vp_sim_policy *own = guest->own;

    guest->own = NULL;
    guest->policy = NULL;
    if (!own || --own->users > 0)
        return;
    xmlHashRemoveEntry(sim->policies, (const xmlChar *)own->text, NULL);
    free_policy(own);
}
