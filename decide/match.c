/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "decide/policy.h"

/* ---- the match-* keys ---- */

/* What a list item is held against; `item` comes without its "!". */
typedef bool (*holds_fn)(const char *item, const struct vp_match_facts *facts, const char *text);

static bool glob_holds(const char *item, const struct vp_match_facts *facts, const char *text)
{
    (void)facts;
    return text && fnmatch(item, text, 0) == 0;
}

static bool word_holds(const char *item, const struct vp_match_facts *facts, const char *text)
{
    (void)facts;
    return text && strcmp(item, text) == 0;
}

static bool uuid_holds(const char *item, const struct vp_match_facts *facts, const char *text)
{
    (void)facts;
    return text && strcasecmp(item, text) == 0;
}

static bool host_holds(const char *item, const struct vp_match_facts *facts, const char *text)
{
    char label[256];
    size_t length;

    if (glob_holds(item, facts, text))
        return true;
    length = text ? strcspn(text, ".") : 0;
    if (length == 0 || length >= sizeof(label))
        return false;
    memcpy(label, text, length);
    label[length] = '\0';
    return glob_holds(item, facts, label);
}

/* The text of an element, without the blanks around it. */
static bool trimmed_holds(const char *glob, const char *text)
{
    char copy[1024];
    size_t length;

    text += strspn(text, " \t\r\n");
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    if (length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return fnmatch(glob, copy, 0) == 0;
}

static bool metadata_holds(const char *item, const struct vp_match_facts *facts, const char *text)
{
    const char *close = strchr(item, '}');
    size_t length = close ? (size_t)(close - item) + strcspn(close, "=") : strlen(item);
    const char *glob = item[length] == '=' ? item + length + 1 : NULL;

    (void)text;
    for (size_t i = 0; i < facts->metadata_count; i++) {
        const struct vp_metadata_element *element = &facts->metadata[i];

        if (strncmp(element->name, item, length) != 0 || element->name[length] != '\0')
            continue;
        if (!glob || trimmed_holds(glob, element->text ? element->text : ""))
            return true;
    }
    return false;
}

/* Any item may hold; one that starts with ! and holds excludes. A list that
 * only excludes takes the rest. */
static bool list_holds(const struct vp_strings *list, holds_fn holds,
                       const struct vp_match_facts *facts, const char *text)
{
    bool any = false, wanted = false;

    for (size_t i = 0; i < list->count; i++) {
        const char *item = list->item[i];

        if (item[0] == '!') {
            if (holds(item + 1, facts, text))
                return false;
        } else {
            wanted = true;
            any = any || holds(item, facts, text);
        }
    }
    return any || !wanted;
}

static bool ranges_hold(const struct vp_ranges *ranges, uint64_t value)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (value >= ranges->item[i].low && value <= ranges->item[i].high)
            return true;
    return ranges->count == 0;
}

bool vp_host_globs_hold(const struct vp_strings *globs, const char *nodename)
{
    return list_holds(globs, host_holds, NULL, nodename);
}

bool vp_name_globs_hold(const struct vp_strings *globs, const char *name)
{
    return list_holds(globs, glob_holds, NULL, name);
}

static bool matches(const struct vp_policy *policy, const struct vp_match_facts *facts)
{
    const char *partition = facts->partition ? facts->partition : "/machine";

    return vp_policy_matches_some(policy) && ranges_hold(&policy->match_vcpus, facts->vcpus) &&
           ranges_hold(&policy->match_memory, facts->memory_kib) &&
           list_holds(&policy->match_name, glob_holds, facts, facts->name) &&
           list_holds(&policy->match_title, glob_holds, facts, facts->title) &&
           list_holds(&policy->match_uuid, uuid_holds, facts, facts->uuid) &&
           list_holds(&policy->match_metadata, metadata_holds, facts, NULL) &&
           list_holds(&policy->match_os, glob_holds, facts, facts->os) &&
           list_holds(&policy->match_type, word_holds, facts, facts->type) &&
           list_holds(&policy->match_arch, glob_holds, facts, facts->arch) &&
           list_holds(&policy->match_machine, glob_holds, facts, facts->machine) &&
           list_holds(&policy->match_partition, glob_holds, facts, partition) &&
           list_holds(&policy->match_host, host_holds, facts, facts->host);
}

/* ---- rollout ---- */

static uint64_t fnv_add(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * UINT64_C(1099511628211);
}

