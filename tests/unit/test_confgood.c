/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The good set taken without reading its files: only while nothing at all has
 * changed about them. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "host/conf.h"
#include "host/confgood.h"
#include "tests/unit/scratch.h"

static char dir[64], config[128], policy_dir[128];
static struct vp_conf_where where;
static struct vp_error err;

static void path_of(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    path_of(name, path);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void settle(void)
{
    usleep(40000); /* a time must be older than a tick to tell */
}

static void setup(void)
{
    char text[512];

    vp_scratch(dir, sizeof(dir), "virtpin-good");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(config, sizeof(config), "%s/virtpin.conf", dir);
    snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", dir);
    ck_assert_int_eq(mkdir(policy_dir, 0755), 0);
    snprintf(text, sizeof(text), "%s/run", dir);
    ck_assert_int_eq(mkdir(text, 0700), 0);
    snprintf(text, sizeof(text), "# run-dir = /elsewhere\n[host]\nrun-dir = %s/run\nreserved = 0\n",
             dir);
    put("virtpin.conf", text);
    put("policy.d/a.conf", "[policy base]\nthread-policy = require\n"
                           "[policy a]\nbase = base\nmatch-name = a* !ab ; all but one\n"
                           "mode = enforce\nplacement = dedicated\n");
    put("policy.d/b.conf",
        "[policy b]\nmatch-name = long-name-of-a-guest-01 long-name-of-a-guest-02\n"
        " long-name-of-a-guest-03 long-name-of-a-guest-04\n"
        " long-name-of-a-guest-05 long-name-of-a-guest-06\n"
        " long-name-of-a-guest-07 long-name-of-a-guest-08\n"
        "mode = enforce\nplacement = fixed\nvcpupin = 0-3:4-7\n");
    where = (struct vp_conf_where){.config = config, .policy_dir = policy_dir, .nodename = "h1"};
    settle();
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* The set by its files; the caller frees. */
static struct vp_policy_set *load(void)
{
    struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    bool stale;

    ck_assert_msg(vp_conf_in_force(&where, &set, &stale, &findings, &err) == 0, "%s", err.text);
    vp_findings_clear(&findings);
    return set;
}

static bool known(void)
{
    struct vp_policy_set *set = NULL;
    bool found = vp_conf_known(&where, NULL, &set);

    ck_assert(found == (set != NULL));
    vp_policy_set_free(set);
    return found;
}

START_TEST(same_set)
{
    struct vp_policy_set *read = load(), *set = NULL;
    const struct vp_policy *a, *b;

    ck_assert(vp_conf_known(&where, NULL, &set));
    ck_assert_str_eq(set->text, read->text);
    ck_assert_str_eq(set->hash, read->hash);
    ck_assert_str_eq(set->host.run_dir, read->host.run_dir);
    ck_assert(vp_cpuset_equal(&set->host.reserved, &read->host.reserved));
    ck_assert_uint_eq(set->count, read->count);
    for (size_t i = 0; i < set->count; i++)
        ck_assert_str_eq(set->policy[i].name, read->policy[i].name);
    a = vp_policy_find(set, "a");
    ck_assert_ptr_nonnull(a);
    ck_assert_int_eq(a->thread_policy, VP_THREADS_REQUIRE);
    ck_assert_uint_eq(a->match_name.count, 2);
    ck_assert_str_eq(a->match_name.item[1], "!ab");
    b = vp_policy_find(set, "b"); /* its list goes over several lines */
    ck_assert_uint_eq(b->match_name.count, 8);
    ck_assert_str_eq(b->match_name.item[4], "long-name-of-a-guest-05");
    ck_assert_str_eq(b->match_name.item[7], "long-name-of-a-guest-08");
    ck_assert_uint_eq(b->vcpupin_count, 4);
    vp_policy_set_free(set);
    vp_policy_set_free(read);
}
END_TEST

static const struct only_case {
    const char *name, *policies;
} only_cases[] = {
    {"a1", "a base"},
    {"ab", "base"}, /* excluded */
    {"x", "base"},
    {"long-name-of-a-guest-08", "b base"}, /* in the last of several lines */
    {"long-name-of-a-guest-09", "base"},
};

START_TEST(only_what_a_guest_can_have)
{
    struct vp_policy_set *whole = load(), *set = NULL;
    char names[256] = "";

    ck_assert(vp_conf_known(&where, only_cases[_i].name, &set));
    for (size_t i = 0; i < set->count; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? " " : "",
                 set->policy[i].name);
    ck_assert_str_eq(names, only_cases[_i].policies);
    ck_assert_str_eq(set->text, whole->text);
    ck_assert_str_eq(set->hash, whole->hash);
    ck_assert_str_eq(set->host.run_dir, whole->host.run_dir);
    vp_policy_set_free(set);
    vp_policy_set_free(whole);
}
END_TEST

static void replace(const char *name)
{
    char command[512];

    snprintf(command, sizeof(command), "cd %s && cp -p %s new && mv new %s", dir, name, name);
    ck_assert_int_eq(system(command), 0);
}

static void change_mode(const char *name, mode_t mode)
{
    char path[256];

    path_of(name, path);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void change(int number)
{
    static const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    char path[256];

    switch (number) {
    case 0: /* another text of the same length */
        put("policy.d/a.conf", "[policy base]\nthread-policy = require\n"
                               "[policy a]\nbase = base\nmatch-name = a* !ac ; all but one\n"
                               "mode = enforce\nplacement = dedicated\n");
        break;
    case 1:
        put("policy.d/c.conf", "[policy c]\n");
        break;
    case 2:
        path_of("policy.d/b.conf", path);
        ck_assert_int_eq(unlink(path), 0);
        break;
    case 3: /* the same bytes and times, another file */
        replace("policy.d/a.conf");
        break;
    case 4: /* others may write it now */
        change_mode("policy.d/a.conf", 0666);
        break;
    case 5:
        change_mode("policy.d", 0777);
        break;
    case 6:
        path_of("policy.d/a.conf", path);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
        break;
    case 7:
        put("virtpin.conf", "[host]\n");
        break;
    case 8:
        change_mode("", 0777);
        break;
    case 9:
        path_of("virtpin.conf", path);
        ck_assert_int_eq(unlink(path), 0);
        break;
    case 10:
        where.nodename = "h2";
        break;
    case 11:
        where.policy_dir = dir;
        break;
    case 12: /* the kept files themselves */
        change_mode("run/policy.good", 0666);
        break;
    case 13:
        change_mode("run/policy.stamp", 0622);
        break;
    case 14:
        put("run/policy.good", "# policies in force, written by virtpin: sha256:00\n");
        break;
    case 15:
        put("run/policy.stamp", "virtpin\n");
        break;
    case 16:
        path_of("run/policy.stamp", path);
        ck_assert_int_eq(truncate(path, 400), 0);
        break;
    case 17:
        path_of("run/policy.stamp", path);
        ck_assert_int_eq(unlink(path) | mkfifo(path, 0600), 0);
        break;
    }
}

enum { CHANGES = 18 };

START_TEST(any_change_is_seen)
{
    vp_policy_set_free(load());
    ck_assert(known());
    change(_i);
    ck_assert(!known());
}
END_TEST

/* A stamp stands only for times that a later change cannot have again. */
START_TEST(too_fresh)
{
    put("policy.d/c.conf", "[policy c]\n");
    vp_policy_set_free(load());
    ck_assert(!known());
    settle();
    vp_policy_set_free(load());
    ck_assert(known());
}
END_TEST

START_TEST(broken_files_make_no_stamp)
{
    struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    bool stale;

    vp_policy_set_free(load());
    put("policy.d/a.conf", "[policy a]\nnonsense = 1\n");
    settle();
    ck_assert_int_eq(vp_conf_in_force(&where, &set, &stale, &findings, &err), 0);
    ck_assert(stale);
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    ck_assert(!known());
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("confgood");
    TCase *tests = tcase_create("stamp");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, same_set);
    tcase_add_loop_test(tests, only_what_a_guest_can_have, 0,
                        sizeof(only_cases) / sizeof(*only_cases));
    tcase_add_loop_test(tests, any_change_is_seen, 0, CHANGES);
    tcase_add_test(tests, too_fresh);
    tcase_add_test(tests, broken_files_make_no_stamp);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
