/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/drift.h"

static struct vp_cpuset set_of(const char *text)
{
    struct vp_cpuset set = {0};

    if (text[0])
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static const char *text_of(const struct vp_cpuset *set)
{
    static char text[VP_CPUSET_TEXT];

    vp_cpuset_print(set, text, sizeof(text));
    return text;
}

static void want(struct vp_pins *pins, enum vp_role role, unsigned index, const char *cpus)
{
    struct vp_cpuset set = set_of(cpus);

    ck_assert_int_eq(vp_pins_add(pins, role, index, &set), 0);
}

/* ---- one thread: what is seen, and the kinds that it makes ---- */

#define ONLINE "0-15"
#define UNKNOWN NULL /* no cpuset controller */

static const struct {
    const char *wanted, *cpuset, *effective, *affinity;
    const char *kinds; /* with what was found: "cpuset 0-3, affinity 2" */
} cases[] = {
    {"4", "4", "4", "4", ""},
    {"4-5", "4-5", "4-5", "4-5", ""},
    /* taskset */
    {"4-5", "4-5", "4-5", "4", "affinity 4"},
    /* the group's file */
    {"4", "0-15", "0-15", "4", "cpuset 0-15"},
    {"4", "3", "3", "3", "cpuset 3, affinity 3"},
    /* v2: unset is right where it comes to the same */
    {"0-15", "", "0-15", "0-15", ""},
    {"4", "", "0-15", "4", "cpuset 0-15"},
    {"4", "", "4", "4", ""},
    /* an ancestor narrows: it explains the mask, in part or whole */
    {"4-7", "4-7", "4-5", "4-5", "cpuset-above 4-5"},
    {"9", "9", "0-7", "0-7", "cpuset-above 0-7"},
    {"4-7", "4-7", "4-5", "4", "cpuset-above 4-5, affinity 4"},
    /* CPU 20 is not online: with and without it is the same */
    {"4,20", "4", "4", "4", ""},
    {"4,20", "4,20", "4", "4", ""},
    /* but one that is not wanted and may come online is not */
    {"4", "4,20", "4", "4", "cpuset 4,20"},
    /* nothing wanted is online */
    {"20", "20", "0-15", "0-15", "affinity 0-15"},
    /* affinity alone */
    {"4", UNKNOWN, "", "4", ""},
    {"4", UNKNOWN, "", "0-15", "affinity 0-15"},
};

static void print_diffs(const struct vp_diffs *diffs, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < diffs->count; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s %s", i ? ", " : "",
                 vp_drift_kind_word(diffs->item[i].kind), text_of(&diffs->item[i].found));
}

START_TEST(one_thread)
{
    struct vp_cpuset online = set_of(ONLINE), wanted = set_of(cases[_i].wanted);
    struct vp_seen seen = {.role = VP_ROLE_VCPU, .index = 3, .tid = 4720};
    struct vp_pins pins = {0};
    struct vp_diffs diffs = {0};
    char text[512];

    want(&pins, VP_ROLE_VCPU, 3, cases[_i].wanted);
    seen.has_cpuset = cases[_i].cpuset;
    seen.cpuset = set_of(cases[_i].cpuset ? cases[_i].cpuset : "");
    seen.effective = set_of(cases[_i].effective);
    seen.affinity = set_of(cases[_i].affinity);
    strcpy(seen.group, "/c/vcpu3");
    ck_assert_int_eq(vp_drift_compare(&pins, &seen, 1, &online, &diffs), 0);
    print_diffs(&diffs, text, sizeof(text));
    ck_assert_str_eq(text, cases[_i].kinds);
    for (size_t i = 0; i < diffs.count; i++) {
        ck_assert_int_eq(diffs.item[i].role, VP_ROLE_VCPU);
        ck_assert_uint_eq(diffs.item[i].index, 3);
        ck_assert_int_eq(diffs.item[i].tid, 4720);
        ck_assert(vp_cpuset_equal(&diffs.item[i].wanted, &wanted));
        ck_assert_str_eq(diffs.item[i].where,
                         diffs.item[i].kind == VP_DRIFT_AFFINITY ? "" : "/c/vcpu3/cpuset.cpus");
    }
    vp_diffs_clear(&diffs);
    vp_pins_clear(&pins);
}
END_TEST

/* ---- whose pin a thread is measured by ---- */

