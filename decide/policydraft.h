/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_POLICYDRAFT_H
#define VP_POLICYDRAFT_H

#include <stdbool.h>

struct vp_error;
struct vp_findings;
struct vp_policy_set;

/* Collects sections and keys as a reader finds them, then checks all and
 * makes a policy set, or none: a set is taken whole or not at all. */
struct vp_draft;

struct vp_draft *vp_draft_new(void); /* NULL without memory */
/* For what was printed from a set of this version: it is not printed again, and
 * the set has neither text nor hash until the caller gives it both. */
struct vp_draft *vp_draft_new_known(void);
void vp_draft_free(struct vp_draft *draft);
static inline void vp_draft_cleanup(struct vp_draft **draft)
{
    vp_draft_free(*draft);
}

/* Notes a file among those that the set is made of, even if it is empty. */
void vp_draft_file(struct vp_draft *draft, const char *file);

/* A section header as written, without brackets: "policy NAME", "host",
 * "host GLOB", "pool NAME". Errors become findings with file and line. NULL:
 * the reader has reported the header, keys are passed over until the next. */
void vp_draft_section(struct vp_draft *draft, const char *file, int line, const char *section,
                      struct vp_findings *findings);

/* A key of the section opened last; the value is already joined from its
 * continuation lines. Strings are copied. */
void vp_draft_key(struct vp_draft *draft, const char *file, int line, const char *key,
                  const char *value, struct vp_findings *findings);

/* An error that the reader itself found; no set comes of the draft then, even
 * if there was no memory for the finding. */
void vp_draft_error(struct vp_draft *draft, const char *file, int line,
                    struct vp_findings *findings, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The run-dir that the draft states so far for host `nodename`, the default
 * where none is or it is bad: a broken set is still looked for there. The
 * draft owns the string. */
const char *vp_draft_run_dir(const struct vp_draft *draft, const char *nodename);

/* Resolves bases and the [host] sections of `nodename`, checks everything,
 * fills *set (the caller frees) and returns 0; with any error-grade finding
 * *set is NULL and -1 is returned. Warnings alone do not fail. */
int vp_draft_finish(struct vp_draft *draft, const char *nodename, struct vp_policy_set **set,
                    struct vp_findings *findings);

/* The set that comes of the draft has an empty hash: for a hook, which knows
 * the hash of a text that it has seen before. */
void vp_draft_without_hash(struct vp_draft *draft);

/* One row for each key of POLICY.md, served or not, for manuals, completion
 * and `policy check`. */
struct vp_key_row {
    const char *section; /* "policy", "host" or "pool" */
    const char *group;   /* "choosing", "guest CPU", ... */
    const char *name;
    const char *legal;            /* "enforce audit off" */
    const char *fallback;         /* default, "-" if none */
    const char *meaning;          /* one line */
    bool served;                  /* false: an error that says "not served by this version" */
    const struct vp_key_use *use; /* how it is read and printed (policykeys.h) */
};
const struct vp_key_row *vp_key_rows(unsigned *count);

#endif
