/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The journal's records, their catalog and their page in the manual tell of the
 * same kinds and fields. */
#include <check.h>
#include <ctype.h>
#include <glob.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/journal.h"

#define CATALOG "systemd/virtpin.catalog"
#define MANUAL "man/virtpind.8"
#define ID_LENGTH 32
#define MOST 64

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1 << 18);
    size_t length;

    ck_assert_msg(file != NULL && text != NULL, "%s", path);
    length = fread(text, 1, (1 << 18) - 1, file);
    ck_assert_msg(length > 0 && length < (1 << 18) - 1, "%s", path);
    fclose(file);
    return text;
}

static bool is_id(const char *text)
{
    return strspn(text, "0123456789abcdef") == ID_LENGTH;
}

/* What follows each PREFIX in the text; how many. */
static int find_ids(const char *text, const char *prefix, char id[MOST][ID_LENGTH + 1])
{
    int count = 0;

    for (const char *at = strstr(text, prefix); at; at = strstr(at, prefix)) {
        at += strlen(prefix);
        if (!is_id(at))
            continue;
        ck_assert_int_lt(count, MOST);
        snprintf(id[count++], ID_LENGTH + 1, "%.32s", at);
    }
    return count;
}

/* The ids of `#define VP_MSG_NAME "ID"`. */
static int ids_of_code(char id[MOST][ID_LENGTH + 1])
{
    char *header = read_file("host/journal.h");
    int count = 0;

    for (char *at = strstr(header, "#define VP_MSG_"); at; at = strstr(at, "#define VP_MSG_")) {
        at = strchr(at, '"') + 1;
        ck_assert_msg(is_id(at) && at[ID_LENGTH] == '"', "no id: %.40s", at);
        snprintf(id[count++], ID_LENGTH + 1, "%.32s", at);
    }
    free(header);
    return count;
}

static bool among(const char *one, char id[MOST][ID_LENGTH + 1], int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(one, id[i]) == 0)
            return true;
    return false;
}

static void assert_same(const char *path, const char *prefix)
{
    static char code[MOST][ID_LENGTH + 1], there[MOST][ID_LENGTH + 1];
    char *text = read_file(path);
    int code_count = ids_of_code(code), count = find_ids(text, prefix, there);

    ck_assert_int_ge(code_count, 16);
    for (int i = 0; i < code_count; i++) {
        ck_assert_msg(among(code[i], there, count), "%s lacks %s", path, code[i]);
        ck_assert_msg(!among(code[i], code, i), "%s is used twice", code[i]);
    }
    for (int i = 0; i < count; i++)
        ck_assert_msg(among(there[i], code, code_count), "%s: nobody sends %s", path, there[i]);
    ck_assert_int_eq(count, code_count);
    free(text);
}

START_TEST(catalog_has_every_kind)
{
    assert_same(CATALOG, "\n-- ");
}
END_TEST

START_TEST(manual_has_every_kind)
{
    assert_same(MANUAL, "\n.TP\n.B ");
}
END_TEST

/* A subject, whose it is, where to read on, and sentences. */
START_TEST(entries_are_whole)
{
    char *text = read_file(CATALOG);

    for (char *at = strstr(text, "\n-- "), *next; at; at = next) {
        char *body;

        next = strstr(at + 1, "\n-- ");
        if (next)
            *next = '\0';
        body = strstr(at, "\n\n");
        ck_assert_msg(strstr(at, "\nSubject: ") && strstr(at, "\nDefined-By: virtpin\n") &&
                          strstr(at, "\nDocumentation: man:"),
                      "%.40s", at);
        ck_assert_msg(body && strlen(body) > 150, "%.40s says too little", at);
        if (next)
            *next = '\n';
    }
    free(text);
}
END_TEST

