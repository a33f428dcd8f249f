/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "decide/policykeys.h"
#include "decide/policytext.h"
#include "host/confread.h"
#include "packaging/mantable.h"

/* The manual pages of section 5 and conf/virtpin.conf against the program: tables of
 * keys, examples, defaults. VIRTPIN_REGENERATE=1 writes the tables anew. */

static const char *const tabled[] = {"man/virtpin.conf.5", "man/virtpin-policy.5"};
#define TABLED ((int)(sizeof(tabled) / sizeof(tabled[0])))

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *bytes = calloc(1, 1 << 18);

    ck_assert_msg(file != NULL, "%s cannot be read", path);
    ck_assert_uint_lt(fread(bytes, 1, (1 << 18) - 1, file), (1 << 18) - 1);
    fclose(file);
    return bytes;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(tables_are_the_programs)
{
    char *page = read_file(tabled[_i]);
    struct vp_text fresh = {0};

    ck_assert(vp_man_fill(page, &fresh));
    if (getenv("VIRTPIN_REGENERATE"))
        write_file(tabled[_i], fresh.bytes);
    else
        ck_assert_msg(strcmp(page, fresh.bytes) == 0,
                      "%s: its keys are not those of this version: run `make manual` and read the "
                      "difference",
                      tabled[_i]);
    vp_text_free(&fresh);
    free(page);
}
END_TEST

START_TEST(bad_tables_are_refused)
{
    static const char *const bad[] = {
        "",
        "no table\n",
        ".\\\" keys of policy\nnot closed\n",
        ".\\\" keys of guests\n.\\\" end of keys\n",
        ".\\\" keys of pools\n.\\\" end of keys\n",
        ".\\\" keys of policy",
    };
    struct vp_text out = {0};

    ck_assert(!vp_man_fill(bad[_i], &out));
    vp_text_free(&out);
}
END_TEST

/* Lines that are short enough for mandoc -T lint, and none that roff would take
 * for a request of its own. */
START_TEST(tables_are_sound_roff)
{
    struct vp_text out = {0};

    ck_assert(vp_man_fill(".\\\" keys of policy\n.\\\" end of keys\n"
                          ".\\\" keys of host\n.\\\" end of keys\n",
                          &out));
    for (const char *at = out.bytes; *at != '\0'; at += strcspn(at, "\n") + 1) {
        static const char *const requests[] = {".\\\"", ".TP\n", ".B ", ".br\n", ".SS ", NULL};
        const char *const *known = requests;

        ck_assert_uint_le(strcspn(at, "\n"), 80);
        if (*at != '.' && *at != '\'')
            continue;
        while (*known && strncmp(at, *known, strlen(*known)) != 0)
            known++;
        ck_assert_msg(*known != NULL, "%.*s", (int)strcspn(at, "\n"), at);
    }
    vp_text_free(&out);
}
END_TEST

/* ---- examples ---- */

/* What a reader sees of a line of roff without macros. */
static void put_unescaped(struct vp_text *out, const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (line[i] != '\\') {
            vp_text_putc(out, line[i]);
            continue;
        }
        ck_assert_msg(i + 1 < length && strchr("-e&", line[i + 1]), "escape in %.*s", (int)length,
                      line);
        i++;
        if (line[i] != '&')
            vp_text_putc(out, line[i] == 'e' ? '\\' : line[i]);
    }
    vp_text_putc(out, '\n');
}

/* The text between .EX and .EE at or after *at, which is moved behind it. */
static bool next_example(const char **at, struct vp_text *example)
{
    const char *start = strstr(*at, "\n.EX\n");
    const char *end = start ? strstr(start, "\n.EE\n") : NULL;

    vp_text_reset(example);
    if (!start)
        return false;
    ck_assert_ptr_nonnull(end);
    for (start += 5; start < end; start += strcspn(start, "\n") + 1)
        put_unescaped(example, start, strcspn(start, "\n"));
    *at = end;
    return true;
}

static void expect_policies(const char *path, const char *text)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_policy_set *set = NULL;
    char line[2048];

    vp_conf_read_text(draft, path, text, strlen(text), &findings);
    vp_draft_finish(draft, "h1.example.net", &set, &findings);
    /* That host-passthrough binds guests to like hosts is said of good policies, too. */
    for (size_t i = 0; i < findings.count; i++)
        if (findings.item[i].grade == VP_ERROR || strcmp(findings.item[i].key, "cpu-mode") != 0)
            ck_abort_msg("%s\n%s", vp_finding_line(&findings.item[i], line, sizeof(line)), text);
    ck_assert_ptr_nonnull(set);
    vp_policy_set_free(set);
    vp_draft_free(draft);
    vp_findings_clear(&findings);
}

