/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/http.h"
#include "decide/cpuset.h"
#include "decide/error.h"
#include "decide/policy.h"
#include "host/engine.h"
#include "host/metrics.h"
#include "tests/unit/scratch.h"

static char dir[64];
static struct vp_error error, *err = &error;

#define ck_ok(call) ck_assert_msg((call) == 0, "%s", err->text)

static void make_dir(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-metrics");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    error = (struct vp_error){0};
}

static void remove_dir(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static struct vp_ledger *open_ledger(void)
{
    struct vp_ledger *ledger;
    char run[96];

    snprintf(run, sizeof(run), "%s/run", dir);
    ck_ok(vp_ledger_open(&ledger, run, true, 1000, NULL, err));
    return ledger;
}

/* ---- counts ---- */

/* Every count of the struct has a key of its own, and adds up. */
START_TEST(counts_come_back)
{
    struct vp_ledger *ledger = open_ledger();
    struct vp_counters counters, twice, got;
    uint64_t *number = (uint64_t *)&counters;

    for (size_t i = 0; i < sizeof(counters) / sizeof(*number); i++)
        number[i] = 1000 + i;
    ck_ok(vp_counters_add(ledger, &counters, err));
    ck_ok(vp_counters_read(ledger, &got, err));
    ck_assert_mem_eq(&got, &counters, sizeof(got));
    ck_ok(vp_counters_add(ledger, &counters, err));
    twice = counters;
    vp_counters_sum(&twice, &counters);
    vp_ledger_close(ledger);
    ledger = open_ledger();
    ck_ok(vp_counters_read(ledger, &got, err));
    ck_assert_mem_eq(&got, &twice, sizeof(got));
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(unknown_counts_are_left)
{
    struct vp_ledger *ledger = open_ledger();
    struct vp_counters got;

    ck_ok(vp_ledger_meta_set(ledger, "count.of-a-later-version", "7", err));
    ck_ok(vp_counters_read(ledger, &got, err));
    for (int kind = 0; kind < VP_DRIFT_KINDS; kind++)
        ck_assert_uint_eq(got.drift[kind], 0);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(times_fall_into_buckets)
{
    struct vp_histogram histogram = {0};

    vp_histogram_add(&histogram, 0);
    vp_histogram_add(&histogram, 200);
    vp_histogram_add(&histogram, 201);
    vp_histogram_add(&histogram, 5000000);
    vp_histogram_add(&histogram, 5000001);
    ck_assert_uint_eq(histogram.bucket[0], 2);
    ck_assert_uint_eq(histogram.bucket[1], 1);
    ck_assert_uint_eq(histogram.bucket[VP_BUCKETS - 2], 1);
    ck_assert_uint_eq(histogram.bucket[VP_BUCKETS - 1], 1);
    ck_assert_uint_eq(vp_histogram_count(&histogram), 5);
    ck_assert_uint_eq(histogram.sum_us, 10000402);
}
END_TEST

/* ---- runs of the hook ---- */

static void append(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "ae");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
}

static uint64_t prepares(struct vp_ledger *ledger)
{
    struct vp_counters counters;

    ck_ok(vp_counters_read(ledger, &counters, err));
    return counters.hook[0].result[VP_HOOK_OK];
}

START_TEST(runs_are_counted_once)
{
    struct vp_ledger *ledger = open_ledger();
    struct vp_counters counters = {0}, peeked = {0};

    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    append("hook-runs", "prepare 4000 ok\nstarted 9000 ok\nprepare 2000100 failed\nprep");
    ck_ok(vp_hook_runs_peek(ledger, dir, &peeked, err));
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_assert_mem_eq(&peeked, &counters, sizeof(peeked));
    ck_assert_uint_eq(counters.hook[0].result[VP_HOOK_OK], 1);
    ck_assert_uint_eq(counters.hook[0].result[VP_HOOK_FAILED], 1);
    ck_assert_uint_eq(counters.hook[0].time.sum_us, 2004100);
    ck_assert_uint_eq(counters.hook[1].result[VP_HOOK_OK], 1);
    append("hook-runs", "are 1 ok\nprepare x ok\nnonsense 1 ok\nprepare 1 odd\n\n");
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_assert_uint_eq(counters.hook[0].result[VP_HOOK_OK], 2);
    ck_assert_uint_eq(prepares(ledger), 2);
    vp_ledger_close(ledger);
}
END_TEST

/* A long file is put aside; what still comes into it counts, too. */
START_TEST(long_files_are_turned_over)
{
    struct vp_ledger *ledger = open_ledger();
    struct vp_counters counters = {0};
    char path[128];

    for (int i = 0; i < 5000; i++)
        append("hook-runs", "prepare 4000 ok\n");
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_assert_uint_eq(prepares(ledger), 5000);
    append("hook-runs.old", "prepare 4000 ok\n");
    append("hook-runs", "prepare 4000 ok\nprepare 4000 ok\n");
    ck_ok(vp_hook_runs_peek(ledger, dir, &counters, err));
    ck_assert_uint_eq(counters.hook[0].result[VP_HOOK_OK], 5003);
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_assert_uint_eq(prepares(ledger), 5003);
    snprintf(path, sizeof(path), "%s/hook-runs.old", dir);
    ck_assert_int_lt(access(path, F_OK), 0);
    ck_ok(vp_hook_runs_take(ledger, dir, &counters, err));
    ck_assert_uint_eq(prepares(ledger), 5003);
    vp_ledger_close(ledger);
}
END_TEST

/* ---- the text ---- */

/* A host of two nodes, a guest on CPU 5 of the second. */
static void make_engine(struct vp_engine *engine)
{
    *engine = (struct vp_engine){.set = vp_policy_set_defaults(), .topology = vp_topology_new()};
    engine->topology->pu = calloc(8, sizeof(struct vp_pu));
    engine->topology->node = calloc(2, sizeof(struct vp_node));
    engine->topology->count = 8;
    engine->topology->node_count = 2;
    for (int cpu = 0; cpu < 8; cpu++)
        engine->topology->pu[cpu] = (struct vp_pu){
            .cpu = cpu, .core = cpu, .l3 = cpu / 4, .node = cpu / 4, .package = cpu / 4};
    engine->topology->node[1].os = 1;
    ck_ok(vp_topology_build(engine->topology, err));
    engine->ledger = open_ledger();
}

static void book(struct vp_engine *engine, int cpu)
{
    struct vp_guest_row row = {.uuid = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
                               .name = "db-1",
                               .state = VP_GUEST_RUNNING,
                               .pid = getpid()};

    row.plan = calloc(1, sizeof(*row.plan));
    row.plan->policy = strdup("data\"base");
    row.plan->mode = VP_MODE_ENFORCE;
    row.plan->placement = VP_PLACE_DEDICATED;

    vp_cpuset_add(&row.plan->vcpu_cpus, cpu);
    row.plan->want = calloc(1, sizeof(*row.plan->want));
    row.plan->want[0] = (struct vp_want){.role = VP_ROLE_VCPU, .kind = VP_WANT_SET};
    vp_cpuset_add(&row.plan->want[0].cpus, cpu);
    row.plan->want_count = 1;
    ck_ok(vp_ledger_begin(engine->ledger, err));
    ck_ok(vp_ledger_put(engine->ledger, &row, err));
    ck_ok(vp_ledger_commit(engine->ledger, err));
    vp_guest_row_clear(&row);
}

static bool is_db(const void *data, const char *name)
{
    (void)data;
    return strcmp(name, "db-1") == 0;
}

static char *make_text(void)
{
    struct vp_engine engine;
    struct vp_guest_rows rows = {0};
    struct vp_facts facts = {.version = "1.0",
                             .enabled = true,
                             .enforcer_running = true,
                             .sweep_lag_us = 1500,
                             .sweep_us = -1,
                             .last_sweep_ms = 1785000000123};
    struct vp_metrics metrics;
    char *text = NULL, status[96];
    size_t length;
    FILE *file = open_memstream(&text, &length);

    make_engine(&engine);
    book(&engine, 5);
    ck_ok(vp_ledger_guests(engine.ledger, &rows, err));
    ck_assert(vp_facts_guest(&facts, &rows.item[0]));
    append("db-1.xml", "");
    append("other.xml", "");
    snprintf(status, sizeof(status), "%s", dir);
    ck_ok(vp_facts_unmanaged(&facts, status, is_db, NULL, err));
    facts.counters.drift[VP_DRIFT_CPUSET] = 3;
    vp_histogram_add(&facts.counters.repair, 900);
    facts.counters.hook[0].result[VP_HOOK_REFUSED] = 2;
    facts.standing[VP_DRIFT_CONTESTED] = 1;
    ck_ok(vp_metrics_make(&engine, &facts, &metrics, err));
    ck_assert(vp_metrics_print(&metrics, file));
    fclose(file);
    vp_metrics_clear(&metrics);
    vp_facts_clear(&facts);
    vp_guest_rows_clear(&rows);
    vp_engine_close(&engine);
    return text;
}

static const char *const lines[] = {
    "virtpin_build_info{version=\"1.0\"} 1",
    "virtpin_guests{policy=\"data\\\"base\",state=\"running\"} 1",
    "virtpin_guests{policy=\"\",state=\"unmanaged\"} 1",
    "virtpin_managed_threads 1",
    "virtpin_node_cpus{node=\"1\"} 4",
    "virtpin_node_booked_cpus{node=\"0\",use=\"vcpu\"} 0",
    "virtpin_node_booked_cpus{node=\"1\",use=\"vcpu\"} 1",
    "virtpin_shared_pool_cpus 7",
    "virtpin_drift_total{kind=\"cpuset\"} 3",
    "virtpin_drift_standing{state=\"contested\"} 1",
    "virtpin_repairs_total 1",
    "virtpin_repair_duration_seconds_bucket{le=\"0.0005\"} 0",
    "virtpin_repair_duration_seconds_bucket{le=\"0.001\"} 1",
    "virtpin_repair_duration_seconds_bucket{le=\"+Inf\"} 1",
    "virtpin_repair_duration_seconds_sum 0.0009",
    "virtpin_repair_duration_seconds_count 1",
    "virtpin_hook_runs_total{operation=\"prepare\",result=\"refused\"} 2",
    "virtpin_hook_duration_seconds_bucket{operation=\"restore\",le=\"+Inf\"} 0",
    "virtpin_enforcer_last_sweep_time_seconds 1785000000.123",
    "virtpin_enforcer_sweep_lag_seconds 0.0015",
};

START_TEST(text_says_it)
{
    char *text = make_text();

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char line[128];

        snprintf(line, sizeof(line), "\n%s\n", lines[i]);
        ck_assert_msg(strstr(text, line) != NULL, "lacks %s in\n%s", lines[i], text);
    }
    ck_assert_ptr_null(strstr(text, "sweep_duration")); /* not known */
    ck_assert_ptr_null(strstr(text, "db-1"));           /* no guest's name is a label */
    free(text);
}
END_TEST

/* What promtool asks for, for where there is none: HELP and TYPE once before
 * their samples, counters end in _total, no other does, no sample twice. */
START_TEST(text_is_well_formed)
{
    const char *pattern =
        "^virtpin_[a-z_]+(\\{[a-z]+=\"([^\"\\\\\n]|\\\\.)*\"(,[a-z]+=\"([^\"\\\\\n]"
        "|\\\\.)*\")*\\})? (-?[0-9.]+(e[-+]?[0-9]+)?)$";
    char *text = make_text(), *save = NULL, name[80] = "", type[16] = "";
    char *copy = strdup(text);
    regex_t sample;

    ck_assert_int_eq(regcomp(&sample, pattern, REG_EXTENDED | REG_NOSUB), 0);
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char again[300];

        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            snprintf(again, sizeof(again), "# HELP %s ", name);
            ck_assert_ptr_null(strstr(strstr(text, again) + 1, again));
            ck_assert_int_eq(line[strlen(line) - 1], '.');
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            ck_assert_int_eq(strncmp(line + 7, name, strlen(name)), 0);
            snprintf(type, sizeof(type), "%s", line + 8 + strlen(name));
            ck_assert_int_eq(strcmp(type, "counter") == 0,
                             strcmp(name + strlen(name) - 6, "_total") == 0);
            continue;
        }
        ck_assert_msg(regexec(&sample, line, 0, NULL, 0) == 0, "%s", line);
        ck_assert_msg(strncmp(line, name, strlen(name)) == 0, "%s under %s", line, name);
        snprintf(again, sizeof(again), "\n%.*s ", (int)(strrchr(line, ' ') - line), line);
        ck_assert_msg(!strstr(strstr(text, again) + 1, again), "twice: %s", line);
    }
    regfree(&sample);
    free(copy);
    free(text);
}
END_TEST

