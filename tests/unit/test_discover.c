/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"
#include "host/discover.h"

/* ---- a directory for each test ---- */

static char scratch[PATH_MAX / 2];

static void make_scratch(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(scratch, sizeof(scratch), "%s/test-discover-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void remove_scratch(void)
{
    nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* SCRATCH/path, its directories made, with this content. */
__attribute__((format(printf, 2, 3))) static void put(const char *path, const char *format, ...)
{
    char full[PATH_MAX];
    va_list args;
    FILE *file;

    snprintf(full, sizeof(full), "%s/%s", scratch, path);
    for (char *slash = strchr(full + strlen(scratch) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    file = fopen(full, "w");
    ck_assert_msg(file != NULL, "%s: %s", full, strerror(errno));
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    ck_assert_int_eq(fclose(file), 0);
}

static struct vp_topology *found(const char *spec)
{
    struct vp_topology *topology = NULL;
    struct vp_error err = {VP_OK, ""};

    ck_assert_msg(vp_discover(spec, &topology, &err) == 0, "%s: %s", spec ? spec : "here",
                  err.text);
    return topology;
}

static void assert_set(const struct vp_cpuset *set, const char *text)
{
    VP_AUTO(free) char *is = vp_cpuset_format(set);

    ck_assert_str_eq(is, text);
}

/* ---- synthetic strings ---- */

static const struct {
    const char *spec;
    size_t cpus, cores, l3s, nodes, packages;
    bool smt, memory;
    const char *core0, *l3_last, *node_last;
} synthetic[] = {
    {"pack:1 core:8 pu:2", 16, 8, 1, 1, 1, true, false, "0-1", "0-15", "0-15"},
    {"pack:2 core:4 pu:1", 8, 8, 2, 1, 2, false, false, "0", "4-7", "0-7"},
    {"pack:2 node:2 l3:2 core:2 pu:2", 32, 16, 8, 4, 2, true, false, "0-1", "28-31", "24-31"},
    {"node:2(memory=4GiB) core:2 pu:2", 8, 4, 1, 2, 1, true, true, "0-1", "0-7", "4-7"},
    {"node:2 pack:2 l3:1 core:2 pu:2(indexes=core)", 16, 8, 4, 2, 4, true, false, "0,8",
     "6-7,14-15", "4-7,12-15"},
    {"pack:2 l3:1 [numa] core:2 pu:1", 4, 4, 2, 2, 2, false, false, "0", "2-3", "2-3"},
    {"l3:1 node:4 core:1 pu:2", 8, 4, 1, 4, 1, true, false, "0-1", "0-7", "6-7"},
    {"core:1 numa:2 pu:2", 4, 2, 1, 2, 1, true, false, "0-1", "0-3", "2-3"},
    {"pu:3", 3, 3, 1, 1, 1, false, false, "0", "0-2", "0-2"},
};

START_TEST(synthetic_strings)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = found(synthetic[_i].spec);

    ck_assert_uint_eq(topology->count, synthetic[_i].cpus);
    ck_assert_uint_eq(topology->core_count, synthetic[_i].cores);
    ck_assert_uint_eq(topology->l3_count, synthetic[_i].l3s);
    ck_assert_uint_eq(topology->node_count, synthetic[_i].nodes);
    ck_assert_uint_eq(topology->package_count, synthetic[_i].packages);
    ck_assert(topology->smt == synthetic[_i].smt);
    ck_assert(topology->memory_known == synthetic[_i].memory);
    assert_set(&topology->core[0], synthetic[_i].core0);
    assert_set(&topology->l3[topology->l3_count - 1], synthetic[_i].l3_last);
    assert_set(&topology->node[topology->node_count - 1].cpus, synthetic[_i].node_last);
    assert_set(&topology->offline, "");
    assert_set(&topology->isolated, "");
}
END_TEST

START_TEST(synthetic_memory)
{
    VP_AUTO(vp_topology)
    struct vp_topology *stated = found("node:2(memory=2GiB indexes=5,3) core:2 pu:1");
    VP_AUTO(vp_topology)
    struct vp_topology *part = found("pack:2 [numa(memory=1GiB)] [numa] core:1 pu:1");

    ck_assert_uint_eq(stated->node[0].memory_kib, 2u << 20);
    ck_assert_int_eq(stated->node[0].os, 5);
    ck_assert_int_eq(stated->node[1].os, 3);
    /* hwloc says 1 GiB of all four; the string says it of two. */
    ck_assert(part->memory_known);
    ck_assert_uint_eq(part->node_count, 4);
    ck_assert_uint_eq(part->node[0].memory_kib, 1u << 20);
    ck_assert_uint_eq(part->node[1].memory_kib, 0);
    ck_assert_uint_eq(part->node[2].memory_kib, 1u << 20);
    /* Both are local; the kernel counts the CPU to the lower one. */
    ck_assert_int_eq(part->pu[0].node, 0);
    assert_set(&part->node[1].cpus, "");
}
END_TEST

static const struct {
    const char *spec, *says;
} bad_spec[] = {
    {"", "synthetic"},
    {"bogus", "synthetic"},
    {"pack:0", "synthetic"},
    {"pack:2 core:4 pu:x", "synthetic"},
    {"/nonexistent/host.xml", "neither a file"},
    {"pack:2 core:4 pu:2 pu:2", "synthetic"},
};

START_TEST(bad_specs)
{
    struct vp_topology *topology = NULL;
    struct vp_error err = {VP_OK, ""};

    ck_assert_int_eq(vp_discover(bad_spec[_i].spec, &topology, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, bad_spec[_i].says) != NULL, "%s", err.text);
    ck_assert_ptr_null(topology);
}
END_TEST

START_TEST(too_many_cpus)
{
    struct vp_topology *topology = NULL;
    struct vp_error err = {VP_OK, ""};

    ck_assert_int_eq(vp_discover("core:4097 pu:2", &topology, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, "8194 CPUs, legal 1 to 8192") != NULL, "%s", err.text);
    ck_assert_int_eq(vp_discover("pack:1 core:1 pu:2(indexes=0,8192)", &topology, &err), -1);
    ck_assert_msg(strstr(err.text, "8192") != NULL, "%s", err.text);
}
END_TEST

START_TEST(largest_host)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = found("node:128 core:32 pu:2");
    VP_AUTO(vp_topology) struct vp_topology *again = NULL;
    VP_AUTO(free) char *text = vp_topology_print(topology);

    ck_assert_uint_eq(topology->count, VP_CPU_MAX);
    ck_assert_uint_eq(topology->node_count, 128);
    ck_assert_int_eq(vp_topology_parse(text, &again, NULL), 0);
    ck_assert_uint_eq(again->core_count, 4096);
}
END_TEST

/* ---- XML and directories that are none ---- */

START_TEST(bad_files)
{
    struct vp_topology *topology = NULL;
    struct vp_error err = {VP_OK, ""};
    char path[PATH_MAX];

    put("cut.xml", "<?xml version=\"1.0\"?><topology version=\"2.0\"><object type=\"Machine\"");
    snprintf(path, sizeof(path), "%s/cut.xml", scratch);
    ck_assert_int_eq(vp_discover(path, &topology, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, "cut.xml") != NULL, "%s", err.text);
    ck_assert_int_eq(vp_discover(scratch, &topology, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, "no recorded root") != NULL, "%s", err.text);
}
END_TEST

/* ---- a recorded root, written here ---- */

static void put_cpu(int cpu, int core, const char *siblings, int package)
{
    char path[128];

    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
    put(path, "%d\n", core);
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    put(path, "%d\n", package);
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/thread_siblings", cpu);
    put(path, "%s\n", siblings);
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/topology/core_siblings", cpu);
    put(path, "%s\n", package == 0 ? "33" : "0c");
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
    put(path, "%d\n", package == 0 ? 1024 : 512);
}

static void put_node(int node, const char *cpumap, unsigned kib)
{
    char path[128];

    snprintf(path, sizeof(path), "sys/devices/system/node/node%d/cpumap", node);
    put(path, "%s\n", cpumap);
    snprintf(path, sizeof(path), "sys/devices/system/node/node%d/meminfo", node);
    put(path, "Node %d MemTotal:       %u kB\n", node, kib);
    snprintf(path, sizeof(path), "sys/devices/system/node/node%d/distance", node);
    put(path, "10 20 20\n");
}

/* CPUs 0-5, 5 off; cores {0,4} {1,5} {2} {3}; package 1 is slower; no L3;
 * node 0 with, node 1 without memory, node 4 without CPUs. */
static void put_root(void)
{
    put_cpu(0, 0, "11", 0);
    put_cpu(4, 0, "11", 0);
    put_cpu(1, 1, "02", 0);
    put_cpu(2, 0, "04", 1);
    put_cpu(3, 1, "08", 1);
    put("sys/devices/system/cpu/cpu5/online", "0\n");
    put("sys/devices/system/cpu/online", "0-4\n");
    put("sys/devices/system/cpu/possible", "0-7\n");
    put("sys/devices/system/cpu/present", "0-5\n");
    put("sys/devices/system/cpu/isolated", "2\n");
    put("sys/devices/system/cpu/nohz_full", "3-4\n");
    put("sys/devices/system/node/online", "0-1,4\n");
    put("sys/devices/system/node/possible", "0-1,4\n");
    put_node(0, "13", 1048576);
    put_node(1, "0c", 0);
    put_node(4, "00", 2097152);
    put("proc/cpuinfo", "processor\t: 0\n");
}

static int node_index(const struct vp_topology *topology, int os)
{
    for (size_t i = 0; i < topology->node_count; i++)
        if (topology->node[i].os == os)
            return (int)i;
    ck_abort_msg("no node %d", os);
    return -1;
}

START_TEST(recorded_root)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;

    put_root();
    topology = found(scratch);
    assert_set(&topology->online, "0-4");
    assert_set(&topology->offline, "5");
    assert_set(&topology->isolated, "2-4");
    ck_assert_uint_eq(topology->core_count, 4);
    ck_assert_int_eq(vp_topology_pu(topology, 0)->core, vp_topology_pu(topology, 4)->core);
    ck_assert_uint_eq(topology->package_count, 2);
    ck_assert_uint_eq(topology->l3_count, 2);
    ck_assert_uint_eq(topology->node_count, 3);
    assert_set(&topology->node[node_index(topology, 0)].cpus, "0-1,4");
    assert_set(&topology->node[node_index(topology, 1)].cpus, "2-3");
    assert_set(&topology->node[node_index(topology, 4)].cpus, "");
    ck_assert(topology->memory_known);
    ck_assert_uint_eq(topology->node[node_index(topology, 0)].memory_kib, 1048576);
    ck_assert_uint_eq(topology->node[node_index(topology, 1)].memory_kib, 0);
    ck_assert_uint_eq(topology->node[node_index(topology, 4)].memory_kib, 2097152);
    ck_assert_uint_eq(topology->kind_count, 2);
    ck_assert_int_eq(vp_topology_pu(topology, 0)->kind, 1);
    ck_assert_int_eq(vp_topology_pu(topology, 2)->kind, 0);
    ck_assert_ptr_null(getenv("HWLOC_FSROOT"));
}
END_TEST

START_TEST(recorded_root_odd_files)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    struct vp_topology *none = NULL;
    struct vp_error err = {VP_OK, ""};

    put_root();
    /* Kernels print this where nohz_full= was not given. */
    put("sys/devices/system/cpu/nohz_full", "          (null)\n");
    put("sys/devices/system/cpu/isolated", "\n");
    setenv("HWLOC_FSROOT", "/elsewhere", 1);
    topology = found(scratch);
    ck_assert_str_eq(getenv("HWLOC_FSROOT"), "/elsewhere");
    unsetenv("HWLOC_FSROOT");
    assert_set(&topology->isolated, "");
    put("sys/devices/system/cpu/isolated", "2-x\n");
    ck_assert_int_eq(vp_discover(scratch, &none, &err), -1);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_msg(strstr(err.text, "sys/devices/system/cpu/isolated") != NULL, "%s", err.text);
}
END_TEST

/* ---- recorded machines ---- */

static const struct {
    const char *file;
    size_t cpus, cores, l3s, nodes, packages;
    bool smt;
    const char *online, *offline;
} machines[] = {
    {"16amd64-8n2c-cpusets.xml", 10, 10, 6, 8, 6, false, "0-3,5-6,12-15", "4,7-11"},
    {"16em64t-4s2c2t.xml", 16, 8, 4, 1, 4, true, "0-15", ""},
    {"24em64t-2n6c2t-pci.xml", 24, 12, 2, 2, 2, true, "0-23", ""},
    {"96em64t-4n4d3ca2co-pci.xml", 96, 96, 16, 4, 16, false, "0-95", ""},
    {"32amd64-4s2n4c-cgroup2.sys.tar.bz2", 32, 32, 8, 8, 4, false, "0-31", ""},
    {"64amd64-4s2n4ca2co.sys.tar.bz2", 64, 64, 8, 8, 4, false, "0-63", ""},
};

/* The one directory in SCRATCH/root. */
static void unpack(const char *archive, char *root, size_t size)
{
    char command[4 * PATH_MAX];
    FILE *pipe;

    snprintf(command, sizeof(command),
             "mkdir '%s/root' && tar -xjf '%s' -C '%s/root' && echo '%s'/root/*", scratch, archive,
             scratch, scratch);
    pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(root, (int)size, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    root[strcspn(root, "\n")] = '\0';
}

static const char *corpus(void)
{
    const char *dir = getenv("VIRTPIN_CORPUS");

    return dir ? dir : "../shared/corpus";
}

START_TEST(recorded_machines)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    char path[PATH_MAX], root[PATH_MAX];

    snprintf(path, sizeof(path), "%s/topologies/%s", corpus(), machines[_i].file);
    ck_assert_msg(access(path, R_OK) == 0, "%s: %s", path, strerror(errno));
    if (strstr(path, ".tar."))
        unpack(path, root, sizeof(root));
    topology = found(strstr(path, ".tar.") ? root : path);
    ck_assert_uint_eq(topology->count, machines[_i].cpus);
    ck_assert_uint_eq(topology->core_count, machines[_i].cores);
    ck_assert_uint_eq(topology->l3_count, machines[_i].l3s);
    ck_assert_uint_eq(topology->node_count, machines[_i].nodes);
    ck_assert_uint_eq(topology->package_count, machines[_i].packages);
    ck_assert(topology->smt == machines[_i].smt);
    assert_set(&topology->online, machines[_i].online);
    assert_set(&topology->offline, machines[_i].offline);
}
END_TEST

/* ---- this host and its cache ---- */

START_TEST(this_host)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = found(NULL);
    struct vp_topology *other = NULL;
    struct vp_error err = {VP_OK, ""};

    ck_assert_int_eq((long)topology->count, sysconf(_SC_NPROCESSORS_ONLN));
    ck_assert(topology->memory_known);
    setenv("HWLOC_SYNTHETIC", "pu:2", 1);
    ck_assert_int_eq(vp_discover(NULL, &other, &err), -1);
    unsetenv("HWLOC_SYNTHETIC");
    ck_assert_msg(strstr(err.text, "environment") != NULL, "%s", err.text);
}
END_TEST

