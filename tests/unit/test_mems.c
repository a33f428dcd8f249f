/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory nodes of guests' groups: what is wanted, what is there, how it is put
 * right, on made-up groups of either version. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/mems.h"
#include "tests/unit/scratch.h"

#define GUEST "/machine/qemu-1-db1.libvirt-qemu"

static char dir[64];
static struct vp_error err;

static struct vp_cpuset nodes(const char *text)
{
    struct vp_cpuset set = {0};

    if (*text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static void put(const char *name, const char *text)
{
    char path[400];
    FILE *file;

    snprintf(path, sizeof(path), "%s%s", dir, name);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static const char *get(const char *name)
{
    static char text[100];
    char path[400];
    FILE *file;

    snprintf(path, sizeof(path), "%s%s", dir, name);
    text[0] = '\0';
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void setup(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-mems");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    err = (struct vp_error){0};
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- what is wanted ---- */

static const struct vp_mems_plan unbound;

static struct vp_domain *domain_of(const char *numatune)
{
    struct vp_domain *domain = NULL;
    char xml[1024];

    snprintf(xml, sizeof(xml),
             "<domain type='kvm'><name>g</name><vcpu>2</vcpu>%s"
             "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>",
             numatune);
    ck_assert_msg(vp_domain_parse(xml, strlen(xml), &domain, &err) == 0, "%s", err.text);
    return domain;
}

static const struct {
    const char *numatune;
    const char *above, *file, *effective; /* file "": unset */
    bool right;
    const char *wanted; /* where it is not */
    bool own, possible;
} wants[] = {
    /* nothing is said: all that there is */
    {"", "0-1", "0-1", "0-1", true, NULL, false, false},
    {"", "0-1", "", "0-1", true, NULL, false, false},
    {"", "0-1", "0", "0", false, "0-1", true, true},
    {"", "0-1", "", "0", false, "0-1", false, true},
    /* these write no cpuset.mems */
    {"<numatune><memory mode='preferred' nodeset='0'/></numatune>", "0-1", "0-1", "0-1", true, NULL,
     false, false},
    {"<numatune><memory mode='interleave' nodeset='0'/></numatune>", "0-1", "0", "0", false, "0-1",
     true, true},
    {"<numatune><memory mode='strict' nodeset='1'/></numatune>", "0-1", "1", "1", true, NULL, false,
     false},
    {"<numatune><memory nodeset='1'/></numatune>", "0-1", "0", "0", false, "1", true, true},
    {"<numatune><memory mode='restrictive' nodeset='1'/></numatune>", "0-1", "0-1", "0-1", false,
     "1", true, true},
    /* what libvirt before and from 9.4 on writes, and a cell's own */
    {"<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' "
     "nodeset='1'/></numatune>",
     "0-2", "0", "0", true, NULL, false, false},
    {"<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' "
     "nodeset='1'/></numatune>",
     "0-2", "0-1", "0-1", true, NULL, false, false},
    {"<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' "
     "nodeset='1'/></numatune>",
     "0-2", "1", "1", true, NULL, false, false},
    {"<numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' "
     "nodeset='1'/></numatune>",
     "0-2", "2", "2", false, "0-1", true, true},
    /* a group above has it not */
    {"<numatune><memory mode='strict' nodeset='1'/></numatune>", "0", "1", "0", false, "1", false,
     false},
    {"<numatune><memory mode='strict' nodeset='1'/></numatune>", "0", "0", "0", false, "1", true,
     false},
    /* numad's answer is not in the definition */
    {"<numatune><memory mode='strict' placement='auto'/></numatune>", "0-1", "0", "0", true, NULL,
     false, false},
};

START_TEST(what_is_wanted)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = domain_of(wants[_i].numatune);
    struct vp_mems mems = {.above = nodes(wants[_i].above)};
    struct vp_mems_group group = {.role = VP_ROLE_VCPU,
                                  .index = 1,
                                  .set = wants[_i].file[0] != '\0',
                                  .mems = nodes(wants[_i].file),
                                  .effective = nodes(wants[_i].effective)};
    struct vp_mems_diff diff;
    char text[64];

    ck_assert_int_eq(vp_mems_right(&domain->numatune, &unbound, &mems, &group, &diff),
                     wants[_i].right);
    if (wants[_i].right)
        return;
    vp_cpuset_print(&diff.wanted, text, sizeof(text));
    ck_assert_str_eq(text, wants[_i].wanted);
    ck_assert_int_eq(diff.own, wants[_i].own);
    ck_assert_int_eq(diff.possible, wants[_i].possible);
    ck_assert_uint_eq(diff.index, 1);
}
END_TEST

/* ---- made-up groups ---- */

static struct vp_cgroups make_groups(enum vp_cgroup_version version)
{
    const char *effective =
        version == VP_CGROUP_V2 ? "cpuset.mems.effective" : "cpuset.effective_mems";
    static const char *const groups[] = {
        "/machine", GUEST, GUEST "/emulator", GUEST "/vcpu0", GUEST "/vcpu1", GUEST "/iothread2",
    };
    struct vp_cgroups cgroups = {.version = version, .proc = "/proc"};
    char name[200];

    snprintf(cgroups.mount, sizeof(cgroups.mount), "%s", dir);
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        snprintf(name, sizeof(name), "%s/cpuset.mems", groups[i]);
        put(name, version == VP_CGROUP_V2 ? "" : "0-1");
        snprintf(name, sizeof(name), "%s/%s", groups[i], effective);
        put(name, "0-1");
    }
    return cgroups;
}

static const struct vp_mems_group *group_of(const struct vp_mems *mems, enum vp_role role,
                                            unsigned index)
{
    for (size_t i = 0; i < mems->count; i++)
        if (mems->group[i].role == role && mems->group[i].index == index)
            return &mems->group[i];
    ck_abort_msg("no group %s %u", vp_role_word(role), index);
    return NULL;
}

/* Waits for its end, which poll has to tell. */
static int run(const struct vp_mems_job *job)
{
    int fd, status;
    pid_t pid = vp_mems_start(job, &fd, &err);
    struct pollfd poller;

    ck_assert_msg(pid > 0, "%s", err.text);
    poller = (struct pollfd){.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&poller, 1, 10000), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(fd);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(v1_group_narrowed)
{
    struct vp_cgroups cgroups = make_groups(VP_CGROUP_V1);
    VP_AUTO(vp_domain) struct vp_domain *domain = domain_of("");
    struct vp_mems_job job = {0};
    struct vp_mems mems;
    struct vp_mems_diff diff;
    char root[200], where[300], path[300];

    snprintf(root, sizeof(root), "%s" GUEST, dir);
    put(GUEST "/vcpu1/cpuset.mems", "0");
    put(GUEST "/vcpu1/cpuset.effective_mems", "0");
    ck_assert_msg(vp_mems_look(&cgroups, root, &mems, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(mems.count, 4);
    ck_assert(
        vp_mems_right(&domain->numatune, &unbound, &mems, group_of(&mems, VP_ROLE_VCPU, 0), &diff));
    ck_assert(vp_mems_right(&domain->numatune, &unbound, &mems,
                            group_of(&mems, VP_ROLE_IOTHREAD, 2), &diff));
    ck_assert(!vp_mems_right(&domain->numatune, &unbound, &mems, group_of(&mems, VP_ROLE_VCPU, 1),
                             &diff));
    vp_mems_where(&cgroups, root, &diff, where, sizeof(where));
    snprintf(path, sizeof(path), "%s/vcpu1/cpuset.mems", root);
    ck_assert_str_eq(where, path);
    ck_assert_int_eq(vp_mems_job_add(&job, root, &diff), 0);
    ck_assert_int_eq(vp_mems_job_add(&job, root, &diff), 0);
    ck_assert_uint_eq(job.count, 1);
    ck_assert_int_eq(run(&job), 0);
    ck_assert_str_eq(get(GUEST "/vcpu1/cpuset.mems"), "0-1");
    vp_mems_job_clear(&job);
    vp_mems_clear(&mems);
}
END_TEST

START_TEST(v2_narrowed_above_it)
{
    struct vp_cgroups cgroups = make_groups(VP_CGROUP_V2);
    VP_AUTO(vp_domain)
    struct vp_domain *domain =
        domain_of("<numatune><memory mode='strict' nodeset='1'/></numatune>");
    struct vp_mems_job job = {0};
    struct vp_mems mems;
    struct vp_mems_diff diff;
    char root[200], where[300], path[300];

    snprintf(root, sizeof(root), "%s" GUEST, dir);
    put(GUEST "/cpuset.mems", "0");
    put(GUEST "/vcpu0/cpuset.mems", "1");
    put(GUEST "/vcpu0/cpuset.mems.effective", "0");
    ck_assert_int_eq(vp_mems_look(&cgroups, root, &mems, &err), 0);
    ck_assert(!vp_mems_right(&domain->numatune, &unbound, &mems, group_of(&mems, VP_ROLE_VCPU, 0),
                             &diff));
    ck_assert(!diff.own && diff.possible);
    vp_mems_where(&cgroups, root, &diff, where, sizeof(where));
    snprintf(path, sizeof(path), "%s/cpuset.mems", root);
    ck_assert_str_eq(where, path);
    ck_assert_int_eq(vp_mems_job_add(&job, root, &diff), 0);
    ck_assert_int_eq(run(&job), 0);
    ck_assert_str_eq(get(GUEST "/cpuset.mems"), "0-1");
    ck_assert_str_eq(get(GUEST "/vcpu0/cpuset.mems"), "1");
    vp_mems_job_clear(&job);
    vp_mems_clear(&mems);
}
END_TEST

START_TEST(gone_and_refused)
{
    struct vp_cgroups cgroups = make_groups(VP_CGROUP_V1);
    struct vp_mems_job job = {0};
    struct vp_mems_diff diff = {
        .own = true, .wanted = nodes("0"), .role = VP_ROLE_VCPU, .index = 7};
    struct vp_mems mems;
    char root[200];

    snprintf(root, sizeof(root), "%s/machine/none", dir);
    ck_assert_int_eq(vp_mems_look(&cgroups, root, &mems, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
    ck_assert_int_eq(vp_mems_job_add(&job, root, &diff), 0);
    ck_assert_int_eq(run(&job), ENOENT);
    vp_mems_job_clear(&job);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mems");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_loop_test(core, what_is_wanted, 0, sizeof(wants) / sizeof(wants[0]));
    tcase_add_test(core, v1_group_narrowed);
    tcase_add_test(core, v2_narrowed_above_it);
    tcase_add_test(core, gone_and_refused);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
