/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "host/conf.h"
#include "host/confread.h"

/* Each test has a directory of its own with virtpin.conf, policy.d and run. */
static char root[512];
static char config[600], policy_dir[600], run_dir[600], good[700];
static struct vp_conf_where where;

static struct vp_policy_set *set;
static struct vp_findings findings;
static struct vp_error err;

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void write_policy(const char *name, const char *text)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/%s", policy_dir, name);
    write_text(path, text, 0644);
}

static void setup(void)
{
    const char *tmp = getenv("TMPDIR");
    char text[700];

    umask(022);
    snprintf(root, sizeof(root), "%s/virtpin-conf.XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(root));
    snprintf(config, sizeof(config), "%s/virtpin.conf", root);
    snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", root);
    snprintf(run_dir, sizeof(run_dir), "%s/run", root);
    snprintf(good, sizeof(good), "%s/policy.good", run_dir);
    ck_assert_int_eq(mkdir(policy_dir, 0755), 0);
    snprintf(text, sizeof(text), "[host]\nrun-dir = %s\n", run_dir);
    write_text(config, text, 0644);
    where = (struct vp_conf_where){
        .config = config, .policy_dir = policy_dir, .nodename = "h1.example"};
    set = NULL;
    findings = (struct vp_findings){0};
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char below[1024];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (unlink(below) < 0)
            remove_tree(below);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static void teardown(void)
{
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    remove_tree(root);
}

static int load(void)
{
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    return vp_conf_load(&where, &set, &findings, &err);
}

static bool stale;

static int in_force(void)
{
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    return vp_conf_in_force(&where, &set, &stale, &findings, &err);
}

static bool found(const char *text)
{
    char line[2048];

    for (size_t i = 0; i < findings.count; i++)
        if (strstr(vp_finding_line(&findings.item[i], line, sizeof(line)), text))
            return true;
    return false;
}

static void expect_error(const char *text)
{
    ck_assert_int_eq(load(), -1);
    ck_assert_ptr_null(set);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, text) != NULL, "\"%s\" is not in \"%s\"", text, err.text);
}

/* ---- which files ---- */

START_TEST(files_in_order)
{
    write_policy("20-b.conf", "[policy b]\nmatch-name = b\n");
    write_policy("10-a.conf", "[policy a]\nmatch-name = a\n");
    write_policy("ignored", "what\n");
    write_policy(".hidden.conf", "what\n");
    write_policy("a.conf.bak", "what\n");
    write_policy("empty.conf", "");
    ck_assert_int_eq(load(), 0);
    ck_assert_uint_eq(set->count, 2);
    ck_assert_uint_eq(set->files.count, 4);
    ck_assert_str_eq(set->files.item[0], config);
    ck_assert_ptr_nonnull(strstr(set->files.item[1], "10-a.conf"));
    ck_assert_ptr_nonnull(strstr(vp_policy_find(set, "b")->file, "policy.d/20-b.conf"));
    ck_assert_str_eq(set->host.run_dir, run_dir);
}
END_TEST

START_TEST(named_config_must_exist)
{
    ck_assert_int_eq(unlink(config), 0);
    expect_error("virtpin.conf");
    ck_assert(strstr(err.text, "No such file"));
}
END_TEST

START_TEST(named_dir_must_exist)
{
    ck_assert_int_eq(rmdir(policy_dir), 0);
    expect_error("policy.d");
}
END_TEST

START_TEST(twice_across_files)
{
    write_policy("a.conf", "[policy x]\nmatch-name = a\n");
    write_policy("b.conf", "\n[policy x]\nmatch-name = b\n");
    expect_error("b.conf:2: policy x stands here and at a.conf:1");
}
END_TEST

START_TEST(all_errors_are_shown)
{
    write_policy("a.conf", "[policy a]\nnuma = x\n");
    write_policy("b.conf", "[policy b]\nbase = zz\nfoo = 1\n");
    write_policy("c.conf", "what\n");
    ck_assert_int_eq(load(), -1);
    ck_assert(found("a.conf:2: numa"));
    ck_assert(found("b.conf:2: base"));
    ck_assert(found("b.conf:3: unknown key"));
    ck_assert(found("c.conf:1: neither"));
    ck_assert_str_eq(err.text, "a.conf:2: numa: found \"x\", legal: fewest, single, any, spread");
}
END_TEST

