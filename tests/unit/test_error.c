/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "decide/error.h"
#include "decide/finding.h"

START_TEST(fail_fills_and_returns)
{
    struct vp_error err = {0};

    ck_assert_int_eq(vp_fail(&err, VP_INPUT, "found \"%s\"", "x"), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_str_eq(err.text, "found \"x\"");
    ck_assert_int_eq(vp_fail_errno(&err, VP_HOST, ENOENT, "/a/%d", 7), -1);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_str_eq(err.text, "/a/7: No such file or directory");
    ck_assert_int_eq(vp_wrap(&err, "guest %s", "db"), -1);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_str_eq(err.text, "guest db: /a/7: No such file or directory");
}
END_TEST

START_TEST(no_object_is_legal)
{
    ck_assert_int_eq(vp_fail(NULL, VP_INPUT, "x"), -1);
    ck_assert_int_eq(vp_fail_errno(NULL, VP_INPUT, EIO, "x"), -1);
    ck_assert_int_eq(vp_wrap(NULL, "x"), -1);
}
END_TEST

START_TEST(long_texts_are_cut)
{
    static char big[2 * VP_ERROR_TEXT];
    struct vp_error err;

    memset(big, 'a', sizeof(big) - 1);
    vp_fail(&err, VP_HOST, "%s", big);
    ck_assert_uint_eq(strlen(err.text), VP_ERROR_TEXT - 1);
    vp_fail_errno(&err, VP_HOST, EIO, "%s", big);
    ck_assert_uint_eq(strlen(err.text), VP_ERROR_TEXT - 1);
    vp_fail(&err, VP_HOST, "inner");
    vp_wrap(&err, "%s", big);
    ck_assert_uint_eq(strlen(err.text), VP_ERROR_TEXT - 1);
    vp_fail(&err, VP_HOST, "%s", big);
    vp_wrap(&err, "outer");
    ck_assert_uint_eq(strlen(err.text), VP_ERROR_TEXT - 1);
    ck_assert_int_eq(strncmp(err.text, "outer: aaa", 10), 0);
}
END_TEST

/* A number that errno does not know must not crash the report. */
START_TEST(odd_errno)
{
    struct vp_error err;

    vp_fail_errno(&err, VP_HOST, 99999, "x");
    ck_assert_str_eq(err.text, "x: unknown error 99999");
}
END_TEST

START_TEST(exit_codes)
{
    ck_assert_int_eq(vp_exit_code(VP_OK), 0);
    ck_assert_int_eq(vp_exit_code(VP_REFUSED), 1);
    ck_assert_int_eq(vp_exit_code(VP_INPUT), 2);
    ck_assert_int_eq(vp_exit_code(VP_HOST), 3);
    ck_assert_int_eq(vp_exit_code(VP_BUSY), 3);
    ck_assert_int_eq(vp_exit_code(VP_GONE), 3);
}
END_TEST

START_TEST(findings_copy_and_sort)
{
    struct vp_findings list = {0};
    char text[8] = "second", line[128];
    struct vp_finding finding = {.grade = VP_ERROR, .file = (char *)"b", .line = 2, .text = text};

    ck_assert(vp_findings_add(&list, &finding));
    strcpy(text, "first");
    finding.line = 1;
    ck_assert(vp_findings_add(&list, &finding));
    strcpy(text, "third");
    finding.line = 2;
    finding.grade = VP_WARNING;
    ck_assert(vp_findings_add(&list, &finding));
    ck_assert(vp_findings_note(&list, VP_WARNING, "n%d", 1));
    finding.file = (char *)"a";
    finding.line = 0;
    ck_assert(vp_findings_add(&list, &finding));
    vp_findings_sort(&list);
    ck_assert_uint_eq(list.count, 5);
    ck_assert_uint_eq(vp_findings_errors(&list), 2);
    ck_assert_str_eq(vp_finding_line(&list.item[0], line, sizeof(line)), "n1");
    ck_assert_str_eq(vp_finding_line(&list.item[1], line, sizeof(line)), "a: third");
    ck_assert_str_eq(vp_finding_line(&list.item[2], line, sizeof(line)), "b:1: first");
    ck_assert_str_eq(vp_finding_line(&list.item[3], line, sizeof(line)), "b:2: second");
    ck_assert_str_eq(vp_finding_line(&list.item[4], line, sizeof(line)), "b:2: third");
    vp_findings_clear(&list);
    ck_assert_ptr_null(list.item);
    vp_findings_clear(&list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, core);
    tcase_add_test(core, fail_fills_and_returns);
    tcase_add_test(core, no_object_is_legal);
    tcase_add_test(core, long_texts_are_cut);
    tcase_add_test(core, odd_errno);
    tcase_add_test(core, exit_codes);
    tcase_add_test(core, findings_copy_and_sort);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
