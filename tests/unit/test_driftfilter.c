/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/driftfilter.h"
#include "decide/error.h"

#define NOW 10000000

static struct vp_ctl ctl;
static struct vp_error err;

/* `virtpin drift` with those words, read into *filter. */
static int read_words(const char *words, struct vp_drift_filter *filter)
{
    static char copy[256];
    char *argv[16] = {(char *)"virtpin", (char *)"drift"}, *save = NULL;
    int argc = 2;

    snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    ctl = (struct vp_ctl){0};
    err = (struct vp_error){0};
    ck_assert_msg(vp_ctl_parse(&ctl, argc, argv, NULL, &err) == 0, "%s: %s", words, err.text);
    return vp_drift_filter_read(&ctl, NOW, filter, &err);
}

static const struct vp_drift_record taskset = {
    .guest = "db-1",
    .uuid = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
    .kind = VP_DRIFT_AFFINITY,
    .first_ms = 5000000,
    .last_ms = 6000000,
    .by = {.pid = 991, .comm = "taskset", .uid = 0, .unit = "session-3.scope", .tty = "pts/2"},
};
static const struct vp_drift_record nobody = {
    .guest = "web-2",
    .uuid = "aaaa22b3-1d52-d8f3-2516-782e98ab3fa0",
    .kind = VP_DRIFT_CPUSET_ABOVE,
    .first_ms = 9000000,
    .last_ms = 9500000,
    .by = {.uid = -1},
};

static const struct {
    const char *words;
    bool taskset, nobody;
} cases[] = {
    {"", true, true},
    {"--guest db-1", true, false},
    {"--guest db-*", true, false},
    {"--guest db", false, false},
    {"--guest 4DEA22B3-1d52-d8f3-2516-782e98ab3fa0", true, false},
    {"--kind affinity", true, false},
    {"--kind cpuset", false, false},
    {"--kind cpuset-above,affinity", true, true},
    {"--by taskset", true, false},
    {"--by task*", true, false},
    {"--by 991", true, false},
    {"--by 99", false, false},
    {"--by 0", false, false},
    {"--by session-3", true, false},
    {"--by session-3.scope", true, false},
    {"--by pts/2", true, false},
    {"--by unknown", false, true},
    {"--by *", true, false},
    {"--since 1h", false, true},
    {"--since 10m", false, true},
    {"--until 1970-01-01T02:00:00", true, false},
    {"--until 1970-01-01T01:00:00", false, false},
    {"--since 1970-01-01T01:41 --until 1970-01-01T02:00", false, false},
    {"--guest db-1 --kind affinity --by taskset --since 2h", true, false},
    {"--guest db-1 --kind mems", false, false},
    {"--follow --kind cpuset-above", false, true},
};

START_TEST(records_pass)
{
    struct vp_drift_filter filter;

    ck_assert_msg(read_words(cases[_i].words, &filter) == 0, "%s: %s", cases[_i].words, err.text);
    ck_assert_msg(vp_drift_filter_passes(&filter, &taskset) == cases[_i].taskset, "%s: taskset",
                  cases[_i].words);
    ck_assert_msg(vp_drift_filter_passes(&filter, &nobody) == cases[_i].nobody, "%s: nobody",
                  cases[_i].words);
}
END_TEST

static const struct {
    const char *words, *error;
} bad[] = {
    {"--kind afinity", "--kind: found \"afinity\"; legal: affinity, cpuset, cpuset-above"},
    {"--kind affinity,", "--kind: found \"\""},
    {"--kind ,affinity", "--kind: found \"\""},
    {"--kind affinity-and-a-word-of-many-letters", "--kind: found \"affinity-and-a-word"},
    {"--since yesterday", "--since: found \"yesterday\"; legal"},
    {"--until yesterday", "--until: found \"yesterday\"; legal"},
    {"--since 1m --until 1h", "--until is before --since"},
    {"--follow --until 1h", "--follow shows what comes"},
};

START_TEST(refused)
{
    struct vp_drift_filter filter;

    ck_assert_int_eq(read_words(bad[_i].words, &filter), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, bad[_i].error) != NULL, "%s: %s", bad[_i].words, err.text);
}
END_TEST

/* Every kind can be asked for by the word that records have, and the manual names it. */
START_TEST(kinds_have_words)
{
    const char *word = vp_drift_kind_word((enum vp_drift_kind)_i);
    struct vp_drift_record record = taskset;
    struct vp_drift_filter filter;
    char words[64], manual[65536];
    FILE *file = fopen("man/virtpin.1", "re");
    size_t length;

    snprintf(words, sizeof(words), "--kind %s", word);
    ck_assert_int_eq(read_words(words, &filter), 0);
    for (int kind = 0; kind < VP_DRIFT_KINDS; kind++) {
        record.kind = (enum vp_drift_kind)kind;
        ck_assert_int_eq(vp_drift_filter_passes(&filter, &record), kind == _i);
    }
    ck_assert_ptr_nonnull(file);
    length = fread(manual, 1, sizeof(manual) - 1, file);
    fclose(file);
    manual[length] = '\0';
    ck_assert_ptr_nonnull(strstr(manual, ".B \\-\\-kind\n"));
    ck_assert_msg(strstr(strstr(manual, ".B \\-\\-kind\n"), word) != NULL, "virtpin(1): %s", word);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("driftfilter");
    TCase *tcase = tcase_create("filter");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, records_pass, 0, COUNT(cases));
    tcase_add_loop_test(tcase, refused, 0, COUNT(bad));
    tcase_add_loop_test(tcase, kinds_have_words, 0, VP_DRIFT_KINDS);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
