/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"

/* As libvirt 9.0 writes it, shortened. */
#define STATUS(attributes, inside)                                                                 \
    "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n-->\n"         \
    "<domstatus " attributes ">\n"                                                                 \
    "  <taint flag='hook-script'/>\n"                                                              \
    "  <monitor path='/var/lib/libvirt/qemu/domain-1-a/monitor.sock' type='unix'/>\n"              \
    "  <namespaces><mount/></namespaces>\n" inside "  <numad nodeset='0' cpuset='0-3'/>\n"         \
    "  <qemuCaps>\n    <flag name='vcpu'/>\n  </qemuCaps>\n"                                       \
    "  <domain type='qemu' id='1'>\n"                                                              \
    "    <name>a</name>\n"                                                                         \
    "    <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>\n"                                      \
    "    <memory unit='KiB'>65536</memory>\n"                                                      \
    "    <vcpu placement='static' current='2'>4</vcpu>\n"                                          \
    "    <cputune>\n      <vcpupin vcpu='1' cpuset='3'/>\n    </cputune>\n"                        \
    "  </domain>\n"                                                                                \
    "</domstatus>\n"

#define RUNNING "state='running' reason='booted' pid='4711'"
#define VCPUS                                                                                      \
    "  <vcpus>\n    <vcpu id='0' pid='4720'/>\n    <vcpu id='3' pid='4723'/>\n  </vcpus>\n"

static struct vp_status *read_text(const char *xml)
{
    struct vp_status *status = NULL;
    struct vp_error err = {0};

    ck_assert_msg(vp_status_parse(xml, strlen(xml), &status, &err) == 0, "%s", err.text);
    return status;
}

START_TEST(reads_running)
{
    VP_AUTO(vp_status) struct vp_status *status = read_text(STATUS(RUNNING, VCPUS));

    ck_assert_str_eq(status->state, "running");
    ck_assert_str_eq(status->reason, "booted");
    ck_assert_int_eq(status->pid, 4711);
    ck_assert_uint_eq(status->vcpu_count, 2);
    ck_assert_uint_eq(status->vcpu[0].id, 0);
    ck_assert_int_eq(status->vcpu[0].tid, 4720);
    ck_assert_uint_eq(status->vcpu[1].id, 3);
    ck_assert_int_eq(status->vcpu[1].tid, 4723);
    ck_assert(!status->job && !status->migrating);
    ck_assert_int_eq(status->domain->id, 1);
    ck_assert_str_eq(status->domain->name, "a");
    ck_assert_uint_eq(status->domain->vcpus, 4);
    ck_assert(vp_cpuset_has(&vp_pins_find(&status->domain->pins, VP_ROLE_VCPU, 1)->cpus, 3));
}
END_TEST

START_TEST(reads_early)
{
    VP_AUTO(vp_status)
    struct vp_status *status = read_text(STATUS("state='paused'", "  <vcpus>\n  </vcpus>\n"));

    ck_assert_str_eq(status->state, "paused");
    ck_assert_ptr_null(status->reason);
    ck_assert_int_eq(status->pid, 0);
    ck_assert_uint_eq(status->vcpu_count, 0);
}
END_TEST

static const struct {
    const char *xml;
    bool job, migrating;
} jobs[] = {
    {STATUS(RUNNING, VCPUS), false, false},
    {STATUS(RUNNING, "<job type='none' async='none'/>"), false, false},
    {STATUS(RUNNING, "<job type='modify' async='none'/>"), true, false},
    {STATUS(RUNNING, "<job type='none' async='save' phase='0' flags='0x1'/>"), true, false},
    {STATUS(RUNNING, "<job type='none' async='migration out' phase='perform3'/>"), true, true},
    {STATUS(RUNNING, "<job type='none' async='migration in' phase='prepare'/>"), true, true},
    {STATUS(RUNNING, "<job/>"), false, false},
};

START_TEST(reads_jobs)
{
    VP_AUTO(vp_status) struct vp_status *status = read_text(jobs[_i].xml);

    ck_assert_int_eq(status->job, jobs[_i].job);
    ck_assert_int_eq(status->migrating, jobs[_i].migrating);
}
END_TEST

START_TEST(reads_agent_limit)
{
    static const struct {
        const char *xml;
        bool blocks;
    } limits[] = {
        {STATUS(RUNNING, VCPUS), true},
        {STATUS(RUNNING, "<agentTimeout>-2</agentTimeout>"), true},
        {STATUS(RUNNING, "<agentTimeout>5</agentTimeout>"), false},
        {STATUS(RUNNING, "<agentTimeout>-1</agentTimeout>"), false},
    };
    VP_AUTO(vp_status) struct vp_status *status = read_text(limits[_i].xml);

    ck_assert_int_eq(status->agent_blocks, limits[_i].blocks);
}
END_TEST

static const struct {
    const char *xml, *message;
} refused[] = {
    {"", "found nothing"},
    {"<domain><name>a</name></domain>", "found <domain> as the outermost element"},
    {"<domstatus state='running'/>", "<domstatus>: found no <domain> in it"},
    {"<domstatus><domain/></domstatus>", "<name>: found \"\""},
    {STATUS("pid='-3'", VCPUS), "<domstatus pid=>: found \"-3\""},
    {STATUS("pid='99999999999'", VCPUS), "<domstatus pid=>: found \"99999999999\""},
    {STATUS(RUNNING, "<vcpus><vcpu id='0'/></vcpus>"), "found no id= or no pid="},
    {STATUS(RUNNING, "<vcpus><vcpu pid='7'/></vcpus>"), "found no id= or no pid="},
    {STATUS(RUNNING, "<vcpus><vcpu id='0' pid='0'/></vcpus>"), "<vcpu pid=>: found \"0\""},
    {STATUS(RUNNING, "<vcpus><vcpu id='x' pid='7'/></vcpus>"), "<vcpu id=>: found \"x\""},
};

START_TEST(refuses)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_status_parse(refused[_i].xml, strlen(refused[_i].xml), &status, &err), -1);
    ck_assert_ptr_null(status);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, refused[_i].message), "\"%s\" lacks \"%s\"", err.text,
                  refused[_i].message);
}
END_TEST

/* A reader that came in the middle of a write, had libvirt not renamed. */
START_TEST(refuses_halves)
{
    static const char whole[] = STATUS(RUNNING, VCPUS);
    size_t length = strlen(whole) - strlen(">\n");

    for (size_t i = 0; i < length; i++) {
        VP_AUTO(vp_status) struct vp_status *status = NULL;

        ck_assert_int_eq(vp_status_parse(whole, i, &status, NULL), -1);
        ck_assert_ptr_null(status);
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *status_suite(void)
{
    Suite *suite = suite_create("status");
    TCase *read = tcase_create("read"), *refuse = tcase_create("refuse");

    tcase_add_test(read, reads_running);
    tcase_add_test(read, reads_early);
    tcase_add_loop_test(read, reads_jobs, 0, ROWS(jobs));
    tcase_add_loop_test(read, reads_agent_limit, 0, 4);
    tcase_add_loop_test(refuse, refuses, 0, ROWS(refused));
    tcase_add_test(refuse, refuses_halves);
    suite_add_tcase(suite, read);
    suite_add_tcase(suite, refuse);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(status_suite());
    int failed;

    xmlInitParser();
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    xmlCleanupParser();
    return failed == 0 ? 0 : 1;
}
