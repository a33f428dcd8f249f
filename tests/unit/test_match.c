/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "host/confread.h"

#define UUID "6b29fc40-ca47-1067-b31d-00dd010662da"

static struct vp_policy_set *make_set(const char *text)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_policy_set *set;
    char line[1024];

    vp_conf_read_text(draft, "x", text, strlen(text), &findings);
    if (vp_draft_finish(draft, "h", &set, &findings) < 0)
        ck_abort_msg("%s", vp_finding_line(&findings.item[0], line, sizeof(line)));
    vp_draft_free(draft);
    vp_findings_clear(&findings);
    return set;
}

static struct vp_metadata_element metadata[] = {
    {(char *)"{urn:tier:1}tier", (char *)" gold\n"},
    {(char *)"{urn:tier:1}owner", (char *)"ann"},
    {(char *)"{urn:tier:1}flag", NULL},
};

static const struct vp_match_facts guest = {
    .name = "db-1",
    .uuid = UUID,
    .title = "Orders of the shop",
    .os = "http://microsoft.com/win/2k19",
    .type = "kvm",
    .arch = "x86_64",
    .machine = "pc-q35-7.2",
    .host = "h1.example.net",
    .vcpus = 8,
    .memory_kib = 8 * 1024 * 1024,
    .metadata = metadata,
    .metadata_count = 3,
};

static const struct {
    const char *keys;
    bool holds;
} single[] = {
    {"match-name = db-*", true},
    {"match-name = db-* !db-1", false},
    {"match-name = !db-1 db-*", false},
    {"match-name = pg-* db-?", true},
    {"match-name = !web-*", true},
    {"match-name = !db-*", false},
    {"match-name = DB-*", false},
    {"match-name = db", false},
    {"match-name = [a-d]b-[0-9]", true},
    {"match-title = Orders*", true}, /* a glob spans the blanks of a title */
    {"match-title = Shop*", false},
    {"match-uuid = 6B29FC40-CA47-1067-B31D-00DD010662DA", true},
    {"match-uuid = 6b29fc40-ca47-1067-b31d-00dd010662db", false},
    {"match-metadata = {urn:tier:1}tier", true},
    {"match-metadata = {urn:tier:1}tier=gold", true},
    {"match-metadata = {urn:tier:1}tier=silver", false},
    {"match-metadata = {urn:tier:1}tier=g*", true},
    {"match-metadata = {urn:tier:1}tie", false},
    {"match-metadata = {urn:tier:1}flag=?*", false},
    {"match-metadata = {urn:tier:1}flag=", true},
    {"match-metadata = {urn:tier:2}tier", false},
    {"match-metadata = !{urn:tier:1}owner=ann", false},
    {"match-metadata = {urn:x}y {urn:tier:1}owner=ann", true},
    {"match-os = http://microsoft.com/win/*", true},
    {"match-os = http://debian.org/*", false},
    {"match-type = kvm", true},
    {"match-type = qemu xen", false},
    {"match-arch = x86*", true},
    {"match-machine = pc-i440fx-*", false},
    {"match-machine = pc-q35-*", true},
    {"match-vcpus = 8", true},
    {"match-vcpus = 2-7", false},
    {"match-vcpus = 9- 2-4", false},
    {"match-vcpus = 9- 2-8", true},
    {"match-vcpus = -8", true},
    {"match-vcpus = 8-", true},
    {"match-memory = 8GiB", true},
    {"match-memory = -8191MiB", false},
    {"match-memory = 4GiB-16GiB", true},
    {"match-partition = /machine", true},
    {"match-partition = /machine/*", false},
    {"match-host = h1", true},
    {"match-host = h1.example.net", true},
    {"match-host = example.net", false},
    {"match-host = h* !h1", false},
    {"match-name = db-*\nmatch-vcpus = 8-\nmatch-host = h1", true},
    {"match-name = db-*\nmatch-vcpus = 9-\nmatch-host = h1", false},
    {"by-metadata = yes", false},
    {"", false},
};

START_TEST(one_policy)
{
    struct vp_policy_set *set;
    struct vp_choice choice;
    char text[512];

    snprintf(text, sizeof(text), "[policy p]\n%s\n", single[_i].keys);
    set = make_set(text);
    vp_policy_choose(set, &guest, &choice);
    ck_assert_msg((choice.policy != NULL) == single[_i].holds, "%s", single[_i].keys);
    ck_assert_int_eq(choice.by, choice.policy ? VP_CHOSEN_MATCH : VP_CHOSEN_NONE);
    ck_assert_uint_gt(strlen(choice.why), 0);
    ck_assert_str_eq(choice.warning, "");
    vp_policy_set_free(set);
}
END_TEST

/* What a domain lacks holds for no glob, and is not excluded either. */
START_TEST(facts_may_lack)
{
    struct vp_policy_set *set = make_set("[policy a]\nmatch-title = *\n"
                                         "[policy b]\nmatch-os = !win\npriority = -1\n");
    struct vp_match_facts bare = {.name = "x", .uuid = UUID};
    struct vp_choice choice;

    vp_policy_choose(set, &bare, &choice);
    ck_assert_str_eq(choice.policy->name, "b");
    vp_policy_set_free(set);
}
END_TEST

