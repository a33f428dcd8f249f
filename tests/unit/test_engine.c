/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decisions on a made-up host: policies, ledger, status files and definitions
 * in a directory of the test's own, a synthetic topology, and processes whose
 * threads are named as QEMU's. Without cgroups: affinity is what is looked at. */
#include <check.h>
#include <libxml/parser.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"
#include "host/threads.h"
#include "standin.h"
#include "tests/unit/scratch.h"

#define FOUR "core:4 pu:1"
#define TWO "core:2 pu:1" /* what every test machine has: CPU 1 may be dedicated */

static char dir[64], config[128], policy_dir[128];
static const struct vp_conf_where where = {
    .config = config, .policy_dir = policy_dir, .nodename = "host"};
static struct vp_engine engine;
static struct vp_error err;
static struct vp_findings findings;
static struct standin child[4];

static void put_file(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* A policy for guests whose name begins with the policy's. */
static void policy(const char *name, const char *keys)
{
    char file[64], text[1024];

    snprintf(file, sizeof(file), "policy.d/%s.conf", name);
    snprintf(text, sizeof(text), "[policy %s]\nmatch-name = %s*\n%s", name, name, keys);
    put_file(file, text);
}

#define DEDICATED "mode = enforce\nplacement = dedicated\n"
#define SHARED "mode = enforce\nplacement = shared\n"

static void open_into(struct vp_engine *to, const char *topology)
{
    ck_assert_msg(vp_engine_open_here(to, &where, topology, &err) == 0, "%s", err.text);
    ck_assert_msg(!to->stale, "%s", to->findings.count ? to->findings.item[0].text : "");
    snprintf(to->status_dir, sizeof(to->status_dir), "%s/status", dir);
    snprintf(to->definition_dir, sizeof(to->definition_dir), "%s/definitions", dir);
    ck_assert_msg(vp_engine_ledger(to, true, &err) == 0, "%s", err.text);
}

static void start_engine(const char *topology)
{
    vp_engine_close(&engine);
    open_into(&engine, topology);
}

static void setup(void)
{
    char text[512];

    vp_scratch(dir, sizeof(dir), "virtpin-engine");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(config, sizeof(config), "%s/virtpin.conf", dir);
    snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", dir);
    snprintf(text, sizeof(text), "%s/status", dir);
    ck_assert_int_eq(mkdir(policy_dir, 0755) | mkdir(text, 0755), 0);
    snprintf(text, sizeof(text), "%s/definitions", dir);
    ck_assert_int_eq(mkdir(text, 0755), 0);
    snprintf(text, sizeof(text),
             "[host]\nrun-dir = %s/run\nstate-dir = %s/state\ncgroup-dir = %s/none\n", dir, dir,
             dir);
    put_file("virtpin.conf", text);
    policy("d", DEDICATED);
    policy("s", SHARED);
    policy("n", "mode = enforce\nplacement = none\n");
    policy("a", "mode = audit\nplacement = dedicated\n");
}

static void teardown(void)
{
    char command[128];

    vp_engine_close(&engine);
    vp_findings_clear(&findings);
    for (size_t i = 0; i < 4; i++)
        standin_stop(&child[i]);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- guests ---- */

static const char *uuid_of(const char *name)
{
    static char uuid[VP_UUID_TEXT];
    unsigned hash = 5381;

    for (const char *at = name; *at; at++)
        hash = hash * 33 + (unsigned char)*at;
    snprintf(uuid, sizeof(uuid), "%08x-0000-4000-8000-000000000000", hash);
    return uuid;
}

static void domain_xml(char *text, size_t size, const char *name, unsigned vcpus,
                       const char *inside)
{
    snprintf(text, size,
             "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory>65536</memory>%s"
             "<vcpu>%u</vcpu></domain>",
             name, uuid_of(name), inside, vcpus);
}

static struct vp_domain *domain(const char *name, unsigned vcpus)
{
    struct vp_domain *read = NULL;
    char text[2048];

    domain_xml(text, sizeof(text), name, vcpus, "");
    ck_assert_msg(vp_domain_parse(text, strlen(text), &read, &err) == 0, "%s", err.text);
    return read;
}

/* A process for the guest, and the status file that libvirt would write. */
static struct standin *run_guest(const char *name, unsigned vcpus, const char *inside)
{
    struct standin *standin = child;
    char text[4096], xml[2048], file[300];
    size_t used;

    while (standin->pid != 0)
        standin++;
    *standin = (struct standin){.vcpus = vcpus};
    ck_assert(standin_run(standin));
    used = (size_t)snprintf(text, sizeof(text),
                            "<domstatus state='running' reason='booted' pid='%d'><vcpus>",
                            (int)standin->pid);
    for (unsigned i = 0; i < vcpus; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "<vcpu id='%u' pid='%d'/>", i,
                                 (int)standin->tid[i]);
    domain_xml(xml, sizeof(xml), name, vcpus, inside);
    snprintf(text + used, sizeof(text) - used, "</vcpus>%s</domstatus>", xml);
    snprintf(file, sizeof(file), "status/%s.xml", name);
    put_file(file, text);
    return standin;
}

static void affinity(pid_t tid, const char *cpus)
{
    struct vp_cpuset set = {0};

    ck_assert_int_eq(vp_cpuset_parse(&set, cpus, NULL), 0);
    ck_assert_int_eq(sched_setaffinity(tid, sizeof(set), (cpu_set_t *)&set), 0);
}

static void assert_affinity(pid_t tid, const char *wanted)
{
    struct vp_cpuset set = {0};
    char text[256];

    ck_assert_int_ge(sched_getaffinity(tid, sizeof(set), (cpu_set_t *)&set), 0);
    vp_cpuset_print(&set, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
}

/* As `operation` of the hook; "" or the refusal. */
static const char *book_by(struct vp_engine *by, const char *name, unsigned vcpus,
                           const char *operation, pid_t daemon, char *cpus)
{
    struct vp_domain *read = domain(name, vcpus);
    struct vp_asker asker = {.operation = operation, .daemon_pid = daemon};
    struct vp_plan *plan = NULL;
    struct vp_choice choice;
    enum vp_plan_result result;

    err = (struct vp_error){0};
    vp_engine_choose(by, read, &choice);
    result = vp_engine_book(by, read, &choice, &asker, &plan, &findings, &err);
    ck_assert_msg(result != VP_PLAN_FAILED, "%s", err.text);
    ck_assert(result == VP_PLAN_OK || err.code == VP_REFUSED);
    if (cpus)
        cpus[0] = '\0';
    if (cpus && plan)
        vp_cpuset_print(&plan->vcpu_cpus, cpus, 256);
    vp_plan_free(plan);
    vp_domain_free(read);
    return result == VP_PLAN_OK ? "" : err.text;
}

static const char *book(const char *name, unsigned vcpus, const char *operation)
{
    return book_by(&engine, name, vcpus, operation, getpid(), NULL);
}

static int confirm(const char *name, unsigned vcpus, pid_t pid)
{
    struct vp_domain *read = domain(name, vcpus);
    int result = vp_engine_confirm(&engine, read, pid, &err);

    ck_assert_msg(result >= 0, "%s", err.text);
    vp_domain_free(read);
    return result;
}

static void apply(const char *name)
{
    ck_assert_msg(vp_engine_apply(&engine, uuid_of(name), false, NULL, &err) == 0, "%s", err.text);
}

/* prepare, started. */
static struct standin *start_guest(const char *name, unsigned vcpus)
{
    struct standin *standin;

    ck_assert_str_eq(book(name, vcpus, "prepare"), "");
    ck_assert_int_eq(vp_engine_apply_pool(&engine, uuid_of(name), &err), 0);
    standin = run_guest(name, vcpus, "");
    ck_assert_int_eq(confirm(name, vcpus, standin->pid), 0);
    apply(name);
    return standin;
}

/* The row; its exclusive CPUs as text. found 0: there must be none. */
static struct vp_guest_row row_of(const char *name, bool found)
{
    struct vp_guest_row row = {0};

    ck_assert_int_eq(vp_ledger_guest(engine.ledger, uuid_of(name), &row, &err), found);
    return row;
}

static void assert_holds(const char *name, enum vp_guest_state state, const char *wanted)
{
    struct vp_guest_row row = row_of(name, true);
    struct vp_holding holding;
    char text[256];

    vp_holding_of(engine.topology, &row, &holding);
    vp_cpuset_print(&holding.exclusive, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
    ck_assert_int_eq(row.state, state);
    vp_guest_row_clear(&row);
}

static void change_row(const char *name, int64_t since_ms, int64_t held_until_ms)
{
    struct vp_guest_row row = row_of(name, true);

    row.since_ms = since_ms;
    row.held_until_ms = held_until_ms;
    ck_assert_int_eq(vp_ledger_begin(engine.ledger, &err), 0);
    ck_assert_int_eq(vp_ledger_touch(engine.ledger, &row, &err), 0);
    ck_assert_int_eq(vp_ledger_commit(engine.ledger, &err), 0);
    vp_guest_row_clear(&row);
}

static void free_guest(const char *name, int64_t hold_ms)
{
    ck_assert_int_eq(vp_engine_free(&engine, uuid_of(name), hold_ms, &err), 0);
}

/* ---- a guest's life ---- */

START_TEST(books_until_full)
{
    start_engine(FOUR);
    ck_assert_str_eq(book("d1", 2, "prepare"), "");
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
    ck_assert_ptr_nonnull(strstr(book("d3", 1, "prepare"), "needs 1"));
    assert_holds("d1", VP_GUEST_LEASE, "1-2");
    assert_holds("d2", VP_GUEST_LEASE, "3");
    row_of("d3", false);
    ck_assert_str_eq(book("x", 1, "prepare"), ""); /* no policy: nothing */
    row_of("x", false);
    free_guest("d1", 0); /* its start failed */
    ck_assert_str_eq(book("d3", 2, "prepare"), "");
    assert_holds("d3", VP_GUEST_LEASE, "1-2");
}
END_TEST

START_TEST(pins_and_pool)
{
    struct standin *s, *d;

    start_engine(TWO);
    s = start_guest("s1", 2);
    assert_affinity(s->tid[0], "0-1");
    d = start_guest("d1", 1);
    assert_affinity(d->tid[0], "1");
    assert_affinity(d->pid, "0"); /* the emulator in the pool */
    assert_affinity(s->tid[0], "0");
    assert_affinity(s->tid[1], "0");
    assert_affinity(s->pid, "0");
    free_guest("d1", 0); /* it still runs: left alone */
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    standin_stop(d);
    free_guest("d1", 0);
    row_of("d1", false);
    ck_assert_int_eq(vp_engine_apply_pool(&engine, NULL, &err), 0);
    assert_affinity(s->tid[1], "0-1");
}
END_TEST

/* Holdings kept in memory: decisions of others, and of this one, are known. */
START_TEST(kept_holdings)
{
    struct vp_engine other = {0};
    char cpus[256];
    bool adopted;

    start_engine(FOUR);
    open_into(&other, FOUR);
    vp_engine_keep(&engine, true);
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    ck_assert_str_eq(book_by(&other, "d2", 1, "prepare", getpid(), cpus), "");
    ck_assert_str_eq(cpus, "2");
    run_guest("d3", 1, "");
    ck_assert_int_eq(vp_engine_adopt(&engine, "d3", &adopted, &err), 0);
    ck_assert(adopted);
    assert_holds("d3", VP_GUEST_RUNNING, "3");
    ck_assert_ptr_nonnull(strstr(book("d4", 1, "prepare"), "needs 1"));
    ck_assert_int_eq(vp_engine_free(&other, uuid_of("d2"), 0, &err), 0);
    ck_assert_str_eq(book("d4", 1, "prepare"), "");
    assert_holds("d4", VP_GUEST_LEASE, "2");
    free_guest("d1", 0);
    run_guest("d5", 1, "");
    ck_assert_int_eq(vp_engine_adopt(&engine, "d5", &adopted, &err), 0);
    assert_holds("d5", VP_GUEST_RUNNING, "1");
    vp_engine_keep(&engine, false);
    vp_engine_close(&other);
}
END_TEST

START_TEST(name_as_long_as_a_file_name)
{
    struct standin *d;
    char name[252];

    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    start_engine(TWO);
    d = start_guest(name, 1);
    assert_affinity(d->tid[0], "1");
}
END_TEST

START_TEST(started_without_a_lease)
{
    struct standin *d;

    start_engine(TWO);
    d = run_guest("d1", 1, "");
    ck_assert_int_eq(confirm("d1", 1, d->pid), 1);
    apply("d1");
    assert_affinity(d->tid[0], "1");
    ck_assert_int_eq(confirm("d1", 1, d->pid), 0); /* once more */
    /* without room it is noted and left alone */
    d = run_guest("d2", 1, "");
    ck_assert_int_eq(confirm("d2", 1, d->pid), 1);
    apply("d2");
    assert_affinity(d->tid[0], "0-1");
    struct vp_guest_row row = row_of("d2", true);

    ck_assert_ptr_nonnull(row.unplaced);
    vp_guest_row_clear(&row);
    /* and no policy: nothing */
    ck_assert_int_eq(confirm("x", 1, d->pid), 0);
    row_of("x", false);
}
END_TEST

/* The definition was changed between: vCPUs that the lease does not know. */
START_TEST(lease_for_another_shape)
{
    struct standin *d;

    start_engine(FOUR);
    ck_assert_str_eq(book("d1", 1, "migrate"), "");
    d = run_guest("d1", 3, "");
    ck_assert_int_eq(confirm("d1", 3, d->pid), 1);
    assert_holds("d1", VP_GUEST_RUNNING, "1-3");
}
END_TEST

START_TEST(audit_does_nothing)
{
    struct standin *a;

    start_engine(TWO);
    ck_assert_str_eq(book("a1", 1, "prepare"), "");
    assert_holds("a1", VP_GUEST_LEASE, "");
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    ck_assert_str_eq(book("a2", 1, "prepare"), ""); /* would be refused */
    a = run_guest("a2", 1, "");
    confirm("a2", 1, a->pid);
    apply("a2");
    assert_affinity(a->tid[0], "0-1");
}
END_TEST

/* ---- how leases end ---- */

START_TEST(lease_ends_with_its_daemon)
{
    pid_t daemon;

    start_engine(TWO);
    daemon = fork();
    if (daemon == 0) {
        pause();
        _exit(0);
    }
    ck_assert_str_eq(book_by(&engine, "d1", 1, "prepare", daemon, NULL), "");
    change_row("d1", 1000, 0); /* ever so old */
    ck_assert_str_ne(book("d2", 1, "prepare"), "");
    kill(daemon, SIGKILL);
    waitid(P_PID, (id_t)daemon, NULL, WEXITED | WNOWAIT); /* a zombie is dead enough */
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
    row_of("d1", false);
    waitpid(daemon, NULL, 0);
}
END_TEST

START_TEST(answer_ends_by_time)
{
    int64_t now = vp_now_ms();
    struct vp_guest_row row;

    start_engine(TWO);
    ck_assert_str_eq(book("d1", 1, _i ? "migrate" : "restore"), "");
    row = row_of("d1", true);
    ck_assert_int_ge(row.held_until_ms, now + 59000);
    ck_assert_int_le(row.held_until_ms, vp_now_ms() + 60000);
    vp_guest_row_clear(&row);
    ck_assert_str_ne(book("d2", 1, "prepare"), "");
    change_row("d1", now, now - 1);
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
    row_of("d1", false);
}
END_TEST

START_TEST(clock_set_back)
{
    int64_t now = vp_now_ms();

    start_engine(TWO);
    ck_assert_str_eq(book("d1", 1, "migrate"), "");
    change_row("d1", now + 3600000, now + 3660000);
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
}
END_TEST

START_TEST(held_after_stopped)
{
    struct standin *d;

    start_engine(TWO);
    d = start_guest("d1", 1);
    standin_stop(d);
    free_guest("d1", 10000);
    assert_holds("d1", VP_GUEST_LEASE, "1");
    ck_assert_ptr_nonnull(strstr(book("d2", 1, "prepare"), "10 s"));
    /* the revert's second start */
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    d = run_guest("d1", 1, "");
    ck_assert_int_eq(confirm("d1", 1, d->pid), 0);
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    standin_stop(d);
    free_guest("d1", 10000);
    change_row("d1", vp_now_ms() - 11000, vp_now_ms() - 1);
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
}
END_TEST

START_TEST(prepare_takes_over_the_answer)
{
    char printed[256], taken[256];

    start_engine(FOUR);
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    book_by(&engine, "d2", 1, "migrate", getpid(), printed);
    ck_assert_str_eq(printed, "2");
    free_guest("d1", 0);
    book_by(&engine, "d2", 1, "prepare", getpid(), taken);
    ck_assert_str_eq(taken, printed);
    struct vp_guest_row row = row_of("d2", true);

    ck_assert_str_eq(row.operation, "prepare");
    ck_assert_int_eq(row.held_until_ms, 0);
    vp_guest_row_clear(&row);
    /* another policy set: decided again */
    policy("d", "mode = enforce\nplacement = shared\n");
    start_engine(FOUR);
    book_by(&engine, "d2", 1, "prepare", getpid(), taken);
    ck_assert_str_eq(taken, "");
}
END_TEST

START_TEST(running_is_never_replaced)
{
    start_engine(FOUR);
    start_guest("d1", 1);
    ck_assert_str_eq(book("d1", 1, "migrate"), "");
    assert_holds("d1", VP_GUEST_RUNNING, "1");
}
END_TEST

/* ---- adoption ---- */

START_TEST(adopts_what_is_there)
{
    struct standin *d1, *d2;

    start_engine(FOUR);
    d1 = run_guest("d1", 1, "");
    d2 = run_guest("d2", 1, "<cputune><vcpupin vcpu='0' cpuset='3'/></cputune>");
    affinity(d1->tid[0], "1");
    affinity(d2->tid[0], "1"); /* libvirt's pin counts first */
    run_guest("x", 1, "");
    ck_assert_int_eq(vp_engine_adopt_all(&engine, NULL, &err), 0);
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    assert_holds("d2", VP_GUEST_RUNNING, "3");
    row_of("x", false);
    assert_affinity(d2->tid[0], "1"); /* nothing is applied */
    standin_stop(d1);
    bool changed = false;

    char path[128];

    snprintf(path, sizeof(path), "%s/status/d1.xml", dir);
    unlink(path);
    ck_assert_int_eq(vp_engine_adopt_all(&engine, &changed, &err), 0);
    ck_assert(changed);
    row_of("d1", false);
}
END_TEST

static void delete_ledger(void)
{
    static const char *const names[] = {"run/ledger.db", "run/ledger.db-wal", "run/ledger.db-shm"};

    for (size_t i = 0; i < 3; i++) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
}

START_TEST(rebuilt_before_booking)
{
    start_engine(TWO);
    start_guest("d1", 1);
    delete_ledger(); /* under its feet */
    ck_assert_str_ne(book("d2", 1, "prepare"), "");
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    ck_assert(!vp_ledger_rebuilt(engine.ledger));
    vp_engine_close(&engine);
    delete_ledger(); /* and before it comes */
    start_engine(TWO);
    ck_assert_str_ne(book("d2", 1, "prepare"), "");
    assert_holds("d1", VP_GUEST_RUNNING, "1");
}
END_TEST

/* One guest that cannot be read must not keep the others from starting. */
START_TEST(rebuilt_beside_an_unreadable_guest)
{
    start_engine(FOUR);
    start_guest("d1", 1);
    put_file("status/broken.xml", "<domstatus");
    delete_ledger();
    ck_assert_int_lt(vp_engine_adopt_all(&engine, NULL, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "broken"));
    delete_ledger();
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    assert_holds("d2", VP_GUEST_LEASE, "2");
}
END_TEST

START_TEST(lost_started)
{
    struct standin *d;

    start_engine(TWO);
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    d = run_guest("d1", 1, "");
    ck_assert_int_eq(vp_engine_adopt(&engine, "d1", NULL, &err), 0);
    assert_holds("d1", VP_GUEST_LEASE, "1"); /* its hook may be at work */
    change_row("d1", vp_now_ms() - 11000, 0);
    ck_assert_int_eq(vp_engine_adopt(&engine, "d1", NULL, &err), 0);
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    standin_stop(d);
    d = run_guest("d1", 1, ""); /* another run of it, unseen */
    ck_assert_int_eq(vp_engine_adopt(&engine, "d1", NULL, &err), 0);
    struct vp_guest_row row = row_of("d1", true);

    ck_assert_int_eq(row.pid, d->pid);
    vp_guest_row_clear(&row);
}
END_TEST

/* ---- policies change ---- */

static bool replan(const char *name)
{
    bool changed;

    ck_assert_msg(vp_engine_replan(&engine, uuid_of(name), &changed, &err) == 0, "%s", err.text);
    return changed;
}

static const struct release {
    const char *keys;   /* NULL: the policy is gone */
    const char *inside; /* the definition; NULL: none */
    const char *vcpu, *emulator;
    bool row_stays;
} releases[] = {
    {"mode = enforce\nplacement = none\n", NULL, "0-1", "0-1", true},
    {"mode = audit\nplacement = dedicated\n", NULL, "0-1", "0-1", true},
    {"mode = off\n", NULL, "0-1", "0-1", false},
    {NULL, NULL, "0-1", "0-1", false},
    {NULL, "<cputune><vcpupin vcpu='0' cpuset='0'/><emulatorpin cpuset='1'/></cputune>", "0", "1",
     false},
    {"mode = enforce\nplacement = none\n", "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>", "0",
     "0-1", true},
    /* pins that virtpin wrote are not the definition's */
    {NULL,
     "<metadata><v:applied xmlns:v='urn:virtpin:applied:1' policy='d'/></metadata>"
     "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>",
     "0-1", "0-1", false},
};

START_TEST(gives_back)
{
    const struct release *r = &releases[_i];
    struct standin *d;
    char xml[2048], path[160];

    start_engine(TWO);
    d = start_guest("d1", 1);
    assert_affinity(d->tid[0], "1");
    assert_affinity(d->pid, "0");
    if (r->inside) {
        domain_xml(xml, sizeof(xml), "d1", 1, r->inside);
        put_file("definitions/d1.xml", xml);
    }
    snprintf(path, sizeof(path), "%s/d.conf", policy_dir);
    if (r->keys)
        policy("d", r->keys);
    else
        ck_assert_int_eq(unlink(path), 0);
    start_engine(TWO);
    ck_assert(replan("d1"));
    assert_affinity(d->tid[0], r->vcpu);
    assert_affinity(d->pid, r->emulator);
    if (r->row_stays)
        assert_holds("d1", VP_GUEST_RUNNING, "");
    else
        row_of("d1", false);
}
END_TEST

static void define(const char *name, const char *inside)
{
    char text[2048], file[128];

    domain_xml(text, sizeof(text), name, 1, inside);
    snprintf(file, sizeof(file), "definitions/%s.xml", name);
    put_file(file, text);
}

static void undefine(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/definitions/%s.xml", dir, name);
    ck_assert_int_eq(unlink(path), 0);
}

static void assert_reserve(const char *name, enum vp_plan_result expected)
{
    struct vp_domain *of = domain(name, 1);
    struct vp_choice choice;
    struct vp_plan *plan = NULL;
    enum vp_plan_result result;

    vp_engine_choose(&engine, of, &choice);
    result = vp_engine_reserve(&engine, of, &choice, &plan, NULL, &err);
    ck_assert_msg(result == expected, "%d: %s", result, err.text);
    ck_assert(plan == NULL || plan->reserve);
    vp_plan_free(plan);
    vp_domain_free(of);
}

/* From its definition on, through start and end, until it is undefined. */
START_TEST(kept_while_off)
{
    static const char mark[] = "<metadata><v:applied xmlns:v='urn:virtpin:applied:1' policy='k'/>"
                               "</metadata><cputune><vcpupin vcpu='0' cpuset='1'/></cputune>";
    struct standin *ran;

    policy("k", DEDICATED "reserve = always\n");
    start_engine(TWO);
    define("k1", "");
    assert_reserve("k1", VP_PLAN_OK);
    assert_holds("k1", VP_GUEST_RESERVED, "1");
    ck_assert_str_ne(book("d1", 1, "prepare"), "");
    ck_assert_str_eq(book("k1", 1, "prepare"), "");
    assert_holds("k1", VP_GUEST_LEASE, "1");
    free_guest("k1", 0); /* its start failed */
    assert_holds("k1", VP_GUEST_RESERVED, "1");
    free_guest("k1", 0);
    assert_holds("k1", VP_GUEST_RESERVED, "1");
    ran = start_guest("k1", 1);
    assert_reserve("k1", VP_PLAN_OK); /* what it runs on */
    assert_holds("k1", VP_GUEST_RUNNING, "1");
    free_guest("k1", 10000); /* its process is there yet: somebody else's end */
    assert_holds("k1", VP_GUEST_RUNNING, "1");
    standin_stop(ran);
    ck_assert_int_eq(vp_engine_adopt_all(&engine, NULL, &err), 0);
    assert_holds("k1", VP_GUEST_RESERVED, "1");
    assert_reserve("k2", VP_PLAN_REFUSED);
    row_of("k2", false);

    define("k1", mark); /* all that is left of it when the ledger is gone */
    delete_ledger();
    ck_assert_str_ne(book("d1", 1, "prepare"), "");
    assert_holds("k1", VP_GUEST_RESERVED, "1");
    undefine("k1");
    ck_assert_str_eq(book("d1", 1, "prepare"), "");
    row_of("k1", false);
    free_guest("d1", 0);

    ran = start_guest("k3", 1); /* of a transient guest nothing is kept */
    standin_stop(ran);
    free_guest("k3", 0);
    row_of("k3", false);
}
END_TEST

START_TEST(replan_keeps_or_waits)
{
    struct standin *d;

    start_engine(FOUR);
    start_guest("s1", 1);
    ck_assert_str_eq(book("d2", 1, "prepare"), "");
    start_guest("d1", 1);
    free_guest("d2", 0);
    d = &child[1];
    affinity(d->tid[0], "0-1"); /* drifted: the plan knows better */
    policy("d", DEDICATED "on-start = refuse\n");
    start_engine(FOUR);
    replan("d1");
    assert_holds("d1", VP_GUEST_RUNNING, "2");
    /* it takes no CPU from anybody */
    ck_assert_str_eq(book("d2", 2, "prepare"), "");
    policy("s", DEDICATED);
    start_engine(FOUR);
    ck_assert(!replan("s1"));
    struct vp_guest_row row = row_of("s1", true);

    ck_assert_ptr_nonnull(row.pending);
    ck_assert_int_eq(row.plan->placement, VP_PLACE_SHARED);
    vp_guest_row_clear(&row);
    /* audit is never pending */
    policy("s", "mode = audit\nplacement = dedicated\n");
    start_engine(FOUR);
    ck_assert(replan("s1"));
    row = row_of("s1", true);
    ck_assert_ptr_null(row.pending);
    ck_assert_ptr_nonnull(row.unplaced);
    vp_guest_row_clear(&row);
}
END_TEST

/* What was read is another run of the guest than the row is of. */
/* The host as it is with these CPUs alone online. */
static void only_online(const char *list)
{
    struct vp_topology *host = engine.topology;
    struct vp_cpuset keep = {0};
    size_t count = 0;

    ck_assert_int_eq(vp_cpuset_parse(&keep, list, &err), 0);
    for (size_t i = 0; i < host->count; i++)
        if (vp_cpuset_has(&keep, host->pu[i].cpu))
            host->pu[count++] = host->pu[i];
        else
            vp_cpuset_add(&host->offline, host->pu[i].cpu);
    host->count = count;
    ck_assert_int_eq(vp_topology_build(host, &err), 0);
}

START_TEST(back_when_its_cpu_is)
{
    struct vp_guest_row row;

    start_engine(FOUR);
    start_guest("d1", 1);
    start_guest("d2", 1);
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    assert_holds("d2", VP_GUEST_RUNNING, "2");
    only_online("0,2-3");
    ck_assert(replan("d1"));
    ck_assert(!replan("d2"));
    assert_holds("d1", VP_GUEST_RUNNING, "3");
    only_online("0,2"); /* and that one as well: the plan waits */
    ck_assert(!replan("d1"));
    row = row_of("d1", true);
    ck_assert_ptr_nonnull(row.pending);
    vp_guest_row_clear(&row);
    start_engine(FOUR); /* all are back, also after a restart of the program */
    ck_assert(replan("d1"));
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    row = row_of("d1", true);
    ck_assert_ptr_null(row.pending);
    ck_assert_uint_eq(row.plan->home_count, 0);
    vp_guest_row_clear(&row);
    ck_assert(!replan("d1"));
}
END_TEST

START_TEST(replan_of_another_run)
{
    struct standin *d;
    struct vp_guest_row row;

    start_engine(TWO);
    d = start_guest("d1", 1);
    ck_assert_str_eq(uuid_of("d1"), uuid_of("d1"));
    row = row_of("d1", true);
    d = run_guest("d1", 1, ""); /* its hook has not run yet */
    policy("d", "mode = enforce\nplacement = shared\n");
    start_engine(TWO);
    ck_assert(!replan("d1"));
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    /* the same for a row that has been replaced since it was read */
    row.pid++;
    ck_assert_int_eq(vp_engine_unmanage(&engine, &row, &err), 0);
    assert_holds("d1", VP_GUEST_RUNNING, "1");
    vp_guest_row_clear(&row);
    assert_affinity(d->tid[0], "0-1");
}
END_TEST

/* ---- several at once ---- */

enum { RACERS = 12 };

/* In a child: the CPUs it got, or "". */
static void racer(int number, int out)
{
    struct vp_engine own = {0};
    char name[16], cpus[256] = "";

    snprintf(name, sizeof(name), "d%d", number);
    open_into(&own, "core:8 pu:1");
    book_by(&own, name, 1, "prepare", getppid(), cpus);
    vp_engine_close(&own);
    _exit(write(out, cpus, 8) == 8 ? 0 : 1);
}

START_TEST(racing_bookings)
{
    struct vp_cpuset taken = {0};
    int ends[2], placed = 0;
    char cpus[8];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < RACERS; i++)
        if (fork() == 0)
            racer(i, ends[1]);
    close(ends[1]);
    while (read(ends[0], cpus, sizeof(cpus)) == sizeof(cpus)) {
        int cpu = atoi(cpus);

        if (cpus[0] == '\0')
            continue;
        ck_assert_msg(!vp_cpuset_has(&taken, cpu), "CPU %d twice", cpu);
        vp_cpuset_add(&taken, cpu);
        placed++;
    }
    close(ends[0]);
    for (int i = 0; i < RACERS; i++) {
        int status;

        ck_assert_int_gt(wait(&status), 0);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(placed, 7); /* CPU 0's core stays shared */
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("bookings");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, books_until_full);
    tcase_add_test(tests, pins_and_pool);
    tcase_add_test(tests, kept_holdings);
    tcase_add_test(tests, name_as_long_as_a_file_name);
    tcase_add_test(tests, started_without_a_lease);
    tcase_add_test(tests, lease_for_another_shape);
    tcase_add_test(tests, audit_does_nothing);
    tcase_add_test(tests, lease_ends_with_its_daemon);
    tcase_add_loop_test(tests, answer_ends_by_time, 0, 2);
    tcase_add_test(tests, clock_set_back);
    tcase_add_test(tests, held_after_stopped);
    tcase_add_test(tests, prepare_takes_over_the_answer);
    tcase_add_test(tests, running_is_never_replaced);
    tcase_add_test(tests, racing_bookings);
    suite_add_tcase(suite, tests);

    tests = tcase_create("adoption and change");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, adopts_what_is_there);
    tcase_add_test(tests, rebuilt_before_booking);
    tcase_add_test(tests, rebuilt_beside_an_unreadable_guest);
    tcase_add_test(tests, lost_started);
    tcase_add_loop_test(tests, gives_back, 0, sizeof(releases) / sizeof(*releases));
    tcase_add_test(tests, kept_while_off);
    tcase_add_test(tests, back_when_its_cpu_is);
    tcase_add_test(tests, replan_keeps_or_waits);
    tcase_add_test(tests, replan_of_another_run);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    SRunner *runner;
    int failed;

    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        puts("skip engine: needs CPUs 0 and 1");
        return 0;
    }
    runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
