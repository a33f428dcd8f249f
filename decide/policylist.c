/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy.h"
#include "decide/policytext.h"

/* Lists of words and of ranges, and the sizes that ranges may have. */

#define BLANKS " \t"

static bool fault_why(struct vp_fault *fault, const char *why)
{
    snprintf(fault->why, sizeof(fault->why), "%s", why);
    return false;
}

static size_t count_items(const char *text)
{
    size_t count = 0;

    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS)) {
        text += strcspn(text, BLANKS);
        count++;
    }
    return count;
}

/* ---- kinds of items ---- */

bool vp_item_word(char *item, struct vp_fault *fault)
{
    if (!isalnum((unsigned char)item[0]))
        return fault_why(fault, "a name starts with a letter or a digit");
    for (const char *c = item; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.+", *c))
            return fault_why(fault, "a name has letters, digits and - _ . + only");
    return true;
}

bool vp_item_path(char *item, struct vp_fault *fault)
{
    if (item[0] != '/' || item[strcspn(item, BLANKS)] != '\0')
        return fault_why(fault, "it starts with / and has no blank");
    return true;
}

bool vp_item_path_or_none(char *item, struct vp_fault *fault)
{
    return strcmp(item, "none") == 0 || vp_item_path(item, fault);
}

bool vp_item_uri(char *item, struct vp_fault *fault)
{
    if (!isalpha((unsigned char)item[0]) || item[strcspn(item, BLANKS)] != '\0')
        return fault_why(fault, "it starts with a letter and has no blank");
    return true;
}

/* A bracket that nothing closes, or a "key=" inside a list, is far more often
 * a line indented by mistake than a guest's name. */
bool vp_item_glob(char *item, struct vp_fault *fault)
{
    const char *glob = item[0] == '!' ? item + 1 : item;
    const char *open = strchr(glob, '[');
    size_t word = strcspn(glob, "=");

    if (glob[0] == '\0')
        return fault_why(fault, "nothing follows the !");
    if (item[0] == '#' || item[0] == ';')
        return fault_why(fault, "a # or ; there can start a comment, write [#] or [;]");
    if (open && (open == glob || open[-1] != '\\') && !strchr(open + 1, ']'))
        return fault_why(fault, "nothing closes the [, or a section's line is indented");
    if (glob[word] == '=' && (word == 0 || vp_key_known(glob, word)))
        return fault_why(fault, "there is a = in the list: a key's line may be indented");
    return true;
}

bool vp_item_uuid(char *item, struct vp_fault *fault)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (strlen(item) != sizeof(form) - 1)
        return fault_why(fault, "a uuid is 32 hexadecimal digits as 8-4-4-4-12");
    for (size_t i = 0; item[i] != '\0'; i++) {
        if (form[i] == '-' ? item[i] != '-' : !isxdigit((unsigned char)item[i]))
            return fault_why(fault, "a uuid is 32 hexadecimal digits as 8-4-4-4-12");
        item[i] = (char)tolower((unsigned char)item[i]);
    }
    return true;
}

bool vp_item_metadata(char *item, struct vp_fault *fault)
{
    const char *open = item[0] == '!' ? item + 1 : item;
    const char *close = strchr(open, '}');

    if (*open != '{' || !close || close == open + 1)
        return fault_why(fault, "the namespace stands first, in braces");
    if (strcspn(close + 1, "=") == 0)
        return fault_why(fault, "the element's name follows the }");
    return true;
}

/* ---- lists of strings ---- */

/* One block: the pointers, then the words they point at. */
static char **split(const char *text, size_t count)
{
    size_t head = count * sizeof(char *);
    char **item = malloc(head + strlen(text) + 1);
    char *at;

    if (!item)
        return NULL;
    at = (char *)item + head;
    memcpy(at, text, strlen(text) + 1);
    for (size_t i = 0; i < count; i++) {
        at += strspn(at, BLANKS);
        item[i] = at;
        at += strcspn(at, BLANKS);
        if (*at != '\0')
            *at++ = '\0';
    }
    return item;
}

static bool parse_list(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    struct vp_strings *list = field;
    size_t count = count_items(text);
    char **item;

    if (row->use->single && count > 1) {
        fault->not_served = true;
        return false;
    }
    item = split(text, count);
    if (!item)
        return fault_why(fault, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (!row->use->item(item[i], fault)) {
            free(item);
            return false;
        }
    }
    *list = (struct vp_strings){.item = item, .count = count};
    return true;
}

static void print_list(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    const struct vp_strings *list = field;

    (void)row;
    (void)raw;
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            vp_text_putc(out, ' ');
        vp_text_puts(out, list->item[i]);
    }
}

static void release_list(void *field)
{
    struct vp_strings *list = field;

    free(list->item);
    *list = (struct vp_strings){0};
}

