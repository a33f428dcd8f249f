/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/simulate.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policydraft.h"
#include "host/confread.h"
#include "host/discover.h"
#include "tests/unit/scratch.h"

#define GOLDEN "tests/unit/golden/simulate"

static const char policies[] = "[policy database]\n"
                               "placement = dedicated\n"
                               "thread-policy = isolate\n"
                               "numa = single\n";

/* A host with policies; `text` is a file of them. */
struct world {
    struct vp_policy_set *set;
    struct vp_topology *topology;
    struct vp_sim sim;
};

static void world_begin(struct world *world, const char *text, const char *spec)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_error err = {0};

    *world = (struct world){0};
    vp_conf_read_text(draft, "a.conf", text, strlen(text), &findings);
    ck_assert_int_eq(vp_draft_finish(draft, "h1", &world->set, &findings), 0);
    vp_draft_free(draft);
    vp_findings_clear(&findings);
    ck_assert_msg(vp_discover(spec, &world->topology, &err) == 0, "%s: %s", spec, err.text);
    ck_assert_int_eq(vp_sim_begin(&world->sim, world->set, world->topology, &err), 0);
}

static void world_end(struct world *world)
{
    vp_sim_end(&world->sim);
    vp_topology_free(world->topology);
    vp_policy_set_free(world->set);
}

static char *run_file(struct world *world, const char *path, size_t *bad)
{
    struct vp_error err = {0};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_msg(fd >= 0, "%s", path);
    ck_assert_msg(vp_sim_stream(&world->sim, fd, out, bad, &err) == 0, "%s: %s", path, err.text);
    close(fd);
    fclose(out);
    return text;
}

/* ---- golden files: NAME.in, NAME.out; VIRTPIN_REGENERATE=1 writes the latter ---- */

static const struct golden {
    const char *name, *topology;
    size_t bad;
} golden[] = {
    {"place", "pack:2 numa:1 core:8 pu:2", 1},
    {"cpus", "pack:2 core:2 pu:2", 2},
    {"bad", "numa:2 core:2 pu:1", 59},
    {"memory", "numa:2(memory=8589934592) core:8 pu:1", 0},
};

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *bytes = calloc(1, 1 << 16);

    ck_assert_msg(file != NULL, "%s cannot be read", path);
    ck_assert_uint_lt(fread(bytes, 1, (1 << 16) - 1, file), (1 << 16) - 1);
    fclose(file);
    return bytes;
}

/* The first line that differs. */
static void expect_same(const char *name, const char *found, const char *expected)
{
    unsigned line = 1;

    while (*found && *found == *expected) {
        line += *found++ == '\n';
        expected++;
    }
    ck_assert_msg(*found == *expected, "%s.out:%u: from \"%.60s\" on; expected \"%.60s\"", name,
                  line, found, expected);
}

START_TEST(golden_answers)
{
    const struct golden *test = &golden[_i];
    char in[256], out[256], *found, *expected;
    struct world world;
    size_t bad = 0;

    snprintf(in, sizeof(in), GOLDEN "/%s.in", test->name);
    snprintf(out, sizeof(out), GOLDEN "/%s.out", test->name);
    world_begin(&world, policies, test->topology);
    found = run_file(&world, in, &bad);
    if (getenv("VIRTPIN_REGENERATE")) {
        FILE *file = fopen(out, "w");

        ck_assert_ptr_nonnull(file);
        fputs(found, file);
        fclose(file);
    }
    expected = read_file(out);
    expect_same(test->name, found, expected);
    ck_assert_uint_eq(bad, test->bad);
    free(expected);
    free(found);
    world_end(&world);
}
END_TEST

/* Every line and answer is JSON that json-c prints to the same. */
START_TEST(answers_are_json)
{
    char path[256], *text, *save = NULL;
    unsigned lines = 0;

    snprintf(path, sizeof(path), GOLDEN "/%s.out", golden[_i].name);
    text = read_file(path);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct vp_error err = {0};
        json_object *object = NULL;

        ck_assert_msg(vp_sim_parse(line, strlen(line), &object, &err) == 0, "%s: %s", line,
                      err.text);
        ck_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                    JSON_C_TO_STRING_NOSLASHESCAPE),
                         line);
        json_object_put(object);
        lines++;
    }
    ck_assert_uint_gt(lines, 5);
    free(text);
}
END_TEST