START_TEST(ties_warn_on_load_only)
{
    write_policy("a.conf", "[policy x]\nmatch-name = a*\n[policy y]\nmatch-name = ab*\n");
    ck_assert_int_eq(load(), 0);
    ck_assert(found("policies x and y have priority 0"));
    ck_assert_int_eq(in_force(), 0);
    ck_assert(!found("policies x and y"));
}
END_TEST

/* ---- which files are believed ---- */

START_TEST(unsafe_modes)
{
    char path[700];

    write_policy("a.conf", "[policy a]\nmatch-name = a\n");
    snprintf(path, sizeof(path), "%s/a.conf", policy_dir);
    ck_assert_int_eq(chmod(path, 0664), 0);
    expect_error("mode 0664");
    ck_assert_int_eq(chmod(path, 0646), 0);
    expect_error("mode 0646");
    where.lenient_owner = true;
    ck_assert_int_eq(load(), 0);
    ck_assert(found("mode 0646"));
    ck_assert_uint_eq(vp_findings_errors(&findings), 0);
    where.lenient_owner = false;
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(load(), 0);
    ck_assert_int_eq(chmod(policy_dir, 0777), 0);
    expect_error("mode 0777");
    ck_assert_int_eq(chmod(policy_dir, 0755), 0);
    ck_assert_int_eq(chmod(root, 0770), 0);
    expect_error("mode 0770");
    ck_assert_int_eq(chmod(root, 0700), 0);
}
END_TEST

START_TEST(unsafe_owner)
{
    if (geteuid() != 0) {
        printf("skip unsafe_owner: only root can give files away\n");
        return;
    }
    if (chown(config, 12345, 12345) < 0) {
        printf("skip unsafe_owner: this user namespace has no other uid\n");
        return;
    }
    expect_error("belongs to uid 12345");
    where.lenient_owner = true;
    ck_assert_int_eq(load(), 0);
    ck_assert(found("belongs to uid 12345"));
}
END_TEST

START_TEST(odd_files)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/a.conf", policy_dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    expect_error("not a regular file");
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0644), 0);
    expect_error("not a regular file");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("nowhere", path), 0);
    expect_error("No such file");
    ck_assert_int_eq(unlink(path), 0);
    write_policy("a.conf", "");
    ck_assert_int_eq(truncate(path, 1024 * 1024 + 1), 0);
    expect_error("more than 1048576");
    ck_assert_int_eq(truncate(path, 100), 0);
    expect_error("control character, code 0");
}
END_TEST

/* ---- what is in force ---- */

static void read_good_file(char *buf, size_t size)
{
    FILE *file = fopen(good, "r");

    ck_assert_ptr_nonnull(file);
    buf[fread(buf, 1, size - 1, file)] = '\0';
    fclose(file);
}