static const struct {
    enum vp_role role;
    unsigned index;
    const char *group, *cpus; /* NULL: nothing is wanted */
} wanted_by[] = {
    {VP_ROLE_VCPU, 0, "/g/vcpu0", "4"},
    {VP_ROLE_VCPU, 0, "/g/emulator", "4"},
    {VP_ROLE_VCPU, 7, "/g/vcpu7", NULL},
    {VP_ROLE_EMULATOR, 0, "/g/emulator", "0-1"},
    {VP_ROLE_EMULATOR, 0, "", "0-1"},
    {VP_ROLE_IOTHREAD, 1, "/g/iothread1", "2"},
    {VP_ROLE_IOTHREAD, 2, "/g/iothread2", NULL},
    {VP_ROLE_WORKER, 0, "/g/emulator", "0-1"},
    {VP_ROLE_WORKER, 0, "/g/iothread1", "2"},
    {VP_ROLE_WORKER, 0, "/g/iothread2", NULL},
    {VP_ROLE_WORKER, 0, "vcpu0", "4"},
    {VP_ROLE_WORKER, 0, "/g/vcpu", "0-1"},
    {VP_ROLE_WORKER, 0, "/g/vcpu99999999999", "0-1"},
    {VP_ROLE_VHOST, 0, "", "0-1"},
    {VP_ROLE_HELPER, 0, "/g/emulator", "0-1"},
};

START_TEST(whose_pin)
{
    struct vp_pins pins = {0};
    const struct vp_pin *pin;

    want(&pins, VP_ROLE_VCPU, 0, "4");
    want(&pins, VP_ROLE_EMULATOR, 0, "0-1");
    want(&pins, VP_ROLE_IOTHREAD, 1, "2");
    pin = vp_drift_wanted(&pins, wanted_by[_i].role, wanted_by[_i].index, wanted_by[_i].group);
    if (wanted_by[_i].cpus)
        ck_assert_str_eq(text_of(&pin->cpus), wanted_by[_i].cpus);
    else
        ck_assert_ptr_null(pin);
    vp_pins_clear(&pins);
}
END_TEST

/* ---- a guest ---- */

START_TEST(a_guest)
{
    struct vp_cpuset online = set_of(ONLINE), set = set_of("4");
    struct vp_seen seen[3] = {{.role = VP_ROLE_VCPU, .tid = 1, .affinity = set},
                              {.role = VP_ROLE_WORKER, .tid = 2, .affinity = set},
                              {.role = VP_ROLE_IOTHREAD, .index = 9, .tid = 3, .affinity = set}};
    struct vp_pins pins = {0};
    struct vp_diffs diffs = {0};
    char text[512];

    want(&pins, VP_ROLE_VCPU, 0, "4");
    want(&pins, VP_ROLE_VCPU, 1, "5"); /* not plugged: not missing */
    want(&pins, VP_ROLE_EMULATOR, 0, "0-1");
    ck_assert_int_eq(vp_drift_compare(&pins, seen, 3, &online, &diffs), 0);
    print_diffs(&diffs, text, sizeof(text));
    ck_assert_str_eq(text, "affinity 4, missing ");
    ck_assert_int_eq(diffs.item[0].tid, 2);
    ck_assert_int_eq(diffs.item[1].tid, 0);
    ck_assert_int_eq(diffs.item[1].role, VP_ROLE_EMULATOR);
    ck_assert_str_eq(text_of(&diffs.item[1].wanted), "0-1");
    vp_diffs_clear(&diffs);
    ck_assert_ptr_null(diffs.item);
    vp_pins_clear(&pins);
    ck_assert_int_eq(vp_drift_compare(&pins, seen, 3, &online, &diffs), 0);
    ck_assert_uint_eq(diffs.count, 0);
}
END_TEST

START_TEST(astray)
{
    struct vp_cpuset online = set_of(ONLINE);
    struct vp_seen seen = {.role = VP_ROLE_WORKER, .tid = 2, .has_cpuset = true, .astray = true};
    struct vp_pins pins = {0};
    struct vp_diffs diffs = {0};
    char text[512];

    /* In another guest's group of a vCPU: that one's pin says nothing of it. */
    strcpy(seen.group, "/other/vcpu0");
    seen.cpuset = seen.effective = seen.affinity = set_of("9");
    want(&pins, VP_ROLE_VCPU, 0, "9");
    want(&pins, VP_ROLE_EMULATOR, 0, "0-1");
    ck_assert_int_eq(vp_drift_compare(&pins, &seen, 1, &online, &diffs), 0);
    print_diffs(&diffs, text, sizeof(text));
    ck_assert_str_eq(text, "group 9, affinity 9, missing ");
    ck_assert_str_eq(diffs.item[0].where, "/other/vcpu0");
    vp_diffs_clear(&diffs);
    vp_pins_clear(&pins);
}
END_TEST