/* ---- lines too long, and a reader that waits for each answer ---- */

START_TEST(long_lines)
{
    struct world world;
    struct vp_error err = {0};
    size_t bad = 0, size;
    char *text = NULL, name[] = "/tmp/virtpin-simulate-XXXXXX";
    int fd = mkstemp(name);
    FILE *in = fdopen(fd, "w+"), *out = open_memstream(&text, &size);

    ck_assert_ptr_nonnull(in);
    unlink(name);
    fprintf(in, "{\"op\":\"stop\",\"id\":\"%*s\"}\n", (int)VP_SIM_LINE_MAX, "x");
    fprintf(in, "%*s{\"op\":\"start\",\"id\":\"a\",\"vcpus\":1}\n", (int)VP_SIM_LINE_MAX - 36, "");
    ck_assert_int_eq(fflush(in), 0);
    ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
    world_begin(&world, policies, "pu:2");
    ck_assert_int_eq(vp_sim_stream(&world.sim, fd, out, &bad, &err), 0);
    fclose(out);
    fclose(in);
    ck_assert_uint_eq(bad, 1);
    ck_assert_ptr_nonnull(strstr(text, "line 1: longer than 1048576 bytes"));
    ck_assert_ptr_nonnull(strstr(text, "{\"id\":\"a\",\"ok\":true,"));
    free(text);
    world_end(&world);
}
END_TEST

/* ---- a model: random operations, the books checked after each ---- */

