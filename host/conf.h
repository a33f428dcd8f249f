/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONF_H
#define VP_CONF_H

#include <stdbool.h>

#include "decide/policy.h"

struct vp_error;
struct vp_findings;

/* Where the configuration is. NULL members: the usual places
 * (/etc/virtpin/virtpin.conf, which may be absent; policy.d in
 * /usr/lib/virtpin and /etc/virtpin). A config that is named must exist. */
struct vp_conf_where {
    const char *config;
    const char *policy_dir; /* DIR/ *.conf instead of the usual two */
    bool lenient_owner;     /* unsafe owner or mode only warns (ctl with --policy-dir) */
    const char *nodename;   /* NULL: this host's */
};

/* Reads and checks everything. On success *set is the caller's; findings may
 * hold warnings. With errors: -1, *set NULL, every error in findings, *err
 * the first of them (VP_INPUT). Reads the files itself (regular file, owner,
 * mode, size at most 1 MiB each, no NUL, lines at most 190 bytes) and gives
 * them to inih line by line. */
int vp_conf_load(const struct vp_conf_where *where, struct vp_policy_set **set,
                 struct vp_findings *findings, struct vp_error *err);

/* As vp_conf_load, and writes the good set to RUN-DIR/policy.good (write,
 * rename) when it changed; when the files are broken takes the set from
 * there instead, sets *stale and leaves the errors in findings. Fails only
 * when there is no good set either. Its policies then have no base, and file
 * and line are those of policy.good. Ties of priority are not looked for. A
 * set that cannot be kept is a warning. RUN-DIR is made (0700) if only its
 * last part is missing. */
int vp_conf_in_force(const struct vp_conf_where *where, struct vp_policy_set **set, bool *stale,
                     struct vp_findings *findings, struct vp_error *err);

/* [host] on-error of virtpin.conf by itself, for where nothing else can be
 * taken: VP_VERDICT_UNSET if that file is broken too. */
enum vp_verdict vp_conf_on_error(const struct vp_conf_where *where);

/* The off switch: the file `disabled` beside virtpin.conf. True if it is
 * there and not past its time; reason (may be NULL, size 256) gets its text.
 * File format: first line "until=SECONDS-SINCE-EPOCH" or "until=", second
 * line the reason. An unreadable or odd file counts as disabled. */
bool vp_conf_disabled(const struct vp_conf_where *where, char *reason);

/* Writes or removes that file (write, rename). for_ms 0: without end. */
int vp_conf_disable(const struct vp_conf_where *where, const char *reason, long long for_ms,
                    struct vp_error *err);
int vp_conf_enable(const struct vp_conf_where *where, struct vp_error *err);

#endif