START_TEST(promtool_is_content)
{
    char path[128], command[300];
    char *text = make_text();

    append("metrics", text);
    free(text);
    snprintf(path, sizeof(path), "%s/metrics", dir);
    snprintf(command, sizeof(command),
             "command -v promtool >/dev/null || exit 0; out=$(promtool check metrics <%s 2>&1) || "
             "{ echo \"$out\"; exit 1; }; [ -z \"$out\" ] || { echo \"$out\"; exit 1; }",
             path);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* The alert rules ask for nothing that is not there. */
START_TEST(rules_have_metrics)
{
    char *text = make_text(), *line = NULL;
    FILE *file = fopen("packaging/prometheus/virtpin.rules.yml", "re");
    size_t size = 0;
    int found = 0;

    ck_assert_ptr_nonnull(file);
    while (getline(&line, &size, file) > 0) {
        const char *comment = strchr(line, '#');

        for (char *at = line; (at = strstr(at, "virtpin_")) && (!comment || at < comment);
             found++) {
            char name[80];
            size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");

            snprintf(name, sizeof(name), "\n%.*s%s", (int)length, at, at[length] == '{' ? "{" : "");
            ck_assert_msg(strstr(text, name) != NULL, "no metric %.*s", (int)length, at);
            at += length;
        }
    }
    ck_assert_int_ge(found, 9);
    free(line);
    fclose(file);
    free(text);
    ck_assert_int_eq(system("command -v promtool >/dev/null || exit 0; "
                            "promtool check rules packaging/prometheus/virtpin.rules.yml >&2"),
                     0);
}
END_TEST

/* ---- HTTP ---- */

static const struct {
    const char *request;
    int status, head;
} requests[] = {
    {"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 200, 0},
    {"GET /metrics HTTP/1.0\n\n", 200, 0},
    {"GET /metrics?x=1 HTTP/1.1\r\n\r\n", 200, 0},
    {"HEAD /metrics HTTP/1.1\r\n\r\n", 200, 1},
    {"GET / HTTP/1.1\r\n\r\n", 404, 0},
    {"GET /metrics/ HTTP/1.1\r\n\r\n", 404, 0},
    {"GET /metric HTTP/1.1\r\n\r\n", 404, 0},
    {"GET /../metrics HTTP/1.1\r\n\r\n", 404, 0},
    {"POST /metrics HTTP/1.1\r\n\r\n", 405, 0},
    {"get /metrics HTTP/1.1\r\n\r\n", 405, 0},
    {"GET /metrics\r\n\r\n", 400, 0},
    {"GET /metrics HTTP/2\r\n\r\n", 400, 0},
    {"GET  /metrics HTTP/1.1\r\n\r\n", 400, 0},
    {"\r\n\r\n", 400, 0},
    {"GET", 400, 0}, /* and then the end */
    {"", 400, 0},
};

START_TEST(requests_are_judged)
{
    const char *request = requests[_i].request;
    int ends[2], head = -1;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(write(ends[0], request, strlen(request)), (ssize_t)strlen(request));
    shutdown(ends[0], SHUT_WR);
    ck_assert_int_eq(vp_http_read(ends[1], &head), requests[_i].status);
    ck_assert_int_eq(head, requests[_i].head);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_long_head_is_refused)
{
    static char request[10000];
    int ends[2], head;

    memset(request, 'x', sizeof(request));
    memcpy(request, "GET /metrics HTTP/1.1\r\n", 23);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(write(ends[0], request, sizeof(request)), sizeof(request));
    ck_assert_int_eq(vp_http_read(ends[1], &head), 431);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* Somebody who says nothing is not waited for longer than the limit. */
START_TEST(silence_ends)
{
    int ends[2], head;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(write(ends[0], "GET /met", 8), 8);
    ck_assert_int_eq(vp_http_read(ends[1], &head), 408);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(answers_are_whole)
{
    static char body[300000], got[301000];
    size_t length = 0;
    int ends[2], status;
    ssize_t more;
    pid_t pid;

    memset(body, 'b', sizeof(body));
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        _exit(vp_http_answer(ends[1], 200, 0, body, sizeof(body), NULL) == 0 ? 0 : 1);
    }
    close(ends[1]);
    while ((more = read(ends[0], got + length, sizeof(got) - 1 - length)) > 0)
        length += (size_t)more;
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(strncmp(got, "HTTP/1.1 200 OK\r\n", 17), 0);
    ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 300000\r\n"));
    ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Type: text/plain; version=0.0.4"));
    ck_assert_uint_eq(length, (size_t)(strstr(got, "\r\n\r\n") + 4 - got) + sizeof(body));
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *counts = tcase_create("counts"), *text = tcase_create("text"),
          *http = tcase_create("http");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(counts, make_dir, remove_dir);
    tcase_add_checked_fixture(text, make_dir, remove_dir);
    tcase_set_timeout(http, 30);
    tcase_add_test(counts, counts_come_back);
    tcase_add_test(counts, unknown_counts_are_left);
    tcase_add_test(counts, times_fall_into_buckets);
    tcase_add_test(counts, runs_are_counted_once);
    tcase_add_test(counts, long_files_are_turned_over);
    tcase_add_test(text, text_says_it);
    tcase_add_test(text, text_is_well_formed);
    tcase_add_test(text, promtool_is_content);
    tcase_add_test(text, rules_have_metrics);
    tcase_add_loop_test(http, requests_are_judged, 0, COUNT(requests));
    tcase_add_test(http, a_long_head_is_refused);
    tcase_add_test(http, silence_ends);
    tcase_add_test(http, answers_are_whole);
    suite_add_tcase(suite, counts);
    suite_add_tcase(suite, text);
    suite_add_tcase(suite, http);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
