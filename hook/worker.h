/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOOK_WORKER_H
#define VP_HOOK_WORKER_H

#include <libxml/tree.h>
#include <stddef.h>
#include <sys/types.h>

#include "decide/domain.h"
#include "decide/error.h"
#include "decide/policy.h"
#include "host/engine.h"

/* One run of the hook. */
struct vp_hook {
    struct vp_engine engine;
    char *const *argv;
    const char *name, *operation, *extra;
    pid_t daemon_pid;
    char *xml; /* stdin */
    size_t xml_length;
    xmlDoc *doc;
    struct vp_domain *domain;
    struct vp_choice choice;
    struct vp_findings findings;
};

/* What to start over with when something has to be looked at anew, and the
 * guest whose policy alone is asked for (NULL: its metadata may name any). */
void vp_hook_known(char *const *argv, const char *only);

/* What [host] says where the policies are broken and none was good before;
 * VP_VERDICT_UNSET: not known here. */
enum vp_verdict vp_hook_on_error(const struct vp_conf_where *where);

/* Operations: 0 good, -1 with *err: VP_REFUSED refuses, else virtpin failed. */
int vp_op_prepare(struct vp_hook *hook, struct vp_error *err);
int vp_op_started(struct vp_hook *hook, struct vp_error *err);
int vp_op_stopped(struct vp_hook *hook, struct vp_error *err); /* and release */
int vp_op_reconnect(struct vp_hook *hook, struct vp_error *err);
int vp_op_incoming(struct vp_hook *hook, struct vp_error *err); /* migrate and restore */

/* Gives *one, a copy of the guest's policy, what its guest-numa = auto goes by:
 * the nodes on which the guest would be placed now. Where that cannot be told,
 * auto asks for nothing. *nodes has to live as long as *one. */
struct vp_numa_facts;
void vp_hook_nodes(struct vp_hook *hook, struct vp_policy *one, struct vp_numa_facts *nodes);

/* Whether the guest has a policy that asks for anything. */
bool vp_hook_managed(const struct vp_hook *hook);

/* Shared guests leave the CPUs that were booked, or take those given back; what
 * fails is said in the journal and left to the enforcer. */
void vp_hook_apply_pool(struct vp_hook *hook);

/* Leaves a request for the enforcer and wakes it. Failing is no harm: it
 * sweeps. */
void vp_hook_request(struct vp_hook *hook, const char *kind);

/* A record in the journal with the guest's fields (VIRTPIN_GUEST, _UUID,
 * _POLICY, _OPERATION as far as they are known) and up to 8 more. */
struct vp_field;
void vp_hook_say(const struct vp_hook *hook, int priority, const char *message_id,
                 const struct vp_field *more, unsigned count, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Warnings of planning go to the journal: libvirt shows nobody the stderr of a
 * hook that succeeds. */
void vp_hook_report(struct vp_hook *hook);

#endif
