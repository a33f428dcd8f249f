/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/error.h"

/* ---- the command line ---- */

struct line {
    const char *words; /* parted by blanks, without "virtpin" */
    const char *verb;  /* NULL: refused */
    const char *error; /* of a refusal: is in the text */
    int argc;
};

static const struct line lines[] = {
    {"status", "status", NULL, 0},
    {"status db-1", "status", NULL, 1},
    {"--json status db-1", "status", NULL, 1},
    {"status --json db-1", "status", NULL, 1},
    {"policy check", "policy check", NULL, 0},
    {"--config /x policy check /dir", "policy check", NULL, 1},
    {"rewrite --op migrate", "rewrite", NULL, 0},
    {"rewrite --op=migrate --strip", "rewrite", NULL, 0},
    {"hold db-1 --for 10m", "hold", NULL, 1},
    {"start -- --odd", "start", NULL, 1},
    {"start --help", "start", NULL, 0},
    {"", NULL, "a verb is missing", 0},
    {"polcy", NULL, "unknown verb \"polcy\"; valid: policy check, policy show, explain", 0},
    {"policy", NULL, "asks for a second word; valid: policy check, policy show", 0},
    {"policy chekc", NULL, "unknown verb \"policy chekc\"; valid: policy check, policy show", 0},
    {"simulate --no-micros", "simulate", NULL, 0},
    {"simulation", NULL, "unknown verb \"simulation\"", 0},
    {"status a b", NULL, "found \"b\", one word too many; it takes [NAME]", 0},
    {"enable now", NULL, "it takes none", 0},
    {"start", NULL, "NAME|FILE is missing", 0},
    {"revert --all", "revert", NULL, 0},
    {"release --all --for 10m", "release", NULL, 0},
    {"doctor", "doctor", NULL, 0},
    {"doctor db-1", NULL, "it takes none", 0},
    {"status --jason", NULL, "unknown option \"--jason\"; valid here: --json", 0},
    {"status --op define", NULL, "unknown option \"--op\"", 0},
    {"--strip rewrite", NULL, "unknown option \"--strip\"", 0},
    {"hold db-1 --for", NULL, "--for asks for a value", 0},
    {"--config= status", NULL, "--config: found an empty value", 0},
};

START_TEST(command_lines)
{
    const struct line *line = &lines[_i];
    char *copy = strdup(line->words), *argv[16] = {(char *)"virtpin"}, *save = NULL;
    struct vp_error err = {0};
    struct vp_ctl ctl = {0};
    int argc = 1;

    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    if (line->verb) {
        ck_assert_msg(vp_ctl_parse(&ctl, argc, argv, NULL, &err) == 0, "%s: %s", line->words,
                      err.text);
        ck_assert_str_eq(ctl.verb->name, line->verb);
        ck_assert_int_eq(ctl.argc, line->argc);
    } else {
        ck_assert_int_eq(vp_ctl_parse(&ctl, argc, argv, NULL, &err), -1);
        ck_assert_int_eq(err.code, VP_INPUT);
        ck_assert_msg(strstr(err.text, line->error) != NULL, "%s: found \"%s\"", line->words,
                      err.text);
    }
    free(copy);
}
END_TEST

START_TEST(values_arrive)
{
    char *argv[] = {(char *)"virtpin",    (char *)"rewrite",      (char *)"--op",
                    (char *)"restore",    (char *)"--policy-dir", (char *)"/p",
                    (char *)"--topology", (char *)"pu:2",         NULL};
    struct vp_error err = {0};
    struct vp_ctl ctl = {0};

    ck_assert_int_eq(vp_ctl_parse(&ctl, 8, argv, "/env", &err), 0);
    ck_assert_str_eq(vp_ctl_option(&ctl, "op"), "restore");
    ck_assert_ptr_null(vp_ctl_option(&ctl, "strip"));
    ck_assert_str_eq(ctl.where.policy_dir, "/p");
    ck_assert(ctl.where.lenient_owner);
    ck_assert_str_eq(ctl.where.config, "/env");
    ck_assert_str_eq(ctl.topology, "pu:2");
}
END_TEST

START_TEST(config_beats_environment)
{
    char *argv[] = {(char *)"virtpin", (char *)"enable", (char *)"--config", (char *)"/arg", NULL};
    struct vp_error err = {0};
    struct vp_ctl ctl = {0};

    ck_assert_int_eq(vp_ctl_parse(&ctl, 4, argv, "/env", &err), 0);
    ck_assert_str_eq(ctl.where.config, "/arg");
    ck_assert(!ctl.where.lenient_owner);
}
END_TEST

/* ---- the table and what is written about it ---- */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *bytes = calloc(1, 1 << 18);

    ck_assert_msg(file != NULL, "%s cannot be read", path);
    ck_assert_uint_gt(fread(bytes, 1, (1 << 18) - 1, file), 0);
    fclose(file);
    return bytes;
}

/* "policy-dir" as manual pages have it: "policy\-dir" */
static void roff(const char *name, char *out, size_t size)
{
    size_t used = 0;

    for (; *name && used + 3 < size; name++) {
        if (*name == '-')
            out[used++] = '\\';
        out[used++] = *name;
    }
    out[used] = '\0';
}

static void expect_option(const char *text, const char *section, const struct vp_option *option)
{
    char name[64], wanted[80];

    roff(option->name, name, sizeof(name));
    snprintf(wanted, sizeof(wanted), "\\-\\-%s", name);
    ck_assert_msg(strstr(text, wanted) != NULL, "man/virtpin.1: %s lacks --%s", section,
                  option->name);
}

