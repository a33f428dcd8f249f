/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "decide/policykeys.h"
#include "decide/policytext.h"
#include "host/confread.h"

/* Golden pairs: NAME.in is read, findings and the normalised text are
 * compared with NAME.ok. VIRTPIN_REGENERATE=1 writes the .ok files: read the
 * difference before committing it. */

#define GOLDEN "tests/unit/golden/policy"
#define NODENAME "h1-rt-2.example.net"

static char *golden[128];
static int golden_count;

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = calloc(1, 1 << 20);

    if (!file) {
        free(bytes);
        return NULL;
    }
    *size = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    return bytes;
}

static int read_set(const char *name, const char *text, size_t size, struct vp_policy_set **set,
                    struct vp_findings *findings)
{
    struct vp_draft *draft = vp_draft_new();
    int result;

    vp_conf_read_text(draft, name, text, size, findings);
    result = vp_draft_finish(draft, NODENAME, set, findings);
    vp_draft_free(draft);
    if (result == 0)
        vp_policy_warn_ties(*set, findings);
    vp_findings_sort(findings);
    return result;
}

static struct vp_policy_set *good_set(const char *text)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *set;
    char line[2048];

    if (read_set("x.conf", text, strlen(text), &set, &findings) < 0)
        ck_abort_msg("%s", vp_finding_line(&findings.item[0], line, sizeof(line)));
    vp_findings_clear(&findings);
    return set;
}

/* The text parses again to itself, hash included, without an error. */
static void check_round_trip(const struct vp_policy_set *set)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *again;
    char line[2048];

    if (read_set("again", set->text, strlen(set->text), &again, &findings) < 0)
        ck_abort_msg("%s\n%s", vp_finding_line(&findings.item[0], line, sizeof(line)), set->text);
    ck_assert_str_eq(again->text, set->text);
    ck_assert_str_eq(again->hash, set->hash);
    ck_assert_uint_eq(again->count, set->count);
    for (const char *at = set->text; *at != '\0'; at += strcspn(at, "\n") + 1)
        ck_assert_uint_le(strcspn(at, "\n"), VP_LINE_MAX);
    vp_policy_set_free(again);
    vp_findings_clear(&findings);
}

static void put_findings(struct vp_text *out, const struct vp_findings *findings)
{
    char line[2048];

    for (size_t i = 0; i < findings->count; i++) {
        const struct vp_finding *finding = &findings->item[i];

        vp_text_puts(out, finding->grade == VP_ERROR ? "error " : "warning ");
        vp_text_puts(out, vp_finding_line(finding, line, sizeof(line)));
        vp_text_putc(out, '\n');
        ck_assert_msg(finding->grade != VP_ERROR || finding->file != NULL, "%s", line);
    }
}

static void compare(const char *path, const char *got)
{
    size_t size;
    char *wanted;

    if (getenv("VIRTPIN_REGENERATE")) {
        FILE *file = fopen(path, "wb");

        ck_assert_ptr_nonnull(file);
        fputs(got, file);
        fclose(file);
        return;
    }
    wanted = read_file(path, &size);
    ck_assert_msg(wanted != NULL, "%s is missing: write it with VIRTPIN_REGENERATE=1", path);
    for (size_t line = 1, at = 0;; line++) {
        size_t got_length = strcspn(got + at, "\n"), wanted_length = strcspn(wanted + at, "\n");

        ck_assert_msg(got_length == wanted_length && memcmp(got + at, wanted + at, got_length) == 0,
                      "%s:%zu: wanted \"%.*s\", got \"%.*s\"", path, line, (int)wanted_length,
                      wanted + at, (int)got_length, got + at);
        at += got_length;
        if (got[at] == '\0' || wanted[at] == '\0')
            break;
        at++;
    }
    ck_assert_uint_eq(strlen(got), strlen(wanted));
    free(wanted);
}

START_TEST(golden_pair)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *set = NULL;
    struct vp_text out = {0};
    char path[512], *text;
    size_t size;

    snprintf(path, sizeof(path), GOLDEN "/%s", golden[_i]);
    text = read_file(path, &size);
    ck_assert_ptr_nonnull(text);
    read_set(golden[_i], text, size, &set, &findings);
    put_findings(&out, &findings);
    if (set) {
        vp_text_puts(&out, "--\n");
        vp_text_puts(&out, set->text);
        check_round_trip(set);
    }
    ck_assert_int_eq(set == NULL, strncmp(golden[_i], "bad-", 4) == 0);
    snprintf(path + strlen(path) - 2, 3, "ok");
    compare(path, out.bytes);
    vp_text_free(&out);
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    free(text);
}
END_TEST