/* A <metadata> that names a policy, in a domain around it. */
static void expect_metadata(const char *text)
{
    struct vp_domain *domain = NULL;
    struct vp_error err = {0};
    char xml[2048];

    snprintf(xml, sizeof(xml),
             "<domain type='kvm'><name>a</name>"
             "<uuid>11111111-2222-3333-4444-555555555555</uuid>%s<memory>1048576</memory>"
             "<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>",
             text);
    ck_assert_msg(vp_domain_parse(xml, strlen(xml), &domain, &err) == 0, "%s", err.text);
    ck_assert_str_eq(domain->named_policy, "database");
    vp_domain_free(domain);
}

START_TEST(examples_are_taken)
{
    char *page = read_file(tabled[_i]);
    const char *at = page;
    struct vp_text example = {0};
    unsigned count = 0;

    for (; next_example(&at, &example); count++) {
        if (example.bytes[0] == '<')
            expect_metadata(example.bytes);
        else
            expect_policies(tabled[_i], example.bytes);
    }
    ck_assert_uint_ge(count, 3);
    vp_text_free(&example);
    free(page);
}
END_TEST

/* What the prose says in bold as KEY = VALUE, e.g. `.B "mode = off"`, is legal. */
static void expect_setting(const char *path, const char *setting, size_t length)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_text text = {0};
    char line[2048];

    put_unescaped(&text, setting, length);
    vp_draft_section(draft, path, 1, "policy a", &findings);
    *strstr(text.bytes, " = ") = '\0';
    text.bytes[text.length - 1] = '\0';
    vp_draft_key(draft, path, 2, text.bytes, text.bytes + strlen(text.bytes) + 3, &findings);
    if (findings.count > 0)
        ck_abort_msg("%s", vp_finding_line(&findings.item[0], line, sizeof(line)));
    vp_text_free(&text);
    vp_findings_clear(&findings);
    vp_draft_free(draft);
}

static unsigned expect_settings(const char *path, const char *page)
{
    unsigned count = 0;

    for (const char *at = page; *at != '\0'; at += strcspn(at, "\n") + 1) {
        size_t length = strcspn(at, "\n");
        const char *equals = memmem(at, length, " = ", 3);
        const char *start = at;

        if (!equals || *at != '.' || strncmp(at, ".IR", 3) == 0)
            continue;
        start += strcspn(start, " ") + 1;
        if (*start == '"') {
            start++;
            length = strcspn(start, "\"");
        } else {
            length = strcspn(start, "\n");
        }
        expect_setting(path, start, length);
        count++;
    }
    return count;
}

/* In all pages, so that none names a word which this version has not. */
START_TEST(settings_in_prose_are_legal)
{
    DIR *dir = opendir("man");
    const struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        char path[512];
        char *page;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "man/%s", entry->d_name);
        page = read_file(path);
        count += expect_settings(path, page);
        free(page);
    }
    closedir(dir);
    ck_assert_uint_ge(count, 5);
}
END_TEST

/* ---- conf/virtpin.conf ---- */

/* Every [host] key that is served stands there commented out with its default. */
START_TEST(sample_has_the_defaults)
{
    char *sample = read_file("conf/virtpin.conf");
    unsigned count;
    const struct vp_key_row *row = vp_keys_of("host", &count);

    for (unsigned i = 0; i < count; i++) {
        char line[256];

        if (!row[i].served)
            continue;
        snprintf(line, sizeof(line), "\n#%s = %s\n", row[i].name, row[i].fallback);
        ck_assert_msg(strstr(sample, line) != NULL, "conf/virtpin.conf lacks%s", line);
    }
    free(sample);
}
END_TEST

/* With and without its comment marks it is sound. */
START_TEST(sample_is_taken)
{
    char *sample = read_file("conf/virtpin.conf");
    char *second = strstr(sample, "\n#[host ");

    expect_policies("conf/virtpin.conf", sample);
    ck_assert_ptr_nonnull(second);
    for (char *at = strstr(sample, "\n[host]\n"); (at = strstr(at, "\n#")); at++)
        if (at[2] != ' ' && at[2] != '\n')
            at[1] = ' ';
    for (char *at = strstr(sample, "\n[host]\n"); (at = strstr(at, "\n ")); at++)
        memmove(at + 1, at + 2, strlen(at + 2) + 1);
    expect_policies("conf/virtpin.conf", sample);
    free(sample);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("manual");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, core);
    tcase_add_loop_test(core, tables_are_the_programs, 0, TABLED);
    tcase_add_loop_test(core, bad_tables_are_refused, 0, 6);
    tcase_add_test(core, tables_are_sound_roff);
    tcase_add_loop_test(core, examples_are_taken, 0, TABLED);
    tcase_add_test(core, settings_in_prose_are_legal);
    tcase_add_test(core, sample_has_the_defaults);
    tcase_add_test(core, sample_is_taken);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
