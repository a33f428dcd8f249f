/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "decide/policytext.h"
#include "host/confread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct vp_policy_set *read_set(const char *text, size_t size, struct vp_findings *findings)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_policy_set *set;

    vp_conf_read_text(draft, "fuzz.conf", text, size, findings);
    vp_draft_run_dir(draft, "h1.example");
    vp_draft_finish(draft, "h1.example", &set, findings);
    vp_draft_free(draft);
    return set;
}

/* What was taken prints as a text of legal lines that reads to the same. */
static void check_text(const struct vp_policy_set *set)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *again = read_set(set->text, strlen(set->text), &findings);

    if (!again || strcmp(again->text, set->text) != 0 || strcmp(again->hash, set->hash) != 0)
        abort();
    if (again->count != set->count)
        abort();
    for (const char *at = set->text; *at != '\0'; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") > VP_LINE_MAX)
            abort();
    vp_policy_set_free(again);
    vp_findings_clear(&findings);
}

static void choose(const struct vp_policy_set *set)
{
    struct vp_match_facts facts = {
        .name = "db-1", .uuid = "6b29fc40-ca47-1067-b31d-00dd010662da", .vcpus = 4};
    struct vp_choice choice;

    vp_policy_choose(set, &facts, &choice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *set = read_set((const char *)data, size, &findings);

    if ((set == NULL) != (vp_findings_errors(&findings) > 0))
        abort();
    if (set) {
        check_text(set);
        choose(set);
        vp_policy_warn_ties(set, &findings);
    }
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    return 0;
}