/* The part of the page on one verb: from its .SS to the next heading. */
static char *verb_section(const char *page, const char *verb)
{
    char heading[96];
    const char *from, *to;

    snprintf(heading, sizeof(heading), "\n.SS %s\n", verb);
    from = strstr(page, heading);
    ck_assert_msg(from != NULL, "man/virtpin.1 has no section \".SS %s\"", verb);
    to = strstr(from + strlen(heading), "\n.S");
    return to ? strndup(from, (size_t)(to - from)) : strdup(from);
}

START_TEST(manual_has_every_verb)
{
    const struct vp_verb *verb = &vp_verbs[_i];
    char *page = read_file("man/virtpin.1");
    char *section = verb_section(page, verb->name);

    for (const struct vp_option *option = verb->option; option->name; option++)
        expect_option(section, verb->name, option);
    for (const struct vp_option *option = vp_options; option->name; option++)
        expect_option(page, "OPTIONS", option);
    free(section);
    free(page);
}
END_TEST

START_TEST(manual_has_no_other_verb)
{
    char *page = read_file("man/virtpin.1");
    char *verbs = strstr(page, "\n.SH VERBS\n"), *end;
    size_t count = 0;

    ck_assert_ptr_nonnull(verbs);
    end = strstr(verbs + 1, "\n.SH ");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    for (char *at = verbs; (at = strstr(at, "\n.SS ")); at++)
        count++;
    ck_assert_uint_eq(count, vp_verb_count);
    free(page);
}
END_TEST

START_TEST(verbs_are_whole)
{
    const struct vp_verb *verb = &vp_verbs[_i];

    ck_assert_ptr_nonnull(verb->run);
    ck_assert_str_ne(verb->help, "");
    ck_assert_int_le(verb->least, verb->most);
    ck_assert_msg((verb->words[0] == '\0') == (verb->most == 0), "%s", verb->name);
    for (size_t i = 0; i < vp_verb_count; i++)
        ck_assert(i == (size_t)_i || strcmp(verb->name, vp_verbs[i].name) != 0);
    for (const struct vp_option *own = verb->option; own->name; own++)
        for (const struct vp_option *all = vp_options; all->name; all++)
            ck_assert_str_ne(own->name, all->name);
}
END_TEST

/* ---- times ---- */

static const struct {
    const char *text;
    int64_t ms; /* -1: refused */
} spans[] = {{"500ms", 500},
             {"30s", 30000},
             {"0s", 0},
             {"10m", 600000},
             {"24h", 86400000},
             {"7d", 604800000},
             {"3650d", 315360000000},
             {"3651d", -1},
             {"", -1},
             {"10", -1},
             {"s", -1},
             {"-1s", -1},
             {" 1s", -1},
             {"1 s", -1},
             {"1.5s", -1},
             {"1s ", -1},
             {"99999999999s", -1},
             {"18446744073709551615s", -1}};

START_TEST(spans_parse)
{
    struct vp_error err = {0};
    int64_t ms = -7;
    int result = vp_span_parse(spans[_i].text, &ms, &err);

    if (spans[_i].ms >= 0) {
        ck_assert_msg(result == 0, "%s: %s", spans[_i].text, err.text);
        ck_assert_int_eq(ms, spans[_i].ms);
    } else {
        ck_assert_msg(result == -1, "\"%s\" is taken as %lld", spans[_i].text, (long long)ms);
        ck_assert_int_eq(ms, -7);
        ck_assert_ptr_nonnull(strstr(err.text, "legal"));
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t ms; /* -1: refused */
} dates[] = {{"1970-01-02", 86400000},
             {"1970-01-01T01:00", 3600000},
             {"1970-01-01T00:00:01Z", 1000},
             {"1970-01-01T00:00:01.250Z", 1250},
             {"10s", 990000},
             {"yesterday", -1},
             {"1970-13-01", -1},
             {"1970-01-01T00:00:01+01:00", -1},
             {"", -1}};

START_TEST(dates_parse)
{
    struct vp_error err = {0};
    int64_t ms = -7;
    int result = vp_since_parse(dates[_i].text, 1000000, &ms, &err);

    if (dates[_i].ms >= 0) {
        ck_assert_msg(result == 0, "%s: %s", dates[_i].text, err.text);
        ck_assert_int_eq(ms, dates[_i].ms);
    } else {
        ck_assert_msg(result == -1, "\"%s\" is taken as %lld", dates[_i].text, (long long)ms);
    }
}
END_TEST

START_TEST(times_print)
{
    char text[VP_TIME_TEXT];

    ck_assert_str_eq(vp_time_text(1250, text), "1970-01-01T00:00:01.250Z");
    ck_assert_str_eq(vp_time_text(1798761599007, text), "2026-12-31T23:59:59.007Z");
    ck_assert_str_eq(vp_span_text(1250, text), "1.2 s");
    ck_assert_str_eq(vp_span_text(600000, text), "10 min");
    ck_assert_str_eq(vp_span_text(7200000, text), "2 h");
    ck_assert_str_eq(vp_span_text(172800000, text), "2 d");
    ck_assert_str_eq(vp_span_text(-5, text), "0.0 s");
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("ctl");
    TCase *parse = tcase_create("command line"), *table = tcase_create("verbs");
    TCase *times = tcase_create("times");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(parse, command_lines, 0, COUNT(lines));
    tcase_add_test(parse, values_arrive);
    tcase_add_test(parse, config_beats_environment);
    tcase_add_loop_test(table, verbs_are_whole, 0, (int)vp_verb_count);
    tcase_add_loop_test(table, manual_has_every_verb, 0, (int)vp_verb_count);
    tcase_add_test(table, manual_has_no_other_verb);
    tcase_add_loop_test(times, spans_parse, 0, COUNT(spans));
    tcase_add_loop_test(times, dates_parse, 0, COUNT(dates));
    tcase_add_test(times, times_print);
    suite_add_tcase(suite, parse);
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, times);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
