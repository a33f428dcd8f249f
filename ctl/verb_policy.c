/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"

static json_object *finding_json(const struct vp_finding *finding)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "grade", finding->grade == VP_ERROR ? "error" : "warning");
    vp_json_string(object, "file", finding->file);
    if (finding->line > 0)
        vp_json_int(object, "line", finding->line);
    else
        vp_json_null(object, "line");
    vp_json_string(object, "policy", finding->policy);
    vp_json_string(object, "key", finding->key);
    vp_json_string(object, "found", finding->found);
    vp_json_string(object, "legal", finding->legal);
    vp_json_string(object, "text", finding->text);
    return object;
}

static bool named(json_object *names, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(names); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), name) == 0)
            return true;
    return false;
}

/* Of a broken set only the policies that have findings are known. */
static json_object *policy_names(const struct vp_policy_set *set,
                                 const struct vp_findings *findings)
{
    json_object *names = vp_json_array();

    for (size_t i = 0; set && i < set->count; i++)
        vp_json_push(names, json_object_new_string(set->policy[i].name));
    for (size_t i = 0; !set && i < findings->count; i++) {
        const char *name = findings->item[i].policy;

        if (name && strcmp(name, "host") != 0 && !named(names, name))
            vp_json_push(names, json_object_new_string(name));
    }
    return names;
}

static void check_json(const struct vp_policy_set *set, const struct vp_findings *findings)
{
    json_object *object = vp_json_new("virtpin.policy-check/1");
    json_object *list = vp_json_array();

    vp_json_bool(object, "ok", set != NULL);
    vp_json_string(object, "hash", set ? set->hash : NULL);
    vp_json_add(object, "policies", policy_names(set, findings));
    for (size_t i = 0; i < findings->count; i++)
        vp_json_push(list, finding_json(&findings->item[i]));
    vp_json_add(object, "findings", list);
    vp_json_print(object);
}

static void check_text(const struct vp_policy_set *set, const struct vp_findings *findings)
{
    size_t errors = vp_findings_errors(findings);

    vp_findings_print(findings);
    if (set)
        printf("%sok%s: %zu %s in %zu %s, %s\n", vp_colour(VP_GREEN), vp_colour_end(), set->count,
               set->count == 1 ? "policy" : "policies", set->files.count,
               set->files.count == 1 ? "file" : "files", set->hash);
    else
        printf("%zu %s: nothing of this set would be used\n", errors,
               errors == 1 ? "error" : "errors");
}

/* 0 loaded, 1 it has errors, -1 the files could not be read at all. */
static int load(struct vp_ctl *ctl, struct vp_policy_set **set, struct vp_findings *findings,
                struct vp_error *err)
{
    if (vp_ctl_check_where(ctl, err) != 0)
        return -1;
    if (vp_conf_load(&ctl->where, set, findings, err) == 0)
        return 0;
    if (vp_findings_errors(findings) == 0)
        return -1;
    return 1;
}

int vp_verb_policy_check(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    int loaded;

    if (ctl->argc == 1) {
        ctl->where.policy_dir = ctl->argv[0];
        ctl->where.lenient_owner = true;
    }
    loaded = load(ctl, &set, &findings, err);
    if (set)
        vp_policy_warn_ties(set, &findings);
    if (loaded >= 0) {
        vp_findings_sort(&findings);
        if (ctl->json)
            check_json(set, &findings);
        else
            check_text(set, &findings);
    }
    vp_findings_clear(&findings);
    return loaded;
}

static void show_json(const struct vp_policy_set *set)
{
    json_object *object = vp_json_new("virtpin.policy-show/1");
    json_object *files = vp_json_array();

    vp_json_string(object, "hash", set->hash);
    for (size_t i = 0; i < set->files.count; i++)
        vp_json_push(files, json_object_new_string(set->files.item[i]));
    vp_json_add(object, "files", files);
    vp_json_string(object, "text", set->text);
    vp_json_print(object);
}

int vp_verb_policy_show(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    char line[4096];
    int loaded = load(ctl, &set, &findings, err);

    vp_findings_sort(&findings);
    for (size_t i = 0; loaded >= 0 && i < findings.count; i++)
        fprintf(stderr, "virtpin: %s\n", vp_finding_line(&findings.item[i], line, sizeof(line)));
    if (loaded == 0 && ctl->json)
        show_json(set);
    else if (loaded == 0)
        fputs(set->text, stdout);
    vp_findings_clear(&findings);
    return loaded;
}
