/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TEST_GOLDENCHECK_H
#define VP_TEST_GOLDENCHECK_H

#include <check.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/domxml.h"
#include "decide/error.h"
#include "tests/unit/rewritecheck.h"

/* Golden pairs: FOLDER/INPUT.xml goes in, a CASE.ok comes out. VIRTPIN_REGENERATE=1 writes the .ok
 * files anew. */

#define GOLDEN "tests/unit/golden/"

/* The caller frees; a file that cannot be read is empty. */
static inline char *golden_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 1 << 16);

    ck_assert_ptr_nonnull(text);
    *length = file ? fread(text, 1, (1 << 16) - 1, file) : 0;
    if (file)
        fclose(file);
    return text;
}

static inline char *golden_input(const char *folder, const char *name, size_t *length)
{
    char path[200];
    char *text;

    snprintf(path, sizeof(path), GOLDEN "%s/%s.xml", folder, name);
    text = golden_read(path, length);
    ck_assert_msg(*length > 0, "%s cannot be read", path);
    return text;
}

static inline xmlDoc *golden_parse(const char *text, size_t length)
{
    struct vp_error err = {0};
    xmlDoc *doc = vp_xml_parse(text, length, &err);

    ck_assert_msg(doc != NULL, "%s", err.text);
    return doc;
}

/* `text` is what golden/NAME.ok holds. */
static inline void golden_compare(const char *name, const char *text)
{
    char path[200];
    char *wanted;
    size_t length;

    snprintf(path, sizeof(path), GOLDEN "%s.ok", name);
    if (getenv("VIRTPIN_REGENERATE")) {
        FILE *file = fopen(path, "w");

        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        fclose(file);
    }
    wanted = golden_read(path, &length);
    ck_assert_msg(strcmp(text, wanted) == 0, "%s:\n%s\nwanted:\n%s", path, text, wanted);
    free(wanted);
}

/* Equal but for what CHECK_ facets name. */
static inline void golden_equal(xmlDoc *a, xmlDoc *b, int facets)
{
    char *left = check_canonical(a, facets), *right = check_canonical(b, facets);

    ck_assert_ptr_nonnull(left);
    ck_assert_ptr_nonnull(right);
    ck_assert_str_eq(left, right);
    xmlFree(left);
    xmlFree(right);
}

#endif