static unsigned seed;
static unsigned below(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

static const char *const hosts[] = {
    "pu:4",
    "numa:2 core:4 pu:2",
    "numa:4 l3:2 core:2 pu:2",
    "pack:2 numa:2 core:3 pu:4",
    "numa:8 core:2 pu:1",
    "numa:2(memory=8589934592) core:4 pu:2",
};
#define HOSTS (sizeof(hosts) / sizeof(hosts[0]))
#define NAMES 24

static const char *const keys[] = {
    "",
    "\"numa\":\"single\"",
    "\"numa\":\"fewest\",\"thread-policy\":\"require\"",
    "\"thread-policy\":\"isolate\",\"emulator\":\"isolate\"",
    "\"iothreads\":\"isolate\",\"emulator\":\"with-vcpus\"",
    "\"placement\":\"shared\"",
    "\"placement\":\"none\"",
    "\"placement\":\"fixed\",\"vcpupin\":\"0-7:2-3\"",
    "\"on-no-room\":\"shared\",\"numa\":\"single\"",
    "\"emulator\":\"0-1\"",
    "\"memory\":\"strict\",\"numa\":\"single\"",
    "\"memory\":\"preferred\",\"numa\":\"fewest\"",
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static void random_line(char *line, size_t size)
{
    unsigned what = below(100), name = below(NAMES);

    if (what < 50)
        snprintf(line, size,
                 "{\"op\":\"start\",\"id\":\"g%u\",\"vcpus\":%u,\"memory_mib\":%u,\"iothreads\":%u,"
                 "\"policy\":{%s}%s}",
                 name, 2 + below(5), 512 + below(4096), below(3), keys[below(KEYS)],
                 below(4) == 0 ? ",\"guest_numa\":[{\"vcpus\":\"0\"},{\"vcpus\":\"1\"}]" : "");
    else if (what < 80)
        snprintf(line, size, "{\"op\":\"stop\",\"id\":\"g%u\"}", name);
    else
        snprintf(line, size, "{\"op\":\"cpu-%s\",\"cpu\":%u}", below(2) ? "online" : "offline",
                 below(24));
}

/* No dedicated CPU twice; the books are the sum of the guests; a line of
 * guests by order of start that can be walked both ways. */
static void check_books(const struct vp_sim *sim)
{
    struct vp_cpuset exclusive = {0}, fixed = {0};
    const struct vp_sim_guest *last = NULL;
    uint64_t memory[VP_NODES_MAX] = {0};
    size_t users = 0, guests = 0;

    for (const struct vp_sim_guest *guest = sim->first; guest; guest = guest->after) {
        ck_assert_ptr_eq(guest->before, last);
        last = guest;
        users += guest->uses_pool;
        guests++;
        if (!guest->booking)
            continue;
        ck_assert(!vp_cpuset_meets(&exclusive, &guest->booking->exclusive));
        ck_assert(vp_cpuset_within(&guest->booking->used, &guest->booking->exclusive));
        vp_cpuset_or(&exclusive, &guest->booking->exclusive);
        vp_cpuset_or(&fixed, &guest->booking->fixed);
        for (size_t i = 0; i < guest->booking->memory_count; i++)
            memory[guest->booking->memory[i].node] += guest->booking->memory[i].kib;
    }
    ck_assert_int_eq(memcmp(memory, sim->sum.memory_kib, sizeof(memory)), 0);
    ck_assert_ptr_eq(sim->last, last);
    ck_assert(vp_cpuset_equal(&sim->sum.exclusive, &exclusive));
    ck_assert(vp_cpuset_equal(&sim->sum.fixed, &fixed));
    ck_assert_uint_eq(sim->pool_users, users);
    ck_assert_int_eq(xmlHashSize(sim->guests), (int)guests);
    ck_assert(!vp_cpuset_meets(&exclusive, &fixed) || guests > 1);
}

/* Stranded guests are exactly those that use a CPU which is offline, or a pool
 * that is empty. */
static void check_stranded(const struct vp_sim *sim, json_object *answer)
{
    json_object *list;
    struct vp_cpuset pool;
    size_t at = 0;

    if (!json_object_object_get_ex(answer, "stranded", &list))
        return;
    vp_pool(&sim->set->host, sim->topology, &sim->sum, 1, &pool);
    for (const struct vp_sim_guest *guest = sim->first; guest; guest = guest->after) {
        const struct vp_sim_booking *booking = guest->booking;
        json_object *entry = json_object_array_get_idx(list, at), *id = NULL;

        if ((!booking || (vp_cpuset_within(&booking->used, &sim->topology->online) &&
                          vp_cpuset_within(&booking->fixed, &sim->topology->online))) &&
            (!guest->uses_pool || !vp_cpuset_empty(&pool)))
            continue;
        ck_assert_msg(json_object_object_get_ex(entry, "id", &id), "%s is not named stranded",
                      guest->id);
        ck_assert_msg(strcmp(json_object_get_string(id), guest->id) == 0, "%s %s", guest->id,
                      json_object_to_json_string(answer));
        at++;
    }
    ck_assert_uint_eq(json_object_array_length(list), at);
}

/* One line; the answer's text is appended to *log. */
static void step(struct vp_sim *sim, const char *line, FILE *log)
{
    json_object *object = NULL, *answer = NULL;
    struct vp_error err = {0};
    int result;

    ck_assert_int_eq(vp_sim_parse(line, strlen(line), &object, &err), 0);
    result = vp_sim_line(sim, object, &answer, &err);
    ck_assert_msg(result >= 0, "%s: %s", line, err.text);
    fprintf(log, "%s\n", answer ? json_object_to_json_string(answer) : err.text);
    if (answer)
        check_stranded(sim, answer);
    json_object_put(answer);
    json_object_put(object);
}

static char *random_run(unsigned from, const char *host)
{
    char line[512], *text = NULL;
    size_t size;
    FILE *log = open_memstream(&text, &size);
    struct world world;

    seed = from;
    world_begin(&world, "", host);
    for (unsigned i = 0; i < 600; i++) {
        random_line(line, sizeof(line));
        step(&world.sim, line, log);
        check_books(&world.sim);
    }
    while (world.sim.first) {
        snprintf(line, sizeof(line), "{\"op\":\"stop\",\"id\":\"%s\"}", world.sim.first->id);
        step(&world.sim, line, log);
    }
    check_books(&world.sim);
    ck_assert(vp_cpuset_empty(&world.sim.sum.exclusive));
    ck_assert(vp_cpuset_empty(&world.sim.sum.fixed));
    ck_assert_int_eq(xmlHashSize(world.sim.policies), 0);
    world_end(&world);
    fclose(log);
    return text;
}

START_TEST(random_operations)
{
    const char *host = hosts[(size_t)_i % HOSTS];
    char *one = random_run((unsigned)_i + 1, host), *two = random_run((unsigned)_i + 1, host);

    ck_assert_msg(strcmp(one, two) == 0, "seed %d on %s: two answers to the same input", _i + 1,
                  host);
    free(one);
    free(two);
}
END_TEST

/* All CPUs go but one and come again: every guest is where it was. */
START_TEST(back_home)
{
    static const char *const starts[] = {
        "{\"op\":\"start\",\"id\":\"a\",\"vcpus\":3,\"policy\":{\"numa\":\"single\"}}",
        "{\"op\":\"start\",\"id\":\"b\",\"vcpus\":2,\"policy\":{\"thread-policy\":\"require\"}}",
        "{\"op\":\"start\",\"id\":\"c\",\"vcpus\":2,\"policy\":{\"placement\":\"shared\"}}",
    };
    char line[128], *text = NULL;
    size_t size;
    FILE *log = open_memstream(&text, &size);
    struct vp_cpuset before;
    struct world world;

    world_begin(&world, "", "numa:4 core:2 pu:2");
    for (size_t i = 0; i < 3; i++)
        step(&world.sim, starts[i], log);
    before = world.sim.first->booking->exclusive;
    for (int cpu = 0; cpu < 15; cpu++) {
        snprintf(line, sizeof(line), "{\"op\":\"cpu-offline\",\"cpu\":%d}", cpu);
        step(&world.sim, line, log);
        check_books(&world.sim);
    }
    ck_assert(!vp_cpuset_within(&world.sim.first->booking->used, &world.topology->online));
    for (int cpu = 14; cpu >= 0; cpu--) {
        snprintf(line, sizeof(line), "{\"op\":\"cpu-online\",\"cpu\":%d}", cpu);
        step(&world.sim, line, log);
    }
    ck_assert(vp_cpuset_equal(&world.sim.first->booking->exclusive, &before));
    for (struct vp_sim_guest *guest = world.sim.first; guest; guest = guest->after)
        ck_assert_ptr_null(guest->home);
    ck_assert(vp_cpuset_empty(&world.topology->offline));
    world_end(&world);
    fclose(log);
    free(text);
}
END_TEST

static void put_device(const char *root, const char *address, const char *node)
{
    char path[512], command[700];
    FILE *file;

    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s", root, address);
    snprintf(command, sizeof(command), "mkdir -p %s", path);
    ck_assert_int_eq(system(command), 0);
    strcat(path, "/numa_node");
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s\n", node);
    fclose(file);
}

/* Devices are on the nodes that the host's files say. */
START_TEST(devices_and_their_nodes)
{
    static const char near[] =
        "{\"op\":\"start\",\"id\":\"a\",\"vcpus\":1,\"pci\":[\"0000:3b:00.0\"],"
        "\"policy\":{\"emulator\":\"with-vcpus\"}}";
    static const char both[] =
        "{\"op\":\"start\",\"id\":\"b\",\"vcpus\":1,\"pci\":[\"0000:3b:00.0\",\"0000:02:00.1\"],"
        "\"policy\":{\"pci-locality\":\"require\",\"emulator\":\"with-vcpus\"}}";
    char root[64], command[128], *text = NULL;
    struct world world;
    size_t size;
    FILE *log = open_memstream(&text, &size);

    vp_scratch(root, sizeof(root), "virtpin-simulate");
    ck_assert_ptr_nonnull(mkdtemp(root));
    put_device(root, "0000:3b:00.0", "1");
    put_device(root, "0000:02:00.1", "0");
    world_begin(&world, "", "numa:2 core:4 pu:1");
    world.sim.sys_root = root;
    step(&world.sim, near, log);
    step(&world.sim, both, log);
    fclose(log);
    ck_assert_msg(strstr(text, "\"nodes\":[1]") != NULL || strstr(text, "\"nodes\": [ 1 ]") != NULL,
                  "%s", text);
    ck_assert_msg(strstr(text, "pci") != NULL, "%s", text);
    free(text);
    world_end(&world);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simulate");
    TCase *files = tcase_create("golden"), *model = tcase_create("model");
    SRunner *runner = srunner_create(suite);
    int count = sizeof(golden) / sizeof(golden[0]), failed;

    tcase_add_loop_test(files, golden_answers, 0, count);
    tcase_add_loop_test(files, answers_are_json, 0, count);
    tcase_add_test(files, long_lines);
    tcase_add_loop_test(model, random_operations, 0, 30);
    tcase_add_test(model, back_home);
    tcase_add_test(model, devices_and_their_nodes);
    tcase_set_timeout(model, 60);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, model);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