/* The topology as text, by way of the cache in SCRATCH. */
static char *cached(const char *spec, struct stat *st)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    struct vp_error err = {VP_OK, ""};
    char path[PATH_MAX];

    ck_assert_msg(vp_topology_cached(scratch, spec, &topology, &err) == 0, "%s", err.text);
    snprintf(path, sizeof(path), "%s/topology", scratch);
    if (st)
        ck_assert_msg(stat(path, st) == 0, "%s: %s", path, strerror(errno));
    return vp_topology_print(topology);
}

static char *contents(void)
{
    char *text = calloc(1, 1 << 20);
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/topology", scratch);
    file = fopen(path, "r");
    ck_assert(text && file);
    ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, file), 0);
    fclose(file);
    return text;
}

START_TEST(cache_is_written_and_read)
{
    VP_AUTO(vp_topology) struct vp_topology *here = found(NULL);
    VP_AUTO(free) char *want = vp_topology_print(here);
    struct stat before, after;
    VP_AUTO(free) char *first = cached(NULL, &before);
    VP_AUTO(free) char *second = cached(NULL, &after);

    ck_assert_str_eq(first, want);
    ck_assert_str_eq(second, want);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_uint_eq(before.st_mode & 0777, 0600);
}
END_TEST

/* With a right stamp the text is believed: a host of one CPU more. */
START_TEST(cache_is_believed)
{
    VP_AUTO(free) char *first = cached(NULL, NULL);
    VP_AUTO(free) char *text = contents();
    VP_AUTO(free) char *second = NULL;
    char *offline = strstr(text, "offline");

    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_nonnull(offline);
    *offline = '\0';
    put("topology", "%scpu 8191 8191 0 0 0 0\noffline%s", text, offline + strlen("offline"));
    second = cached(NULL, NULL);
    ck_assert_ptr_nonnull(strstr(second, "cpu 8191 8191"));
}
END_TEST

