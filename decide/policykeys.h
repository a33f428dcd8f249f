/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_POLICYKEYS_H
#define VP_POLICYKEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/policydraft.h"

struct vp_text;

/* The one table of keys: how each is read, printed, listed and explained. */

/* Why a value was not taken, beyond "this is not legal". */
struct vp_fault {
    bool not_served; /* POLICY has it, this version does not */
    char why[200];   /* "" or a clause without a full stop */
};

/* One kind of value. `field` is where the row's use puts it. */
struct vp_value_ops {
    /* Reads text (trimmed, not empty) into *field, which holds the default or
     * zeros. False: *field is unchanged, *fault may say more. Running out of
     * memory is a fault too. */
    bool (*parse)(const struct vp_key_row *row, void *field, const char *text,
                  struct vp_fault *fault);
    /* Prints what parse reads back to the same; raw is the text it was read
     * from, or NULL. */
    void (*print)(const struct vp_key_row *row, const void *field, const char *raw,
                  struct vp_text *out);
    void (*release)(void *field); /* NULL: nothing to free */
    bool alternatives;            /* row.legal is a list of words, one of which is to be chosen */
};

struct vp_key_use {
    const struct vp_value_ops *ops;
    size_t offset;     /* of the field, in struct vp_policy, vp_host_conf or vp_pool_conf */
    long long low;     /* least number; for words, the value of the first */
    long long high;    /* greatest number */
    bool own;          /* never inherited from a base */
    const char *later; /* words that are POLICY's but not served, NULL if none */
    bool (*item)(char *item, struct vp_fault *fault); /* of a list: checks, may fold case */
    bool single; /* of a list: more than one item is not served */
};

/* Numbers of rows stay below this in each section, so that drafts can keep an
 * array of values by row. */
#define VP_KEYS_MAX 72

/* The rows of "policy", "host" or "pool"; *count is set. */
const struct vp_key_row *vp_keys_of(const char *section, unsigned *count);

/* "a, b, c" for alternatives, the row's own phrase for others, into buf. */
const char *vp_key_legal(const struct vp_key_row *row, char *buf, size_t size);

/* The names of the rows nearest to `word`, as "a, b"; "" if none is near. */
const char *vp_key_nearest(const char *section, const char *word, char *buf, size_t size);

/* Levenshtein's distance regardless of case; UINT_MAX for words of 64 bytes or more. */
unsigned vp_word_distance(const char *a, const char *b);

/* True if `word` (of `length` bytes) is a key of any section. */
bool vp_key_known(const char *word, size_t length);

/* The kinds. */
extern const struct vp_value_ops vp_ops_word, vp_ops_yes_no, vp_ops_number, vp_ops_percent;
extern const struct vp_value_ops vp_ops_size, vp_ops_time, vp_ops_sweep, vp_ops_rate;
extern const struct vp_value_ops vp_ops_string, vp_ops_list, vp_ops_ranges, vp_ops_size_ranges;
extern const struct vp_value_ops vp_ops_topology, vp_ops_vcpupin, vp_ops_where;
extern const struct vp_value_ops vp_ops_cpuset, vp_ops_cpus_choice, vp_ops_vcpus;
extern const struct vp_value_ops vp_ops_keep_number; /* 0 for `keep` */
extern const struct vp_value_ops vp_ops_keep_auto;   /* and VP_GUEST_NUMA_AUTO for `auto` */
extern const struct vp_value_ops vp_ops_names;       /* a list without repetition */
extern const struct vp_value_ops vp_ops_maxphysaddr, vp_ops_quota, vp_ops_scheduler;
extern const struct vp_value_ops vp_ops_pool, vp_ops_pool_cpus;

/* The kinds of list items and of vp_ops_string. */
bool vp_item_glob(char *item, struct vp_fault *fault);
bool vp_item_uuid(char *item, struct vp_fault *fault);
bool vp_item_metadata(char *item, struct vp_fault *fault);
bool vp_item_word(char *item, struct vp_fault *fault);    /* letters, digits and -_.+ */
bool vp_item_feature(char *item, struct vp_fault *fault); /* a sign and a name */
bool vp_item_path(char *item, struct vp_fault *fault);
bool vp_item_path_or_none(char *item, struct vp_fault *fault); /* or the word none */
bool vp_item_uri(char *item, struct vp_fault *fault);

/* Shared by the kinds: a number at *text, which is moved behind it. False if
 * the first character is no digit or the number exceeds 2^62. */
bool vp_read_number(const char **text, unsigned long long *number);

/* Which word of the blank-separated list `words` is `text`; -1 if none. */
int vp_word_index(const char *words, const char *text);

/* The word of that index; *length is set. NULL beyond the last. */
const char *vp_word_at(const char *words, int index, size_t *length);

#endif