START_TEST(good_set_is_kept)
{
    char hash[72], bytes[4096];
    struct stat before, after;

    write_policy("a.conf",
                 "[policy top]\nmode = enforce\n[policy a]\nbase = top\nmatch-name = a\n");
    ck_assert_int_eq(in_force(), 0);
    ck_assert(!stale);
    ck_assert_int_eq(stat(run_dir, &before), 0);
    ck_assert_uint_eq(before.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(good, &before), 0);
    ck_assert_uint_eq(before.st_mode & 07777, 0600);
    snprintf(hash, sizeof(hash), "%s", set->hash);
    read_good_file(bytes, sizeof(bytes));
    ck_assert_ptr_nonnull(strstr(bytes, hash));
    ck_assert_ptr_nonnull(strstr(bytes, set->text));
    /* Equal: not written again, and the hash is the same without computing. */
    ck_assert_int_eq(in_force(), 0);
    ck_assert_str_eq(set->hash, hash);
    ck_assert_int_eq(stat(good, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(load(), 0);
    ck_assert_str_eq(set->hash, hash);
    /* Changed: replaced by another file. */
    write_policy("b.conf", "[policy b]\nmatch-name = b\n");
    ck_assert_int_eq(in_force(), 0);
    ck_assert_int_eq(stat(good, &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino);
    ck_assert_str_ne(set->hash, hash);
}
END_TEST

START_TEST(broken_files_leave_the_good_set)
{
    char hash[72];

    write_policy("a.conf",
                 "[policy top]\nmode = enforce\n[policy a]\nbase = top\nmatch-name = a\n");
    ck_assert_int_eq(in_force(), 0);
    snprintf(hash, sizeof(hash), "%s", set->hash);
    write_policy("a.conf", "[policy top]\nmode = enforc");
    ck_assert_int_eq(in_force(), 0);
    ck_assert(stale);
    ck_assert_str_eq(set->hash, hash);
    ck_assert_uint_eq(set->count, 2);
    ck_assert_int_eq(vp_policy_find(set, "a")->mode, VP_MODE_ENFORCE);
    ck_assert(found("a.conf:2: mode: found \"enforc\""));
    write_policy("a.conf",
                 "[policy top]\nmode = enforce\n[policy a]\nbase = top\nmatch-name = a\n");
    ck_assert_int_eq(in_force(), 0);
    ck_assert(!stale);
}
END_TEST

START_TEST(no_good_set_either)
{
    write_policy("a.conf", "what\n");
    ck_assert_int_eq(in_force(), -1);
    ck_assert_ptr_null(set);
    ck_assert_ptr_nonnull(strstr(err.text, "a.conf:1"));
    ck_assert_ptr_nonnull(strstr(err.text, "no earlier good set"));
}
END_TEST

START_TEST(damaged_good_set)
{
    write_policy("a.conf", "[policy a]\nmatch-name = a\n");
    ck_assert_int_eq(in_force(), 0);
    write_text(good, "[policy a]\nmode = wha", 0600);
    /* Good files mend it, bad ones must not take it. */
    write_policy("a.conf", "what\n");
    ck_assert_int_eq(in_force(), -1);
    write_policy("a.conf", "[policy a]\nmatch-name = a\n");
    ck_assert_int_eq(in_force(), 0);
    ck_assert_int_eq(chmod(good, 0666), 0);
    write_policy("a.conf", "what\n");
    ck_assert_int_eq(in_force(), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "mode 0666"));
}
END_TEST

START_TEST(run_dir_cannot_be_made)
{
    char text[700];

    snprintf(text, sizeof(text), "[host]\nrun-dir = %s/no/such/run\n", root);
    write_text(config, text, 0644);
    ck_assert_int_eq(in_force(), 0);
    ck_assert(!stale);
    ck_assert(found("the good policies are not kept"));
    ck_assert_uint_eq(vp_findings_errors(&findings), 0);
    ck_assert_uint_eq(strlen(set->hash), 71);
}
END_TEST

/* ---- the off switch ---- */

START_TEST(off_switch)
{
    char reason[256], path[700];

    ck_assert(!vp_conf_disabled(&where, reason));
    ck_assert_int_eq(vp_conf_disable(&where, "maintenance\nof node", 0, &err), 0);
    ck_assert(vp_conf_disabled(&where, reason));
    ck_assert_str_eq(reason, "maintenance of node");
    ck_assert(vp_conf_disabled(&where, NULL));
    ck_assert_int_eq(vp_conf_disable(&where, "an hour", 3600000, &err), 0);
    ck_assert(vp_conf_disabled(&where, reason));
    ck_assert_str_eq(reason, "an hour");
    ck_assert_int_eq(vp_conf_enable(&where, &err), 0);
    ck_assert_int_eq(vp_conf_enable(&where, &err), 0);
    ck_assert(!vp_conf_disabled(&where, reason));
    snprintf(path, sizeof(path), "%s/disabled", root);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

static const struct {
    const char *text;
    bool disabled;
} switches[] = {
    {"until=1\nold\n", false},
    {"until=1", false},
    {"until=\n", true},
    {"", true},
    {"what\n", true},
    {"until=1x\n", true},
    {"until=-1\n", true},
    {"until=99999999999999999999\n", true},
    {"until=4102444800\nlater\n", true},
};

START_TEST(off_switch_by_hand)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/disabled", root);
    write_text(path, switches[_i].text, 0644);
    ck_assert(vp_conf_disabled(&where, NULL) == switches[_i].disabled);
}
END_TEST

START_TEST(off_switch_is_a_directory)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/disabled", root);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert(vp_conf_disabled(&where, NULL));
    ck_assert_int_eq(vp_conf_enable(&where, &err), -1);
    ck_assert_int_eq(err.code, VP_HOST);
}
END_TEST

/* ---- what is shipped ---- */

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);

    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_uint_lt(fread(text, 1, 65535, file), 65535);
    fclose(file);
    return text;
}