START_TEST(many_threads)
{
    static struct vp_seen seen[200];
    struct vp_cpuset online = set_of(ONLINE);
    struct vp_pins pins = {0};
    struct vp_diffs diffs = {0};

    for (unsigned i = 0; i < 200; i++) {
        want(&pins, VP_ROLE_VCPU, i, "1");
        seen[i] = (struct vp_seen){.role = VP_ROLE_VCPU, .index = i, .tid = (pid_t)i + 1};
        vp_cpuset_add(&seen[i].affinity, i % 2 ? 1 : 2);
    }
    ck_assert_int_eq(vp_drift_compare(&pins, seen, 200, &online, &diffs), 0);
    ck_assert_uint_eq(diffs.count, 100);
    ck_assert_uint_eq(diffs.item[99].index, 198);
    vp_diffs_clear(&diffs);
    vp_pins_clear(&pins);
}
END_TEST

/* ---- libvirt's pins ---- */

START_TEST(libvirts_pins)
{
    struct vp_cpuset online = set_of(ONLINE);
    struct vp_pins wanted = {0}, libvirt = {0};
    struct vp_diffs diffs = {0};
    char text[512];

    want(&wanted, VP_ROLE_VCPU, 0, "4");
    want(&wanted, VP_ROLE_VCPU, 1, "5");
    want(&wanted, VP_ROLE_VCPU, 2, "0-15");
    want(&wanted, VP_ROLE_EMULATOR, 0, "0-1,20");
    want(&wanted, VP_ROLE_IOTHREAD, 1, "2");
    want(&libvirt, VP_ROLE_VCPU, 0, "4");
    want(&libvirt, VP_ROLE_VCPU, 1, "6");
    want(&libvirt, VP_ROLE_VCPU, 9, "7"); /* of which nothing is wanted */
    want(&libvirt, VP_ROLE_EMULATOR, 0, "0-1");
    ck_assert_int_eq(vp_drift_compare_pins(&wanted, &libvirt, &online, &diffs), 0);
    print_diffs(&diffs, text, sizeof(text));
    ck_assert_str_eq(text, "pin 6, pin 0-15");
    ck_assert_uint_eq(diffs.item[0].index, 1);
    ck_assert_int_eq(diffs.item[1].role, VP_ROLE_IOTHREAD);
    ck_assert_int_eq(diffs.item[1].tid, 0);
    ck_assert_str_eq(diffs.item[1].where, "");
    vp_diffs_clear(&diffs);
    vp_pins_clear(&wanted);
    vp_pins_clear(&libvirt);
}
END_TEST

START_TEST(words)
{
    for (int i = VP_DRIFT_AFFINITY; i <= VP_DRIFT_DEFINITION; i++)
        ck_assert_int_eq(vp_drift_kind_parse(vp_drift_kind_word((enum vp_drift_kind)i)), i);
    for (int i = VP_DRIFT_OPEN; i <= VP_DRIFT_AUDIT; i++)
        ck_assert_int_eq(vp_drift_state_parse(vp_drift_state_word((enum vp_drift_state)i)), i);
    ck_assert_str_eq(vp_drift_kind_word(VP_DRIFT_CPUSET_ABOVE), "cpuset-above");
    ck_assert_int_eq(vp_drift_kind_parse("cpuset-"), -1);
    ck_assert_int_eq(vp_drift_state_parse(""), -1);
}
END_TEST

/* ---- contests ---- */

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

static const int64_t start_ms = INT64_C(1700000000000);

/* Five repairs, a second apart; then the sixth sighting. */
static bool fight(struct vp_contest *contest, int64_t now, int64_t step, bool *began)
{
    for (int i = 0; i < 5; i++) {
        ck_assert(vp_contest_may_repair(contest, now + i * step, 5, MINUTE, began));
        ck_assert(!*began);
        vp_contest_repaired(contest, now + i * step);
    }
    return vp_contest_may_repair(contest, now + 5 * step, 5, MINUTE, began);
}

