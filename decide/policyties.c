/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/policy.h"

/* Two globs can match one text only if what stands before their first
 * wildcard agrees as far as both go, and likewise behind the last. */
static bool globs_may_meet(const char *a, const char *b)
{
    static const char wild[] = "*?[\\";
    size_t a_head = strcspn(a, wild), b_head = strcspn(b, wild);
    size_t common = a_head < b_head ? a_head : b_head;
    const char *a_end = a + strlen(a), *b_end = b + strlen(b);

    if (memcmp(a, b, common) != 0)
        return false;
    if (a[a_head] == '\0' && b[b_head] == '\0')
        return a_head == b_head;
    while (a_end > a && b_end > b && !strchr("*?]\\", a_end[-1]) && !strchr("*?]\\", b_end[-1])) {
        if (a_end[-1] != b_end[-1])
            return false;
        a_end--;
        b_end--;
    }
    return true;
}

/* A key that either lacks, or a list that only excludes, keeps nothing apart. */
static bool lists_may_meet(const struct vp_strings *a, const struct vp_strings *b)
{
    bool compared = false;

    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (a->item[i][0] == '!' || b->item[j][0] == '!')
                continue;
            if (globs_may_meet(a->item[i], b->item[j]))
                return true;
            compared = true;
        }
    }
    return !compared;
}

static bool ranges_may_meet(const struct vp_ranges *a, const struct vp_ranges *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (a->item[i].low <= b->item[j].high && b->item[j].low <= a->item[i].high)
                return true;
    return a->count == 0 || b->count == 0;
}

/* match-metadata is left out: a guest may carry any two elements. */
static bool may_meet(const struct vp_policy *a, const struct vp_policy *b)
{
    return lists_may_meet(&a->match_name, &b->match_name) &&
           lists_may_meet(&a->match_title, &b->match_title) &&
           lists_may_meet(&a->match_uuid, &b->match_uuid) &&
           lists_may_meet(&a->match_os, &b->match_os) &&
           lists_may_meet(&a->match_type, &b->match_type) &&
           lists_may_meet(&a->match_arch, &b->match_arch) &&
           lists_may_meet(&a->match_machine, &b->match_machine) &&
           lists_may_meet(&a->match_partition, &b->match_partition) &&
           ranges_may_meet(&a->match_vcpus, &b->match_vcpus) &&
           ranges_may_meet(&a->match_memory, &b->match_memory);
}

static void warn(const struct vp_policy *first, const struct vp_policy *second,
                 struct vp_findings *findings)
{
    const char *slash = second->file ? strrchr(second->file, '/') : NULL;
    char text[256];
    struct vp_finding finding = {
        .grade = VP_WARNING,
        .file = (char *)(slash ? slash + 1 : second->file),
        .line = second->line,
        .policy = second->name,
        .key = (char *)"priority",
        .text = text,
        .remedy = (char *)"priority = N",
    };

    snprintf(text, sizeof(text),
             "policies %s and %s have priority %d and may match the same guest, which then has %s",
             first->name, second->name, first->priority, first->name);
    vp_findings_add(findings, &finding);
}

void vp_policy_warn_ties(const struct vp_policy_set *set, struct vp_findings *findings)
{
    for (size_t j = 1; j < set->count; j++) {
        const struct vp_policy *second = &set->policy[j];

        if (!vp_policy_matches_some(second))
            continue;
        /* One warning for each policy that may lose a tie says enough. */
        for (size_t i = 0; i < j; i++) {
            const struct vp_policy *first = &set->policy[i];

            if (first->priority != second->priority || !vp_policy_matches_some(first) ||
                !may_meet(first, second))
                continue;
            warn(first, second, findings);
            break;
        }
    }
}