/* What makes a cache useless: found again and written anew. */
static const char *const spoiled[] = {
    "",
    "\n",
    "stamp\n",
    "stamp 00000000-0000-0000-0000-000000000000 0-1 0-1 0\nvirtpin-topology 1\n",
    "noise \001\002\003",
};

START_TEST(cache_is_replaced)
{
    VP_AUTO(free) char *first = cached(NULL, NULL);
    VP_AUTO(free) char *good = contents();
    VP_AUTO(free) char *second = NULL, *now = NULL;

    if ((size_t)_i < sizeof(spoiled) / sizeof(spoiled[0]))
        put("topology", "%s", spoiled[_i]);
    else /* the right stamp, the text cut */
        put("topology", "%.*s", (int)(strlen(good) - 5), good);
    second = cached(NULL, NULL);
    now = contents();
    ck_assert_str_eq(second, first);
    ck_assert_str_eq(now, good);
}
END_TEST

/* Another description, or a file written anew, is another host. */
START_TEST(cache_of_a_description)
{
    VP_AUTO(free) char *first = cached("core:2 pu:2", NULL);
    VP_AUTO(free) char *text = contents();
    VP_AUTO(free) char *second = cached("core:3 pu:2", NULL);
    VP_AUTO(free) char *here = cached(NULL, NULL);
    VP_AUTO(vp_topology) struct vp_topology *topology = found(NULL);
    VP_AUTO(free) char *want = vp_topology_print(topology);
    VP_AUTO(free) char *third = NULL;
    struct vp_topology *none = NULL;

    ck_assert_str_ne(first, second);
    ck_assert_str_eq(here, want);
    put("topology", "%s", text);
    third = cached("core:2 pu:2", NULL);
    ck_assert_str_eq(third, first);
    ck_assert_int_eq(vp_topology_cached(scratch, "bogus", &none, NULL), -1);
}
END_TEST

