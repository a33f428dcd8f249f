/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/vcpuway.h"

/* ---- ways ---- */

static const struct {
    bool stopped, transient, paused;
    unsigned maximum;
    const char *listed, *lost, *unpluggable;
    const char *guest, *online; /* NULL: no agent; all but 0 can be taken offline */
    unsigned defined, policy_current, wanted;
    enum vp_vcpu_way way;
    const char *unplug, *on, *off; /* of the steps */
    const char *error;             /* not NULL: refused with that in the text */
} ways[] = {
    /* as it is */
    {.maximum = 4, .listed = "0-1", .wanted = 2, .way = VP_WAY_NONE},
    {.maximum = 4, .listed = "0-3", .guest = "0-3", .online = "0-1", .wanted = 2},
    {.stopped = true, .maximum = 4, .defined = 3, .wanted = 3, .way = VP_WAY_NONE},
    /* out of range */
    {.maximum = 4, .listed = "0-1", .wanted = 5, .error = "found 5 vCPUs, legal 1 to 4"},
    {.stopped = true, .maximum = 4, .defined = 2, .wanted = 5, .error = "legal 1 to 4"},
    /* plug */
    {.maximum = 4, .listed = "0-1", .wanted = 4, .way = VP_WAY_PLUG},
    {.maximum = 4, .listed = "0-1", .paused = true, .wanted = 4, .way = VP_WAY_PLUG},
    {.maximum = 4,
     .listed = "0-1",
     .guest = "0-1",
     .online = "0",
     .wanted = 3,
     .on = "1",
     .way = VP_WAY_PLUG},
    {.maximum = 4, .listed = "0-2", .lost = "2", .wanted = 3, .error = "not noticed that vCPU 2"},
    /* the agent, up */
    {.maximum = 4,
     .listed = "0-3",
     .guest = "0-3",
     .online = "0,3",
     .wanted = 3,
     .on = "1",
     .way = VP_WAY_AGENT},
    {.maximum = 4,
     .listed = "0-3",
     .guest = "0",
     .online = "0",
     .wanted = 2,
     .error = "uses 1 of its 4 vCPUs and knows of no other"},
    /* unplug, the highest first */
    {.maximum = 4,
     .listed = "0-3",
     .unpluggable = "1-3",
     .wanted = 2,
     .unplug = "2-3",
     .way = VP_WAY_UNPLUG},
    {.maximum = 4,
     .listed = "0-3",
     .lost = "3",
     .unpluggable = "1-2",
     .wanted = 2,
     .unplug = "2",
     .way = VP_WAY_UNPLUG},
    /* what the agent took offline goes as well */
    {.maximum = 4,
     .listed = "0-3",
     .unpluggable = "1-3",
     .guest = "0-3",
     .online = "0-1",
     .wanted = 1,
     .unplug = "1-3",
     .way = VP_WAY_UNPLUG},
    {.maximum = 4,
     .listed = "0-3",
     .unpluggable = "1-3",
     .paused = true,
     .wanted = 2,
     .error = "it is paused"},
    /* the agent, down: too few can be unplugged */
    {.maximum = 4,
     .listed = "0-3",
     .unpluggable = "3",
     .guest = "0-3",
     .online = "0-3",
     .wanted = 2,
     .off = "2-3",
     .way = VP_WAY_AGENT},
    {.maximum = 4,
     .listed = "0-3",
     .guest = "0-3",
     .online = "0-2",
     .wanted = 1,
     .off = "1-2",
     .way = VP_WAY_AGENT},
    /* the definition */
    {.maximum = 4,
     .listed = "0-3",
     .unpluggable = "3",
     .defined = 4,
     .wanted = 2,
     .way = VP_WAY_DEFINITION},
    {.maximum = 4, .listed = "0-3", .defined = 2, .wanted = 2, .way = VP_WAY_DEFINITION},
    {.stopped = true, .maximum = 4, .defined = 2, .wanted = 3, .way = VP_WAY_DEFINITION},
    {.maximum = 4,
     .listed = "0-3",
     .transient = true,
     .wanted = 2,
     .error = "vcpus-hotplug = yes in its policy, from its next start) and no guest agent answers "
              "(guest-agent = yes); it has no definition"},
    {.stopped = true,
     .maximum = 4,
     .defined = 2,
     .policy_current = 2,
     .wanted = 3,
     .error = "policy app has vcpus-current = 2"},
    {.stopped = true,
     .maximum = 4,
     .defined = 2,
     .policy_current = 3,
     .wanted = 3,
     .way = VP_WAY_DEFINITION},
};

static struct vp_cpuset set_of(const char *text)
{
    struct vp_cpuset set = {0};