START_TEST(bases_give_and_keep)
{
    struct vp_policy_set *set = good_set("[policy top]\nmode = enforce\npriority = 5\n"
                                         "placement = dedicated\nmatch-name = t*\nnuma = single\n"
                                         "[policy sub]\nbase = top\nmatch-name = s*\n"
                                         "numa = default\n");
    const struct vp_policy *sub = vp_policy_find(set, "sub");

    ck_assert_ptr_nonnull(sub);
    ck_assert_int_eq(sub->mode, VP_MODE_ENFORCE);
    ck_assert_int_eq(sub->placement, VP_PLACE_DEDICATED);
    ck_assert_int_eq(sub->numa, VP_NUMA_FEWEST);
    ck_assert_int_eq(sub->priority, 0);
    ck_assert_uint_eq(sub->match_name.count, 1);
    ck_assert_str_eq(sub->match_name.item[0], "s*");
    ck_assert_str_eq(sub->base, "top");
    ck_assert_int_eq(sub->line, 7);
    ck_assert_str_eq(sub->file, "x.conf");
    ck_assert_ptr_null(vp_policy_find(set, "tops"));
    vp_policy_set_free(set);
}
END_TEST

START_TEST(vcpupin_pairs)
{
    struct vp_policy_set *set = good_set("[policy a]\nmatch-name = a\nplacement = fixed\n"
                                         "vcpupin = 0-2:8-10 3-4:1,3 5,6:4-5 7-8:0-3\n");
    const struct vp_policy *a = vp_policy_find(set, "a");
    static const char *const wanted[][2] = {{"0", "8"},     {"1", "9"},     {"2", "10"},
                                            {"3-4", "1,3"}, {"5-6", "4-5"}, {"7-8", "0-3"}};

    ck_assert_uint_eq(a->vcpupin_count, 6);
    for (size_t i = 0; i < 6; i++) {
        char *vcpus = vp_cpuset_format(&a->vcpupin[i].vcpus);
        char *cpus = vp_cpuset_format(&a->vcpupin[i].cpus);

        ck_assert_str_eq(vcpus, wanted[i][0]);
        ck_assert_str_eq(cpus, wanted[i][1]);
        free(vcpus);
        free(cpus);
    }
    check_round_trip(set);
    vp_policy_set_free(set);
}
END_TEST

START_TEST(host_sections_merge)
{
    struct vp_policy_set *set =
        good_set("[host h1-*]\nhook-limit = 3s\nreserved = 1\n[host]\nhook-limit = 4s\n"
                 "reserved-memory = 2GiB\ndedicated = all\ncontested = 7/90s\n"
                 "[host *.example.net]\nreserved = 2-3\n[host web]\nreserved = 9\n");
    char list[64];

    vp_cpuset_print(&set->host.reserved, list, sizeof(list));
    ck_assert_str_eq(list, "2-3");
    ck_assert_uint_eq(set->host.hook_limit_ms, 3000);
    ck_assert_uint_eq(set->host.reserved_memory_kib, 2097152);
    ck_assert_int_eq(set->host.dedicated.kind, VP_CPUS_ALL);
    ck_assert_int_eq(set->host.shared.kind, VP_CPUS_AUTO);
    ck_assert_uint_eq(set->host.contested_count, 7);
    ck_assert_uint_eq(set->host.contested_ms, 90000);
    ck_assert_uint_eq(set->host.repair_count, 1000);
    ck_assert_uint_eq(set->host.repair_ms, 1000);
    ck_assert(!set->host.isolated_avoid);
    ck_assert(set->host.tell_libvirt);
    ck_assert_str_eq(set->host.run_dir, "/run/virtpin");
    vp_policy_set_free(set);
}
END_TEST