START_TEST(cache_cannot_be_written)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    VP_AUTO(vp_topology) struct vp_topology *again = NULL;
    char path[PATH_MAX];

    ck_assert_int_eq(vp_topology_cached("/nonexistent", NULL, &topology, NULL), 0);
    snprintf(path, sizeof(path), "%s/topology", scratch);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    ck_assert_int_eq(vp_topology_cached(scratch, NULL, &again, NULL), 0);
    ck_assert_uint_eq(topology->count, again->count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("discover");
    TCase *spec = tcase_create("spec"), *files = tcase_create("files");
    TCase *machine = tcase_create("machines"), *cache = tcase_create("cache");
    SRunner *runner;
    int failed;

    tcase_set_timeout(spec, 60); /* a loaded machine takes its time for 8,192 CPUs */
    tcase_set_timeout(machine, 60);
    tcase_add_loop_test(spec, synthetic_strings, 0, sizeof(synthetic) / sizeof(synthetic[0]));
    tcase_add_test(spec, synthetic_memory);
    tcase_add_loop_test(spec, bad_specs, 0, sizeof(bad_spec) / sizeof(bad_spec[0]));
    tcase_add_test(spec, too_many_cpus);
    tcase_add_test(spec, largest_host);
    tcase_add_checked_fixture(files, make_scratch, remove_scratch);
    tcase_add_test(files, bad_files);
    tcase_add_test(files, recorded_root);
    tcase_add_test(files, recorded_root_odd_files);
    tcase_add_checked_fixture(machine, make_scratch, remove_scratch);
    tcase_add_loop_test(machine, recorded_machines, 0, sizeof(machines) / sizeof(machines[0]));
    tcase_add_checked_fixture(cache, make_scratch, remove_scratch);
    tcase_add_test(cache, this_host);
    tcase_add_test(cache, cache_is_written_and_read);
    tcase_add_test(cache, cache_is_believed);
    tcase_add_loop_test(cache, cache_is_replaced, 0, sizeof(spoiled) / sizeof(spoiled[0]) + 1);
    tcase_add_test(cache, cache_of_a_description);
    tcase_add_test(cache, cache_cannot_be_written);
    suite_add_tcase(suite, spec);
    suite_add_tcase(suite, files);
    if (access(corpus(), R_OK) == 0)
        suite_add_tcase(suite, machine);
    else
        printf("skip recorded_machines: VIRTPIN_CORPUS: no topologies in %s\n", corpus());
    suite_add_tcase(suite, cache);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