    if (text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static void assert_set(const char *what, const char *want, const struct vp_cpuset *found)
{
    char text[128];

    vp_cpuset_print(found, text, sizeof(text));
    ck_assert_msg(strcmp(want ? want : "", text) == 0, "%s: expected \"%s\", found \"%s\"", what,
                  want ? want : "", text);
}

START_TEST(each_way)
{
    struct vp_vcpu_facts facts = {
        .running = !ways[_i].stopped,
        .persistent = !ways[_i].transient,
        .paused = ways[_i].paused,
        .maximum = ways[_i].maximum,
        .listed = set_of(ways[_i].listed),
        .lost = set_of(ways[_i].lost),
        .unpluggable = set_of(ways[_i].unpluggable),
        .agent = ways[_i].guest != NULL,
        .guest_vcpus = set_of(ways[_i].guest),
        .guest_online = set_of(ways[_i].online),
        .guest_offlinable = set_of(ways[_i].guest),
        .defined = ways[_i].defined,
        .defined_most = ways[_i].maximum,
        .policy_current = ways[_i].policy_current,
        .policy = "app",
    };
    struct vp_vcpu_steps steps;
    struct vp_error err = {0};
    int result;

    vp_cpuset_remove(&facts.guest_offlinable, 0);
    result = vp_vcpu_choose(&facts, ways[_i].wanted, &steps, &err);
    if (ways[_i].error) {
        ck_assert_int_eq(result, -1);
        ck_assert_int_eq(err.code, VP_REFUSED);
        ck_assert_msg(strstr(err.text, ways[_i].error), "%s", err.text);
        return;
    }
    ck_assert_msg(result == 0, "%s", err.text);
    ck_assert_str_eq(vp_vcpu_way_word(steps.way), vp_vcpu_way_word(ways[_i].way));
    assert_set("unplug", ways[_i].unplug, &steps.unplug);
    assert_set("online", ways[_i].on, &steps.guest_online);
    assert_set("offline", ways[_i].off, &steps.guest_offline);
    ck_assert_int_eq(steps.why[0] != '\0', ways[_i].way == VP_WAY_DEFINITION && facts.running);
}
END_TEST

/* ---- every set of facts ---- */

/* Whatever the facts: what is to be done leads to the number that was asked. */
START_TEST(steps_reach_the_number)
{
    struct vp_error err;
    unsigned reached = 0;

    for (unsigned bits = 0; bits < 1u << 13; bits++) {
        struct vp_vcpu_facts facts = {.running = true,
                                      .persistent = bits & 1,
                                      .maximum = 4,
                                      .agent = bits >> 1 & 1,
                                      .defined = 4,
                                      .defined_most = 4};
        struct vp_vcpu_steps steps;
        unsigned wanted = 1 + (bits >> 2 & 3), left;
        unsigned plugged = 1 + (bits >> 4 & 3);

        vp_cpuset_add_range(&facts.listed, 0, (int)plugged - 1);
        for (int cpu = 1; cpu < 4; cpu++) {
            if (bits >> (6 + cpu) & 1 && cpu < (int)plugged)
                vp_cpuset_add(&facts.unpluggable, cpu);
            if (bits >> (9 + cpu) & 1 && cpu < (int)plugged)
                vp_cpuset_add(&facts.guest_online, cpu);
        }
        vp_cpuset_add(&facts.guest_online, 0);
        facts.guest_vcpus = facts.guest_offlinable = facts.listed;
        vp_cpuset_remove(&facts.guest_offlinable, 0);
        if (vp_vcpu_choose(&facts, wanted, &steps, &err) != 0)
            continue;
        reached++;
        left = vp_vcpu_count(&facts);
        switch (steps.way) {
        case VP_WAY_PLUG:
            ck_assert_uint_gt(wanted, plugged);
            break;
        case VP_WAY_UNPLUG:
            ck_assert(vp_cpuset_within(&steps.unplug, &facts.unpluggable));
            ck_assert_uint_eq(plugged - vp_cpuset_count(&steps.unplug), wanted);
            break;
        case VP_WAY_AGENT:
            ck_assert_uint_eq(left + vp_cpuset_count(&steps.guest_online) -
                                  vp_cpuset_count(&steps.guest_offline),
                              wanted);
            break;
        case VP_WAY_NONE:
            ck_assert_uint_eq(left, wanted);
            break;
        case VP_WAY_DEFINITION:
            ck_assert_uint_lt(wanted, left);
            break;
        }
    }
    ck_assert_uint_gt(reached, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vcpuway");
    TCase *ways_case = tcase_create("ways");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(ways_case, each_way, 0, (int)(sizeof(ways) / sizeof(ways[0])));
    tcase_add_test(ways_case, steps_reach_the_number);
    suite_add_tcase(suite, ways_case);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