START_TEST(priority_then_name)
{
    struct vp_policy_set *set =
        make_set("[policy c]\nmatch-name = *\npriority = 5\n[policy b]\nmatch-name = db-*\n"
                 "priority = 5\n[policy a]\nmatch-name = *\npriority = 4\n[policy B]\n"
                 "match-name = web\npriority = 9\n");
    struct vp_choice choice;

    vp_policy_choose(set, &guest, &choice);
    ck_assert_str_eq(choice.policy->name, "b");
    ck_assert_str_eq(choice.why, "match-name db-*; priority 5");
    vp_policy_set_free(set);
}
END_TEST

START_TEST(off_takes_part)
{
    struct vp_policy_set *set = make_set("[policy keep]\nmatch-name = *\n[policy off]\n"
                                         "match-name = db-1\nmode = off\npriority = 1\n");
    struct vp_choice choice;

    vp_policy_choose(set, &guest, &choice);
    ck_assert_str_eq(choice.policy->name, "off");
    ck_assert_int_eq(choice.policy->mode, VP_MODE_OFF);
    vp_policy_set_free(set);
}
END_TEST

START_TEST(named_by_metadata)
{
    struct vp_policy_set *set =
        make_set("[policy high]\nmatch-name = *\npriority = 1000\n"
                 "[policy open]\nby-metadata = yes\nrollout = 0%\npriority = -1000\n"
                 "[policy closed]\nmatch-name = none\n");
    struct vp_match_facts facts = guest;
    struct vp_choice choice;

    facts.named_policy = "open";
    vp_policy_choose(set, &facts, &choice);
    ck_assert_str_eq(choice.policy->name, "open");
    ck_assert_int_eq(choice.by, VP_CHOSEN_METADATA);
    facts.named_policy = "closed";
    vp_policy_choose(set, &facts, &choice);
    ck_assert_str_eq(choice.policy->name, "high");
    ck_assert_int_eq(choice.by, VP_CHOSEN_MATCH);
    ck_assert_ptr_nonnull(strstr(choice.warning, "closed"));
    ck_assert_ptr_nonnull(strstr(choice.warning, "by-metadata"));
    facts.named_policy = "gone";
    vp_policy_choose(set, &facts, &choice);
    ck_assert_str_eq(choice.policy->name, "high");
    ck_assert_ptr_nonnull(strstr(choice.warning, "gone"));
    vp_policy_set_free(set);
}
END_TEST

/* The hash of "web:" UUID, computed apart, is 86 modulo 100. */
START_TEST(rollout_is_stable)
{
    unsigned in = 0;

    for (unsigned percent = 0; percent <= 100; percent++) {
        bool now = vp_rollout_in("web", UUID, percent);

        ck_assert(vp_rollout_in("web", "6B29FC40-CA47-1067-B31D-00DD010662DA", percent) == now);
        in += now ? 1 : 0;
    }
    ck_assert_uint_eq(in, 100 - 86);
    ck_assert(!vp_rollout_in("web", UUID, 0));
    ck_assert(vp_rollout_in("web", UUID, 100));
    ck_assert(vp_rollout_in("web", NULL, 100));
}
END_TEST

START_TEST(rollout_out_is_not_matched)
{
    struct vp_policy_set *set =
        make_set("[policy new]\nmatch-name = *\npriority = 9\nrollout = 0%\n"
                 "[policy old]\nmatch-name = db-*\n");
    struct vp_match_facts other = guest;
    struct vp_choice choice;

    vp_policy_choose(set, &guest, &choice);
    ck_assert_str_eq(choice.policy->name, "old");
    ck_assert_ptr_nonnull(strstr(choice.why, "policy new matches, but rollout 0% leaves it out"));
    other.name = "web";
    vp_policy_choose(set, &other, &choice);
    ck_assert_ptr_null(choice.policy);
    ck_assert_ptr_nonnull(strstr(choice.why, "rollout 0%"));
    vp_policy_set_free(set);
}
END_TEST

/* A tenth of many guests is about a tenth. */
START_TEST(rollout_shares)
{
    unsigned in = 0;

    for (unsigned i = 0; i < 10000; i++) {
        char uuid[40];

        snprintf(uuid, sizeof(uuid), "%08x-0000-4000-8000-%012x", i * 2654435761u, i);
        in += vp_rollout_in("p", uuid, 10) ? 1 : 0;
    }
    ck_assert_uint_gt(in, 850);
    ck_assert_uint_lt(in, 1150);
}
END_TEST

START_TEST(long_reasons_are_cut)
{
    char text[2048] = "[policy p]\nmatch-name = db-*\n";
    struct vp_policy_set *set;
    struct vp_choice choice;

    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "  a-rather-long-glob-number-%d-of-the-list-*\n", i);
    set = make_set(text);
    vp_policy_choose(set, &guest, &choice);
    ck_assert_str_eq(choice.policy->name, "p");
    ck_assert_uint_eq(strlen(choice.why), sizeof(choice.why) - 1);
    vp_policy_set_free(set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("match");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, core);
    tcase_add_loop_test(core, one_policy, 0, sizeof(single) / sizeof(single[0]));
    tcase_add_test(core, facts_may_lack);
    tcase_add_test(core, priority_then_name);
    tcase_add_test(core, off_takes_part);
    tcase_add_test(core, named_by_metadata);
    tcase_add_test(core, rollout_is_stable);
    tcase_add_test(core, rollout_out_is_not_matched);
    tcase_add_test(core, rollout_shares);
    tcase_add_test(core, long_reasons_are_cut);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
