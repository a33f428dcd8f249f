/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CTL_H
#define VP_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "host/conf.h"

struct vp_ctl;
struct vp_engine;
struct vp_error;

/* Exit statuses of virtpin(1). */
enum { VP_EXIT_GOOD = 0, VP_EXIT_FINDING = 1, VP_EXIT_USE = 2, VP_EXIT_HOST = 3 };

/* --NAME or, where argument is not NULL, --NAME ARGUMENT. */
struct vp_option {
    const char *name;
    const char *argument;
    const char *help;
};
#define VP_VERB_OPTIONS 8 /* the last has no name */

/* Usage, completion and manual are checked against this table. */
struct vp_verb {
    const char *name; /* "status", "policy check" */
    /* Does it: an exit status, or -1 with *err filled, which main prints. */
    int (*run)(struct vp_ctl *ctl, struct vp_error *err);
    const char *words;                        /* positional words, "[NAME]", "" for none */
    int least, most;                          /* how many of them */
    const char *help;                         /* one line */
    const char *exit1;                        /* when it ends with 1, NULL: never */
    const char *more;                         /* further text of --help, NULL: none */
    struct vp_option option[VP_VERB_OPTIONS]; /* its own; up to the first without a name */
};
extern const struct vp_verb vp_verbs[];
extern const size_t vp_verb_count;
/* What every verb takes; up to the first without a name. */
extern const struct vp_option vp_options[];

/* One call of the program. */
struct vp_ctl {
    const struct vp_verb *verb;
    struct vp_conf_where where;
    const char *topology;     /* --topology, NULL: this host */
    const char *capabilities; /* --capabilities FILE or NULL */
    bool json;
    bool help;
    bool version;
    int argc; /* positional words after the verb */
    char **argv;
    const char *value[VP_VERB_OPTIONS]; /* by the verb's option: NULL not given, "" a switch */
};

/* Reads the command line into *ctl (zeroed by the caller; where.config from
 * `config`, the environment's, unless --config says otherwise). argv is
 * permuted and borrowed. 0, or -1: VP_INPUT, saying what would be valid. */
int vp_ctl_parse(struct vp_ctl *ctl, int argc, char **argv, const char *config,
                 struct vp_error *err);

/* The value of the verb's option, "" for a switch that is there, NULL if absent. */
const char *vp_ctl_option(const struct vp_ctl *ctl, const char *name);

/* The whole program's usage, or one verb's, to stdout. */
void vp_usage(void);
void vp_usage_verb(const struct vp_verb *verb);

/* VP_INPUT if a configuration or policy directory that was named is not there. */
int vp_ctl_check_where(const struct vp_ctl *ctl, struct vp_error *err);

/* Opens the engine as the command line asks: --config, --policy-dir,
 * --topology. The ledger is not opened: see vp_ctl_ledger. */
int vp_ctl_open(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err);
/* The same, and prints what the policy files are found guilty of to stderr. */
int vp_ctl_engine(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err);

/* Opens the ledger unless --topology says that this is another host, or there
 * is none yet and it may not be made (engine->ledger stays NULL then). */
int vp_ctl_ledger(const struct vp_ctl *ctl, struct vp_engine *engine, bool may_create,
                  struct vp_error *err);

/* For verbs that change where guests run: this host, not disabled, with its
 * ledger. VP_REFUSED where there is none. */
int vp_ctl_open_acting(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err);

/* Reads a whole file, "-" or NULL for stdin, at most VP_XML_MAX bytes. The
 * caller frees *bytes (NUL-terminated). */
int vp_ctl_read(const char *path, char **bytes, size_t *length, struct vp_error *err);

/* ---- the verbs, one file each ---- */
int vp_verb_policy_check(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_policy_show(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_explain(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_rewrite(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_plan(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_status(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_drift(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_reconcile(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_start(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_revert(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_release(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_vcpus(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_move(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_defrag(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_hold(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_disable(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_enable(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_simulate(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_metrics(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_doctor(struct vp_ctl *ctl, struct vp_error *err);
int vp_verb_topology(struct vp_ctl *ctl, struct vp_error *err);

#endif
