/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hook's worker as it was built (beside it virtpin-hook-survey), run as the
 * launcher runs it, on a made-up host. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/unit/scratch.h"

static char programs[4096], dir[64];
static char out[65536], err[4096], control[256];

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void get(const char *name, char *text, size_t size)
{
    char path[256];
    size_t length;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
}

static void host(const char *run_dir, const char *more)
{
    char text[512];

    snprintf(text, sizeof(text),
             "[host]\nrun-dir = %s/%s\nstate-dir = %s/state\ncgroup-dir = %s/none\n%s", dir,
             run_dir, dir, dir, more);
    put("virtpin.conf", text);
}

static void setup(void)
{
    char path[128];

    vp_scratch(dir, sizeof(dir), "virtpin-worker");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/policy.d", dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/run", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    host("run", "on-error = refuse\nhook-limit = 1500ms\n");
    put("policy.d/p.conf",
        "[policy d]\nmatch-name = d* --*\nmode = enforce\nplacement = dedicated\n"
        "[policy a]\nmatch-name = a*\nmode = audit\nplacement = dedicated\n"
        "[policy k]\nmatch-name = k*\nmode = enforce\nplacement = dedicated\n"
        "on-error = allow\n"
        "[policy g]\nmatch-name = g*\nmode = enforce\nguest-agent = yes\n"
        "vcpu-scheduler = batch\non-start = refuse\non-migrate = refuse\n"
        "[policy c]\nbase = g\nmatch-name = c*\nguest-numa = 1\n"
        "[policy fa]\nbase = g\nmatch-name = fa\ncpu-mode = custom\ncpu-models = EPYC\n"
        "[policy fb]\nbase = g\nmatch-name = fb\npmu = off\n"
        "[policy fc]\nbase = g\nmatch-name = fc\ntopology = sockets=1 cores=2\n"
        "[policy fd]\nbase = g\nmatch-name = fd\nvcpus = 3\n"
        "[policy n]\nbase = g\nmatch-name = n*\nplacement = dedicated\nguest-numa = auto\n"
        "[policy m]\nmode = enforce\nplacement = dedicated\nby-metadata = yes\n");
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static void xml_of(const char *name, int number, const char *inside, char *text, size_t size)
{
    snprintf(text, size,
             "<domain type='qemu'><name>%s</name>"
             "<uuid>00000000-0000-4000-8000-%012d</uuid><memory>65536</memory>%s"
             "<vcpu>1</vcpu></domain>",
             name, number, inside);
}

/* The worker's exit status, on a host of such a shape. */
static int run_on(const char *shape, const char *name, const char *operation, const char *xml)
{
    char command[9000];
    int status;

    put("xml", xml);
    snprintf(command, sizeof(command),
             "cd %s && %s/virtpin-hook-worker --daemon=%d --config %s/virtpin.conf --policy-dir "
             "%s/policy.d --topology '%s' -- '%s' %s begin - <xml >out 2>err 3>control",
             dir, programs, (int)getpid(), dir, dir, shape, name, operation);
    status = system(command);
    get("out", out, sizeof(out));
    get("err", err, sizeof(err));
    get("control", control, sizeof(control));
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* CPU 0 stays shared, CPU 1 may be dedicated. */
static int run_xml(const char *name, const char *operation, const char *xml)
{
    return run_on("core:2 pu:1", name, operation, xml);
}

static int run(const char *name, int number, const char *operation)
{
    char xml[2048];

    xml_of(name, number, "", xml, sizeof(xml));
    return run_xml(name, operation, xml);
}

START_TEST(books_refuses_frees)
{
    ck_assert_int_eq(run("d1", 1, "prepare"), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(run("d2", 2, "prepare"), 1);
    ck_assert_int_eq(strncmp(err, "virtpin: guest d2, policy d: ", 29), 0);
    ck_assert_ptr_null(strchr(err, '\n')[1] ? err : NULL); /* one sentence */
    ck_assert_int_eq(run("d1", 1, "release"), 0);
    ck_assert_int_eq(run("d2", 2, "prepare"), 0);
    ck_assert_int_eq(run("x", 3, "prepare"), 0);
    ck_assert_int_eq(run("a", 4, "prepare"), 0);
}
END_TEST

/* libvirt's words are taken as they are. */
START_TEST(guest_named_like_an_option)
{
    ck_assert_int_eq(run("--help", 1, "prepare"), 0);
    ck_assert_int_eq(run("d2", 2, "prepare"), 1);
    ck_assert_int_eq(run("--help", 1, "stopped"), 0);
    ck_assert_int_eq(run("d2", 2, "prepare"), 0);
}
END_TEST

/* Metadata may name a policy that no name matches, also from what was kept. */
START_TEST(policy_by_metadata)
{
    char xml[2048];

    xml_of("x", 1, "<metadata><v:guest xmlns:v='urn:virtpin:guest:1' policy='m'/></metadata>", xml,
           sizeof(xml));
    for (int i = 0; i < 3; i++) {
        usleep(40000);
        ck_assert_int_eq(run_xml("x", "prepare", xml), 0);
        ck_assert_int_eq(run("d2", 2, "prepare"), 1);
        ck_assert_ptr_nonnull(strstr(err, "policy d"));
    }
}
END_TEST

static const struct words_case {
    const char *name, *word;
} words_cases[] = {
    {"d1", "on-error=refuse\n"}, /* [host]'s */
    {"k1", "on-error=allow\n"},  /* its policy's */
    {"a1", "on-error=allow\n"},  /* audit refuses nobody */
    {"x1", "on-error=allow\n"},  /* nor does no policy */
};

START_TEST(words_for_the_launcher)
{
    ck_assert_int_eq(run(words_cases[_i].name, 1, "prepare"), 0);
    ck_assert_int_eq(strncmp(control, "limit=1500\n", 11), 0);
    ck_assert_int_eq(strncmp(control + 11, words_cases[_i].word, strlen(words_cases[_i].word)), 0);
    ck_assert_ptr_nonnull(strstr(control, "\nrun-dir=/"));
}
END_TEST

/* A running guest is not refused: what fails is virtpin's failure. */
START_TEST(started_without_a_guest)
{
    ck_assert_int_eq(run("d1", 1, "started"), 3);
    ck_assert_int_eq(strncmp(err, "virtpin: ", 9), 0);
    ck_assert_int_eq(run("x", 1, "started"), 0);
}
END_TEST

static const char *const bad_xml[] = {
    "",
    "<domain",
    "<domain/>",
    "not xml",
    "<domstatus/>",
    "<domain type='qemu'><name>d1</name><memory>1</memory><vcpu>1</vcpu></domain>", /* no uuid */
};

START_TEST(bad_input)
{
    ck_assert_int_eq(run_xml("d1", "prepare", bad_xml[_i]), 3);
    ck_assert_int_eq(strncmp(err, "virtpin: ", 9), 0);
    ck_assert_uint_eq(strlen(out), 0);
}
END_TEST

/* /run missing or not to be written. */
START_TEST(no_run_dir)
{
    host("missing/run", "");
    ck_assert_int_eq(run("d1", 1, "prepare"), 3);
    ck_assert_int_eq(run("d1", 1, "stopped"), 0);
    ck_assert_int_eq(run("x", 1, "prepare"), 0);
    put("file", "");
    host("file", "");
    ck_assert_int_eq(run("d1", 1, "prepare"), 3);
    ck_assert_int_eq(run("x", 1, "prepare"), 0);
}
END_TEST

START_TEST(broken_policies)
{
    put("policy.d/q.conf", "nonsense\n");
    ck_assert_int_eq(run("d1", 1, "prepare"), 3);
    ck_assert_ptr_nonnull(strstr(err, "q.conf:1"));
    put("policy.d/q.conf", "");
    ck_assert_int_eq(run("d1", 1, "prepare"), 0);
    put("policy.d/q.conf", "nonsense\n"); /* now there is a good set */
    ck_assert_int_eq(run("d2", 2, "prepare"), 1);
}
END_TEST

START_TEST(prints_pins)
{
    char xml[2048];

    xml_of("d1", 1, "<cputune><vcpupin vcpu='0' cpuset='7'/></cputune>", xml, sizeof(xml));
    ck_assert_int_eq(run_xml("d1", _i ? "migrate" : "restore", xml), 0);
    ck_assert_ptr_nonnull(strstr(out, "<vcpupin vcpu=\"0\" cpuset=\"1\"/>"));
    /* no policy here: ours from elsewhere go, an operator's stay */
    xml_of("x", 2, "<cputune><vcpupin vcpu='0' cpuset='7'/></cputune>", xml, sizeof(xml));
    ck_assert_int_eq(run_xml("x", "restore", xml), 0);
    ck_assert_str_eq(out, "");
    xml_of("x", 2,
           "<metadata><v:applied xmlns:v='urn:virtpin:applied:1' policy='d'/></metadata>"
           "<cputune><vcpupin vcpu='0' cpuset='7'/></cputune>",
           xml, sizeof(xml));
    ck_assert_int_eq(run_xml("x", "migrate", xml), 0);
    ck_assert_ptr_nonnull(strstr(out, "<vcpu>1</vcpu>"));
    ck_assert_ptr_null(strstr(out, "vcpupin"));
}
END_TEST

/* on-start and on-migrate refuse for the guest's CPU: an agent's channel is no
 * part of it, tuning is put in force, cells are. */
START_TEST(refuses_for_the_cpu_only)
{
    ck_assert_int_eq(run("g1", 1, "prepare"), 0);
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(run("g2", 2, _i ? "migrate" : "restore"), 0);
    ck_assert_ptr_nonnull(strstr(out, "<vcpusched vcpus=\"0\" scheduler=\"batch\"/>"));
    ck_assert_int_eq(run("c1", 3, "prepare"), 1);
    ck_assert_ptr_nonnull(
        strstr(err, "guest NUMA topology is no cells, policy wants 1 cell (vCPUs 0)"));
    ck_assert_int_eq(run("c2", 4, _i ? "migrate" : "restore"), 1);
    ck_assert_ptr_nonnull(strstr(
        err,
        "guest NUMA topology is no cells, policy c wants 1 cell (vCPUs 0); this takes effect"));
}
END_TEST

static const struct facet {
    const char *name, *at_start, *incoming;
} facets[] = {
    {"fa", "guest CPU is none, policy wants custom/EPYC",
     "guest CPU is none, policy fa wants custom/EPYC; this takes effect at the next cold start"},
    {"fb", "guest feature is pmu=none, policy wants pmu=off",
     "guest feature is pmu=none, policy fb wants pmu=off; this takes effect"},
    {"fc", "guest topology is none, policy wants 1 socket x 2 cores x 1 thread",
     "guest topology is none, policy fc wants 1 socket x 2 cores x 1 thread; this takes effect"},
    {"fd", "guest vCPU count is 2 vCPUs, policy wants 3 vCPUs",
     "guest vCPU count is 2 vCPUs, policy fd wants 3 vCPUs; this takes effect"},
};

/* What the guest sees as its CPU, each part by itself. */
START_TEST(refuses_for_each_part)
{
    const struct facet *facet = &facets[_i];
    char xml[2048];

    snprintf(xml, sizeof(xml),
             "<domain type='kvm'><name>%s</name><uuid>00000000-0000-4000-8000-000000000001</uuid>"
             "<memory>65536</memory><vcpu>2</vcpu></domain>",
             facet->name);
    ck_assert_int_eq(run_xml(facet->name, "prepare", xml), 1);
    ck_assert_msg(strstr(err, facet->at_start) != NULL, "%s", err);
    ck_assert_int_eq(run_xml(facet->name, "migrate", xml), 1);
    ck_assert_msg(strstr(err, facet->incoming) != NULL, "%s", err);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(run_xml(facet->name, "restore", xml), 1);
    ck_assert_msg(strstr(err, facet->incoming) != NULL, "%s", err);
}
END_TEST

/* guest-numa = auto goes by the nodes that the guest would be placed on. */
START_TEST(refuses_for_cells_of_its_nodes)
{
    static const char *const shape = "node:2 core:3 pu:1";
    static const char guest[] =
        "<domain type='kvm'><name>n</name><uuid>00000000-0000-4000-8000-000000000001</uuid>"
        "<memory>65536</memory><vcpu>%d</vcpu>%s</domain>";
    static const char cells[] = "<cpu><numa><cell id='0' cpus='0-1' memory='32768'/>"
                                "<cell id='1' cpus='2-3' memory='32768'/></numa></cpu>";
    const char *operation = _i == 0 ? "prepare" : _i == 1 ? "migrate" : "restore";
    char xml[2048];

    snprintf(xml, sizeof(xml), guest, 4, "");
    ck_assert_int_eq(run_on(shape, "n", operation, xml), 1);
    ck_assert_msg(strstr(err, "guest NUMA topology is no cells, policy") != NULL &&
                      strstr(err, "wants 2 cells (vCPUs 0-1, 2-3)") != NULL,
                  "%s", err);
    snprintf(xml, sizeof(xml), guest, 4, cells);
    ck_assert_int_eq(run_on(shape, "n", operation, xml), 0);
    ck_assert_str_eq(err, "");
    ck_assert_int_eq(run_on(shape, "n", "release", xml), 0);
    snprintf(xml, sizeof(xml), guest, 2, ""); /* on one node it needs none */
    ck_assert_int_eq(run_on(shape, "n", operation, xml), 0);
    ck_assert_str_eq(err, "");
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("worker");
    TCase *tests = tcase_create("operations");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, books_refuses_frees);
    tcase_add_test(tests, guest_named_like_an_option);
    tcase_add_test(tests, policy_by_metadata);
    tcase_add_loop_test(tests, words_for_the_launcher, 0, 4);
    tcase_add_test(tests, started_without_a_guest);
    tcase_add_loop_test(tests, bad_input, 0, sizeof(bad_xml) / sizeof(*bad_xml));
    tcase_add_test(tests, no_run_dir);
    tcase_add_test(tests, broken_policies);
    tcase_add_loop_test(tests, prints_pins, 0, 2);
    tcase_add_loop_test(tests, refuses_for_the_cpu_only, 0, 2);
    tcase_add_loop_test(tests, refuses_for_each_part, 0, sizeof(facets) / sizeof(*facets));
    tcase_add_loop_test(tests, refuses_for_cells_of_its_nodes, 0, 3);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    ssize_t length = readlink("/proc/self/exe", programs, sizeof(programs) - 1);
    SRunner *runner;
    int failed;

    if (length <= 0)
        return 2;
    programs[length] = '\0';
    for (int i = 0; i < 3; i++) /* BUILD/tests/unit/test_worker */
        *strrchr(programs, '/') = '\0';
    runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