static void read_into(struct vp_draft *draft, const char *path)
{
    char *text = slurp(path);

    vp_conf_read_text(draft, path, text, strlen(text), &findings);
    free(text);
}

static void finish_without_surprises(struct vp_draft *draft)
{
    char line[2048] = "";

    vp_draft_finish(draft, "h1", &set, &findings);
    if (set)
        vp_policy_warn_ties(set, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        const struct vp_finding *finding = &findings.item[i];

        /* host-passthrough has its price, which is what the warning is there to say */
        if (finding->grade == VP_WARNING && strcmp(finding->key, "cpu-mode") == 0)
            continue;
        vp_finding_line(finding, line, sizeof(line));
        ck_abort_msg("%s", line);
    }
    vp_draft_free(draft);
}

START_TEST(examples_are_sound)
{
    struct vp_draft *together = vp_draft_new();
    DIR *dir = opendir("conf/examples");
    struct dirent *entry;
    unsigned examples = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        struct vp_draft *alone;
        char path[512];

        if (!strstr(entry->d_name, ".conf"))
            continue;
        examples++;
        snprintf(path, sizeof(path), "conf/examples/%s", entry->d_name);
        read_into(together, path);
        alone = vp_draft_new();
        read_into(alone, path);
        finish_without_surprises(alone);
        vp_policy_set_free(set);
        set = NULL;
    }
    closedir(dir);
    ck_assert_uint_ge(examples, 5);
    finish_without_surprises(together);
    ck_assert_ptr_nonnull(vp_policy_find(set, "catch-all"));
    ck_assert_ptr_nonnull(vp_policy_find(set, "kept"));
    ck_assert_int_eq(vp_policy_find(set, "kept")->reserve, VP_RESERVE_ALWAYS);
    ck_assert_int_eq(vp_policy_find(set, "kept")->memory, VP_MEMORY_STRICT);
}
END_TEST

/* As shipped it changes nothing; with every comment of a key taken away it
 * states the defaults, and all keys that there are. */
START_TEST(shipped_configuration_is_the_default)
{
    struct vp_policy_set *defaults = vp_policy_set_defaults();
    struct vp_draft *draft = vp_draft_new();
    char *text = slurp("conf/virtpin.conf");
    unsigned count, served = 0, keys = 0;
    const struct vp_key_row *rows = vp_key_rows(&count);
    char *end = strstr(text, "# A file that many");

    read_into(draft, "conf/virtpin.conf");
    finish_without_surprises(draft);
    ck_assert_str_eq(set->text, "");
    vp_policy_set_free(set);
    set = NULL;
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    for (char *at = text; (at = strstr(at, "\n#")); at++) {
        if (at[2] == ' ' || at[2] == '\n')
            continue;
        memmove(at + 1, at + 2, strlen(at + 2) + 1);
        keys++;
    }
    draft = vp_draft_new();
    vp_conf_read_text(draft, "x", text, strlen(text), &findings);
    finish_without_surprises(draft);
    ck_assert_str_eq(set->hash, defaults->hash);
    for (unsigned i = 0; i < count; i++)
        if (rows[i].served && strcmp(rows[i].section, "host") == 0)
            served++;
    ck_assert_uint_eq(keys, served);
    vp_policy_set_free(defaults);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conf");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, core);
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, files_in_order);
    tcase_add_test(core, named_config_must_exist);
    tcase_add_test(core, named_dir_must_exist);
    tcase_add_test(core, twice_across_files);
    tcase_add_test(core, all_errors_are_shown);
    tcase_add_test(core, ties_warn_on_load_only);
    tcase_add_test(core, unsafe_modes);
    tcase_add_test(core, unsafe_owner);
    tcase_add_test(core, odd_files);
    tcase_add_test(core, good_set_is_kept);
    tcase_add_test(core, broken_files_leave_the_good_set);
    tcase_add_test(core, no_good_set_either);
    tcase_add_test(core, damaged_good_set);
    tcase_add_test(core, run_dir_cannot_be_made);
    tcase_add_test(core, off_switch);
    tcase_add_loop_test(core, off_switch_by_hand, 0, sizeof(switches) / sizeof(switches[0]));
    tcase_add_test(core, off_switch_is_a_directory);
    tcase_add_test(core, examples_are_sound);
    tcase_add_test(core, shipped_configuration_is_the_default);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
