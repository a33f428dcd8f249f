/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a process's pages are, from numa_maps as kernels write it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/guestmemory.h"

static const struct {
    const char *line;
    int node;
    uint64_t kib;
} lines[] = {
    {"7f2a default anon=513 dirty=513 active=0 N0=512 N1=1 kernelpagesize_kB=4", 0, 2048},
    {"7f2a default anon=513 dirty=513 active=0 N0=512 N1=1 kernelpagesize_kB=4", 1, 4},
    {"7f00 bind:1 file=/dev/hugepages/libvirt/qemu/1-a/x huge dirty=4 N1=4 kernelpagesize_kB=2048",
     1, 8192},
    {"7f00 default N3=2", 3, 8}, /* before Linux 3.4 */
    {"7f00 default N127=1 kernelpagesize_kB=64", 127, 64},
    {"7f00 default file=/a/N0=7 mapped=1 N0=1 kernelpagesize_kB=4", 0, 4},
    {"7f00 default", 0, 0},
    {"", 0, 0},
};

START_TEST(adds_lines)
{
    struct vp_memory_nodes nodes = {0};

    vp_memory_add_line(lines[_i].line, &nodes);
    ck_assert_uint_eq(nodes.kib[lines[_i].node], lines[_i].kib);
}
END_TEST

START_TEST(passes_over)
{
    static const char *const odd[] = {"7f00 default N128=5 kernelpagesize_kB=4",
                                      "7f00 default N=5 N1= Nx=3 N1x=2 NN1=4",
                                      "7f00 default N18446744073709551617=5"};
    struct vp_memory_nodes nodes = {0}, none = {0};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        vp_memory_add_line(odd[i], &nodes);
    ck_assert_mem_eq(&nodes, &none, sizeof(none));
}
END_TEST

/* What this process touches is counted, whichever node it comes from. */
START_TEST(reads_a_process)
{
    const size_t size = 64u << 20;
    struct vp_memory_nodes before, after;
    struct vp_error err = {0};
    uint64_t grown = 0;
    char *memory;

    if (vp_memory_read("/proc", getpid(), &before, &err) < 0) {
        ck_assert_int_eq(err.code, VP_GONE); /* a kernel without NUMA */
        return;
    }
    memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(vp_memory_read("/proc", getpid(), &after, &err), 0);
    for (int i = 0; i < VP_NODES_MAX; i++)
        grown += after.kib[i] - before.kib[i];
    ck_assert_uint_ge(grown, (size >> 10) - 1024);
    ck_assert_uint_le(grown, (size >> 10) + 1024);
    munmap(memory, size);
}
END_TEST

START_TEST(process_gone)
{
    struct vp_memory_nodes nodes;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_memory_read("/proc", 0x7fffffff, &nodes, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guestmemory");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(all, adds_lines, 0, sizeof(lines) / sizeof(lines[0]));
    tcase_add_test(all, passes_over);
    tcase_add_test(all, reads_a_process);
    tcase_add_test(all, process_gone);
    suite_add_tcase(suite, all);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
