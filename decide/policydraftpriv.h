/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_POLICYDRAFTPRIV_H
#define VP_POLICYDRAFTPRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "decide/policykeys.h"

/* What policydraft.c collects and policybuild.c makes a set of. */

struct draft_value {
    char *text;
    const char *file;
    int line;
};

enum draft_kind { DRAFT_SKIP, DRAFT_POLICY, DRAFT_HOST, DRAFT_POOL, DRAFT_KINDS };

struct draft_section {
    enum draft_kind kind;
    char *name; /* policy's or pool's name or host's globs, NULL for plain [host] */
    struct vp_strings globs;
    const char *file;
    int line;
    bool duplicate; /* of a policy that stands elsewhere: checked, not used */
    bool used_as_base;
    bool unsound; /* its base is missing, in a circle or too deep */
    struct draft_section *base;
    struct draft_value *own[VP_KEYS_MAX]; /* by row within the section's rows */
};

struct draft_chunk;
struct vp_policy_set;

struct vp_draft {
    struct draft_section **section;
    size_t count, room;
    struct draft_section *open; /* NULL before the first section */
    struct draft_section skipped;
    struct vp_strings files; /* in order of appearance */
    size_t errors;
    bool failed;                             /* out of memory */
    bool known;                              /* its text: it need not be printed */
    void (*hash)(struct vp_policy_set *set); /* NULL: the set's hash stays empty */
    bool too_many;                           /* sections, and it was said */
    struct draft_chunk *chunks;
    const struct vp_key_row *rows[DRAFT_KINDS];
    unsigned row_count[DRAFT_KINDS];
    uint8_t index[512]; /* hash of a key's name -> number of its row + 1 */
};

/* The row of a served or unserved key, NULL if there is none of that name. */
const struct vp_key_row *draft_find_row(const struct vp_draft *draft, enum draft_kind kind,
                                        const char *key);

/* Adds a finding about `at`, whose text is the format's; an error counts. */
void draft_report(struct vp_draft *draft, struct vp_findings *findings, const struct vp_finding *at,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The file's name without its directories, as findings show it. */
const char *draft_base_name(const char *file);

/* The draft's policies by name (policybases.c). */
struct draft_names {
    struct vp_draft *draft;
    struct vp_findings *findings;
    struct draft_section **item; /* without duplicates; owned */
    size_t count;
    ptrdiff_t base_slot; /* of the key `base` in a section's values */
};

/* Fills item and count; a name that stands twice is reported, its second
 * section marked. False without memory. */
bool draft_collect_names(struct draft_names *names);

/* Links every section to its base. What is wrong is reported and its link cut,
 * so that no chain is endless and the rest can be checked all the same. */
void draft_resolve_bases(struct draft_names *names);

/* Checks a finished policy against itself (policycheck.c). */
void draft_check_policy(struct vp_draft *draft, const struct draft_section *section,
                        const struct vp_policy *policy, struct vp_findings *findings);
/* Pools against each other and against [host] (policypool.c). */
void draft_check_pools(struct vp_draft *draft, const struct vp_host_conf *host,
                       struct vp_findings *findings);
/* Reads the draft's pools into host->pool, by name; bad values and pools that
 * stand twice are reported. False without memory. */
bool draft_build_pools(struct vp_draft *draft, struct vp_host_conf *host,
                       struct vp_findings *findings);
/* The section of a pool by its name. */
const struct draft_section *draft_pool(const struct vp_draft *draft, const char *name);
/* What a section is called in findings: a policy's or pool's name, "host". */
char *draft_subject(const struct draft_section *section);
void draft_report_value(struct vp_draft *draft, const struct draft_section *section,
                        const struct vp_key_row *row, const struct draft_value *value,
                        const struct vp_fault *fault, struct vp_findings *findings);
void draft_check_host(struct vp_draft *draft, const struct vp_host_conf *host,
                      struct vp_findings *findings);

#endif