START_TEST(five_in_a_minute_begin_a_contest)
{
    struct vp_contest contest = {0};
    int64_t now = start_ms + 5 * SECOND, wait = SECOND;
    bool began;

    ck_assert(!fight(&contest, start_ms, SECOND, &began));
    ck_assert(began && contest.contested);
    for (int i = 0; i < 12; i++) { /* 1 s, 2 s, ... 5 min and no more */
        ck_assert(!vp_contest_may_repair(&contest, now + wait - 1, 5, MINUTE, &began));
        ck_assert(!began);
        now += wait;
        ck_assert(vp_contest_may_repair(&contest, now, 5, MINUTE, &began));
        vp_contest_repaired(&contest, now);
        wait = wait * 2 > 5 * MINUTE ? 5 * MINUTE : wait * 2;
        ck_assert(!vp_contest_over(&contest, now));
    }
    ck_assert_int_eq(contest.backoff_ms, 5 * MINUTE);
    ck_assert(!vp_contest_over(&contest, now + 10 * MINUTE - 1));
    ck_assert(vp_contest_over(&contest, now + 10 * MINUTE));
    ck_assert(!vp_contest_over(&contest, now + 20 * MINUTE)); /* once */
    ck_assert(vp_contest_may_repair(&contest, now + 20 * MINUTE, 5, MINUTE, &began));
}
END_TEST

START_TEST(slow_drift_is_no_contest)
{
    struct vp_contest contest = {0};
    bool began;

    /* The first of the five is out of the window when the sixth comes. */
    ck_assert(fight(&contest, start_ms, 12 * SECOND, &began));
    ck_assert(!began && !contest.contested);
    ck_assert(!vp_contest_over(&contest, start_ms + 100 * MINUTE));
    for (int i = 0; i < 100; i++) { /* round the ring several times */
        int64_t now = start_ms + (10 + i) * MINUTE;

        ck_assert(vp_contest_may_repair(&contest, now, 5, MINUTE, &began));
        vp_contest_repaired(&contest, now);
    }
}
END_TEST

START_TEST(a_sighting_keeps_it_alive)
{
    struct vp_contest contest = {0};
    int64_t now = start_ms;
    bool began;

    ck_assert(!fight(&contest, now, SECOND, &began));
    for (int i = 0; i < 5; i++) {
        now += 9 * MINUTE;
        ck_assert(!vp_contest_over(&contest, now));
        vp_contest_may_repair(&contest, now, 5, MINUTE, &began);
    }
    ck_assert(!vp_contest_over(&contest, now + 9 * MINUTE));
}
END_TEST

START_TEST(clock_set_back)
{
    struct vp_contest contest = {0};
    bool began;

    ck_assert(!fight(&contest, start_ms, SECOND, &began));
    /* An hour back: it waits no longer than the back-off from then. */
    ck_assert(!vp_contest_may_repair(&contest, start_ms - 60 * MINUTE, 5, MINUTE, &began));
    ck_assert(vp_contest_may_repair(&contest, start_ms - 60 * MINUTE + SECOND, 5, MINUTE, &began));
}
END_TEST

START_TEST(count_limits)
{
    struct vp_contest contest = {0};
    bool began;

    ck_assert(vp_contest_may_repair(&contest, start_ms, 1, MINUTE, &began));
    vp_contest_repaired(&contest, start_ms);
    ck_assert(!vp_contest_may_repair(&contest, start_ms + 1, 1, MINUTE, &began));
    ck_assert(began);
    contest = (struct vp_contest){0};
    for (int i = 0; i < 16; i++) {
        ck_assert(vp_contest_may_repair(&contest, start_ms + i, 16, MINUTE, &began));
        vp_contest_repaired(&contest, start_ms + i);
    }
    ck_assert(!vp_contest_may_repair(&contest, start_ms + 16, 16, MINUTE, &began));
    ck_assert(began);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drift");
    TCase *compare = tcase_create("compare"), *contest = tcase_create("contest");
    SRunner *runner = srunner_create(suite);
    int failed;

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))
    tcase_add_loop_test(compare, one_thread, 0, COUNT(cases));
    tcase_add_loop_test(compare, whose_pin, 0, COUNT(wanted_by));
    tcase_add_test(compare, a_guest);
    tcase_add_test(compare, astray);
    tcase_add_test(compare, many_threads);
    tcase_add_test(compare, libvirts_pins);
    tcase_add_test(compare, words);
    tcase_add_test(contest, five_in_a_minute_begin_a_contest);
    tcase_add_test(contest, slow_drift_is_no_contest);
    tcase_add_test(contest, a_sighting_keeps_it_alive);
    tcase_add_test(contest, clock_set_back);
    tcase_add_test(contest, count_limits);
    suite_add_tcase(suite, compare);
    suite_add_tcase(suite, contest);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