bool vp_rollout_in(const char *policy, const char *uuid, unsigned percent)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *policy != '\0'; policy++)
        hash = fnv_add(hash, (unsigned char)*policy);
    hash = fnv_add(hash, ':');
    for (; uuid && *uuid != '\0'; uuid++)
        hash = fnv_add(hash, (unsigned char)tolower((unsigned char)*uuid));
    return hash % 100 < percent;
}

/* ---- the reason ---- */

/* Appends as far as there is room; the text is for people. */
static void add(char *buf, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *buf, size_t size, const char *format, ...)
{
    size_t used = strlen(buf);
    va_list args;

    va_start(args, format);
    vsnprintf(buf + used, size - used, format, args);
    va_end(args);
}

static void add_list(struct vp_choice *choice, const char *key, const struct vp_strings *list)
{
    if (list->count == 0)
        return;
    add(choice->why, sizeof(choice->why), "%s%s", choice->why[0] != '\0' ? ", " : "", key);
    for (size_t i = 0; i < list->count; i++)
        add(choice->why, sizeof(choice->why), " %s", list->item[i]);
}

static void add_fact(struct vp_choice *choice, const char *key, const struct vp_ranges *ranges,
                     uint64_t value, const char *unit)
{
    if (ranges->count > 0)
        add(choice->why, sizeof(choice->why), "%s%s holds %llu%s",
            choice->why[0] != '\0' ? ", " : "", key, (unsigned long long)value, unit);
}

static void explain_match(const struct vp_policy *policy, const struct vp_match_facts *facts,
                          struct vp_choice *choice)
{
    add_list(choice, "match-name", &policy->match_name);
    add_list(choice, "match-title", &policy->match_title);
    add_list(choice, "match-uuid", &policy->match_uuid);
    add_list(choice, "match-metadata", &policy->match_metadata);
    add_list(choice, "match-os", &policy->match_os);
    add_list(choice, "match-type", &policy->match_type);
    add_list(choice, "match-arch", &policy->match_arch);
    add_list(choice, "match-machine", &policy->match_machine);
    add_list(choice, "match-partition", &policy->match_partition);
    add_list(choice, "match-host", &policy->match_host);
    add_fact(choice, "match-vcpus", &policy->match_vcpus, facts->vcpus, "");
    add_fact(choice, "match-memory", &policy->match_memory, facts->memory_kib, "KiB");
    add(choice->why, sizeof(choice->why), "; priority %d", policy->priority);
    if (policy->rollout < 100)
        add(choice->why, sizeof(choice->why), "; within rollout %u%%", policy->rollout);
}

/* ---- the choice ---- */

static bool choose_named(const struct vp_policy_set *set, const struct vp_match_facts *facts,
                         struct vp_choice *choice)
{
    const struct vp_policy *policy = vp_policy_find(set, facts->named_policy);

    if (!policy) {
        snprintf(choice->warning, sizeof(choice->warning),
                 "its metadata names policy %.60s, which is not there", facts->named_policy);
        return false;
    }
    if (!policy->by_metadata) {
        snprintf(choice->warning, sizeof(choice->warning),
                 "its metadata names policy %.60s, which does not say by-metadata = yes",
                 facts->named_policy);
        return false;
    }
    choice->policy = policy;
    choice->by = VP_CHOSEN_METADATA;
    snprintf(choice->why, sizeof(choice->why), "named by the guest's metadata");
    return true;
}

/* Policies come in the order of their names, so of equals the first stays. */
void vp_policy_choose(const struct vp_policy_set *set, const struct vp_match_facts *facts,
                      struct vp_choice *choice)
{
    const struct vp_policy *best = NULL, *left_out = NULL;

    *choice = (struct vp_choice){0};
    if (facts->named_policy && choose_named(set, facts, choice))
        return;
    for (size_t i = 0; i < set->count; i++) {
        const struct vp_policy *policy = &set->policy[i];

        if ((best && policy->priority <= best->priority) || !matches(policy, facts))
            continue;
        if (vp_rollout_in(policy->name, facts->uuid, policy->rollout))
            best = policy;
        else
            left_out = policy;
    }
    if (best) {
        choice->policy = best;
        choice->by = VP_CHOSEN_MATCH;
        explain_match(best, facts, choice);
    } else {
        add(choice->why, sizeof(choice->why), "the match- keys of no policy hold");
    }
    if (left_out && (!best || left_out->priority > best->priority))
        add(choice->why, sizeof(choice->why), "; policy %s matches, but rollout %u%% leaves it out",
            left_out->name, left_out->rollout);
}