/* Every word of the text that starts with VIRTPIN_, into name; how many. */
static int find_fields(const char *text, const char *prefix, char name[MOST][40], int count)
{
    for (const char *at = strstr(text, prefix); at; at = strstr(at, prefix)) {
        const char *end = at += strlen(prefix);
        bool known = false;

        while (isupper((unsigned char)*end) || *end == '_')
            end++;
        for (int i = 0; i < count; i++)
            known |= strlen(name[i]) == (size_t)(end - at) &&
                     strncmp(name[i], at, (size_t)(end - at)) == 0;
        if (!known && end > at && count < MOST)
            snprintf(name[count++], 40, "%.*s", (int)(end - at), at);
    }
    return count;
}

static int fields_of_code(char name[MOST][40])
{
    glob_t files = {0};
    int count = 0;

    ck_assert_int_eq(glob("enforcer/*.c", 0, NULL, &files), 0);
    ck_assert_int_eq(glob("hook/worker.c", GLOB_APPEND, NULL, &files), 0);
    ck_assert_int_eq(glob("hook/op_*.c", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char *text = read_file(files.gl_pathv[i]);

        count = find_fields(text, "{\"VIRTPIN_", name, count);
        free(text);
    }
    globfree(&files);
    return count;
}

START_TEST(fields_are_known)
{
    static char code[MOST][40], used[MOST][40];
    char *catalog = read_file(CATALOG), *manual = read_file(MANUAL);
    char *section = strstr(manual, "\n.SH JOURNAL\n");
    int code_count = fields_of_code(code), used_count = find_fields(catalog, "@VIRTPIN_", used, 0);

    ck_assert_int_ge(code_count, 20);
    ck_assert_int_ge(used_count, 5);
    ck_assert_ptr_nonnull(section);
    *strstr(section + 1, "\n.SH ") = '\0';
    for (int i = 0; i < used_count; i++) {
        bool known = false;

        for (int j = 0; j < code_count; j++)
            known |= strcmp(used[i], code[j]) == 0;
        ck_assert_msg(known, "%s: nobody sends VIRTPIN_%s", CATALOG, used[i]);
    }
    for (int i = 0; i < code_count; i++)
        ck_assert_msg(strstr(section, code[i]) != NULL, "%s lacks VIRTPIN_%s", MANUAL, code[i]);
    free(catalog);
    free(manual);
}
END_TEST

/* A record without a MESSAGE_ID is one that nobody can look up. */
START_TEST(every_record_has_a_kind)
{
    glob_t files = {0};
    regex_t without;

    ck_assert_int_eq(regcomp(&without, "vp_journal\\([^,;]*,[[:space:]]*NULL", REG_EXTENDED), 0);
    ck_assert_int_eq(glob("enforcer/*.c", 0, NULL, &files), 0);
    ck_assert_int_eq(glob("hook/*.c", GLOB_APPEND, NULL, &files), 0);
    ck_assert_int_eq(glob("host/*.c", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char *text = read_file(files.gl_pathv[i]);
        regmatch_t at = {0};
        bool found = regexec(&without, text, 1, &at, 0) == 0;

        ck_assert_msg(!found, "%s: %.60s", files.gl_pathv[i], text + (found ? at.rm_so : 0));
        free(text);
    }
    regfree(&without);
    globfree(&files);
}
END_TEST

/* systemd's own compiler takes it. */
START_TEST(systemd_takes_it)
{
    if (system("command -v journalctl >/dev/null") != 0)
        return;
    ck_assert_int_eq(
        system("d=$(mktemp -d) && mkdir -p $d/usr/lib/systemd/catalog $d/var/lib/systemd/catalog &&"
               " cp " CATALOG " $d/usr/lib/systemd/catalog/ &&"
               " journalctl --root=$d --update-catalog &&"
               " journalctl --root=$d --dump-catalog " VP_MSG_DRIFT
               " | grep -q 'Defined-By: virtpin'"
               "; status=$?; rm -rf $d; exit $status"),
        0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("catalog");
    TCase *tcase = tcase_create("catalog");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, catalog_has_every_kind);
    tcase_add_test(tcase, manual_has_every_kind);
    tcase_add_test(tcase, entries_are_whole);
    tcase_add_test(tcase, fields_are_known);
    tcase_add_test(tcase, every_record_has_a_kind);
    tcase_add_test(tcase, systemd_takes_it);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