const struct vp_value_ops vp_ops_list = {parse_list, print_list, release_list, false};

/* ---- sizes ---- */

static const char units[][4] = {"KiB", "MiB", "GiB", "TiB"};
enum { UNITS = sizeof(units) / sizeof(units[0]) };

static bool read_plain(const char **text, uint64_t *number)
{
    unsigned long long value;

    if (!vp_read_number(text, &value))
        return false;
    *number = value;
    return true;
}

static bool read_size(const char **text, uint64_t *kib)
{
    uint64_t value;

    if (!read_plain(text, &value) || value > UINT64_C(1) << 40)
        return false;
    for (int i = 0; i < UNITS; i++) {
        if (strncmp(*text, units[i], 3) != 0)
            continue;
        *text += 3;
        value <<= 10 * i;
        if (value > UINT64_C(1) << 50)
            return false;
        *kib = value;
        return true;
    }
    return false;
}

static void put_plain(struct vp_text *out, uint64_t number)
{
    vp_text_putu(out, number);
}

static void put_size(struct vp_text *out, uint64_t kib)
{
    int unit = 0;

    while (unit < UNITS - 1 && kib % 1024 == 0 && (kib > 0 || unit < 1)) {
        kib /= 1024;
        unit++;
    }
    vp_text_putu(out, kib);
    vp_text_puts(out, units[unit]);
}

static bool parse_size(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    uint64_t kib;

    (void)row;
    if (!read_size(&text, &kib) || *text != '\0')
        return fault_why(fault, "the units are KiB, MiB, GiB and TiB");
    *(uint64_t *)field = kib;
    return true;
}

static void print_size(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    (void)row;
    (void)raw;
    put_size(out, *(const uint64_t *)field);
}

const struct vp_value_ops vp_ops_size = {parse_size, print_size, NULL, false};

/* ---- ranges ---- */

typedef bool (*read_fn)(const char **text, uint64_t *number);
typedef void (*put_fn)(struct vp_text *out, uint64_t number);

/* N, N-M, N- or -M at *text, which is moved behind it. */
static bool read_range(const char **text, struct vp_range *range, read_fn read)
{
    *range = (struct vp_range){.low = 0, .high = UINT64_MAX};
    if (**text == '-') {
        (*text)++;
        return read(text, &range->high);
    }
    if (!read(text, &range->low))
        return false;
    if (**text != '-') {
        range->high = range->low;
        return true;
    }
    (*text)++;
    if (**text == '\0' || strchr(BLANKS, **text))
        return true;
    return read(text, &range->high) && range->low <= range->high;
}

static bool read_ranges(void *field, const char *text, read_fn read, struct vp_fault *fault)
{
    struct vp_ranges *ranges = field;
    size_t count = count_items(text);
    struct vp_range *item = calloc(count, sizeof(*item));

    if (!item)
        return fault_why(fault, "out of memory");
    for (size_t i = 0; i < count; i++) {
        text += strspn(text, BLANKS);
        if (!read_range(&text, &item[i], read) || (*text != '\0' && !strchr(BLANKS, *text))) {
            free(item);
            return false;
        }
    }
    *ranges = (struct vp_ranges){.item = item, .count = count};
    return true;
}

static void put_ranges(const void *field, struct vp_text *out, put_fn put)
{
    const struct vp_ranges *ranges = field;

    for (size_t i = 0; i < ranges->count; i++) {
        struct vp_range range = ranges->item[i];

        if (i > 0)
            vp_text_putc(out, ' ');
        if (range.low > 0 || range.high == UINT64_MAX || range.high == 0)
            put(out, range.low);
        if (range.high == range.low)
            continue;
        vp_text_putc(out, '-');
        if (range.high != UINT64_MAX)
            put(out, range.high);
    }
}

static void release_ranges(void *field)
{
    struct vp_ranges *ranges = field;

    free(ranges->item);
    *ranges = (struct vp_ranges){0};
}

static bool parse_ranges(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    (void)row;
    return read_ranges(field, text, read_plain, fault);
}

static void print_ranges(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    (void)row;
    (void)raw;
    put_ranges(field, out, put_plain);
}

const struct vp_value_ops vp_ops_ranges = {parse_ranges, print_ranges, release_ranges, false};

static bool parse_size_ranges(const struct vp_key_row *row, void *field, const char *text,
                              struct vp_fault *fault)
{
    (void)row;
    return read_ranges(field, text, read_size, fault);
}

static void print_size_ranges(const struct vp_key_row *row, const void *field, const char *raw,
                              struct vp_text *out)
{
    (void)row;
    (void)raw;
    put_ranges(field, out, put_size);
}

const struct vp_value_ops vp_ops_size_ranges = {parse_size_ranges, print_size_ranges,
                                                release_ranges, false};