START_TEST(defaults_are_an_empty_text)
{
    struct vp_policy_set *set = vp_policy_set_defaults();

    ck_assert_ptr_nonnull(set);
    ck_assert_uint_eq(set->count, 0);
    ck_assert_str_eq(set->text, "");
    ck_assert_str_eq(set->hash,
                     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_eq(set->host.uri, "qemu:///system");
    ck_assert_uint_eq(set->host.hook_limit_ms, 2000);
    ck_assert_uint_eq(set->host.sweep_ms, VP_SWEEP_AUTO);
    ck_assert_int_eq(set->host.on_error, VP_VERDICT_ALLOW);
    ck_assert_ptr_null(vp_policy_find(set, "x"));
    vp_policy_set_free(set);
    vp_policy_set_free(NULL);
}
END_TEST

START_TEST(policy_defaults)
{
    struct vp_policy_set *set = good_set("[policy a]\nmatch-name = a\n");
    const struct vp_policy *a = vp_policy_find(set, "a");

    ck_assert_int_eq(a->mode, VP_MODE_AUDIT);
    ck_assert_uint_eq(a->rollout, 100);
    ck_assert_int_eq(a->placement, VP_PLACE_NONE);
    ck_assert_int_eq(a->emulator.where, VP_WHERE_SHARED);
    ck_assert_int_eq(a->iothreads.where, VP_WHERE_WITH_EMULATOR);
    ck_assert_int_eq(a->on_start, VP_VERDICT_ALLOW);
    ck_assert_int_eq(a->on_no_room, VP_VERDICT_REFUSE);
    ck_assert_int_eq(a->on_migrate, VP_VERDICT_ALLOW);
    ck_assert_int_eq(a->on_error, VP_VERDICT_UNSET);
    ck_assert_uint_eq(a->topology.sockets, 0);
    ck_assert_ptr_null(a->base);
    vp_policy_set_free(set);
}
END_TEST

/* The enums and their words come from two places. */
START_TEST(words_agree)
{
    struct vp_policy_set *set =
        good_set("[policy a]\nmatch-name = a\nmode = off\ncpu-mode = host-model\n"
                 "placement = dedicated\nthread-policy = isolate\nnuma = any\n");
    const struct vp_policy *a = vp_policy_find(set, "a");

    ck_assert_str_eq(vp_mode_word(a->mode), "off");
    ck_assert_str_eq(vp_cpu_mode_word(a->cpu_mode), "host-model");
    ck_assert_str_eq(vp_placement_word(a->placement), "dedicated");
    ck_assert_str_eq(vp_thread_policy_word(a->thread_policy), "isolate");
    ck_assert_str_eq(vp_numa_word(a->numa), "any");
    vp_policy_set_free(set);
}
END_TEST

START_TEST(findings_have_their_parts)
{
    static const char text[] = "[policy database]\nmatch-name = db-*\nnuma = singel\n";
    struct vp_findings findings = {0};
    struct vp_policy_set *set;

    ck_assert_int_eq(read_set("/etc/virtpin/policy.d/db.conf", text, strlen(text), &set, &findings),
                     -1);
    ck_assert_ptr_null(set);
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_uint_eq(vp_findings_errors(&findings), 1);
    ck_assert_str_eq(findings.item[0].file, "db.conf");
    ck_assert_int_eq(findings.item[0].line, 3);
    ck_assert_str_eq(findings.item[0].policy, "database");
    ck_assert_str_eq(findings.item[0].key, "numa");
    ck_assert_str_eq(findings.item[0].found, "singel");
    ck_assert_str_eq(findings.item[0].legal, "fewest, single, any, spread");
    vp_findings_clear(&findings);
    ck_assert_uint_eq(findings.count, 0);
}
END_TEST

/* Each row's own words and default must be what its reader takes. */
START_TEST(rows_are_consistent)
{
    unsigned count, served = 0;
    const struct vp_key_row *rows = vp_key_rows(&count);

    for (unsigned i = 0; i < count; i++) {
        unsigned of_section;

        ck_assert_msg(rows[i].served == (rows[i].use != NULL), "%s", rows[i].name);
        ck_assert_uint_gt(strlen(rows[i].meaning), 0);
        ck_assert_ptr_nonnull(vp_keys_of(rows[i].section, &of_section));
        ck_assert_uint_le(of_section, VP_KEYS_MAX);
        if (rows[i].served) {
            char near[256];

            served++;
            vp_key_nearest(rows[i].section, rows[i].name, near, sizeof(near));
            ck_assert_str_eq(near, rows[i].name);
        }
    }
    ck_assert_uint_eq(count, 89);
    ck_assert_uint_ge(served, 65);
}
END_TEST

START_TEST(huge_input_ends)
{
    struct vp_text text = {0};
    struct vp_findings findings = {0};
    struct vp_policy_set *set;

    for (unsigned i = 0; i < 20000; i++) {
        vp_text_puts(&text, "[policy p");
        vp_text_putu(&text, i);
        vp_text_puts(&text, "]\n");
    }
    ck_assert_int_eq(read_set("x", text.bytes, text.length, &set, &findings), -1);
    ck_assert_ptr_null(set);
    ck_assert_uint_eq(vp_findings_errors(&findings), 1);
    vp_findings_clear(&findings);
    vp_text_free(&text);
}
END_TEST

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_golden(void)
{
    DIR *dir = opendir(GOLDEN);
    struct dirent *entry;

    while (dir && golden_count < 128 && (entry = readdir(dir))) {
        const char *dot = strrchr(entry->d_name, '.');

        if (dot && strcmp(dot, ".in") == 0)
            golden[golden_count++] = strdup(entry->d_name);
    }
    if (dir)
        closedir(dir);
    qsort(golden, (size_t)golden_count, sizeof(golden[0]), by_text);
}

int main(void)
{
    Suite *suite = suite_create("policy");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    list_golden();
    suite_add_tcase(suite, core);
    tcase_add_loop_test(core, golden_pair, 0, golden_count > 0 ? golden_count : 1);
    tcase_add_test(core, bases_give_and_keep);
    tcase_add_test(core, vcpupin_pairs);
    tcase_add_test(core, host_sections_merge);
    tcase_add_test(core, defaults_are_an_empty_text);
    tcase_add_test(core, policy_defaults);
    tcase_add_test(core, words_agree);
    tcase_add_test(core, findings_have_their_parts);
    tcase_add_test(core, rows_are_consistent);
    tcase_add_test(core, huge_input_ends);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    while (golden_count > 0)
        free(golden[--golden_count]);
    return failed == 0 ? 0 : 1;
}
