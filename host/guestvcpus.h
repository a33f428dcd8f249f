/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_GUESTVCPUS_H
#define VP_GUESTVCPUS_H

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "decide/vcpuway.h"

struct vp_engine;
struct vp_error;

/* A guest's vCPUs by libvirt, by QEMU's threads and by the guest agent: for
 * ctl. Each function may block as long as libvirt does. */

/* Everything but the agent's answer. The policy's name in *facts points into
 * `engine`. VP_GONE if the guest ended meanwhile. */
int vp_guest_vcpus_facts(struct vp_engine *engine, virDomainPtr domain, struct vp_vcpu_facts *facts,
                         struct vp_error *err);

/* libvirt waits for ever for the agent of a guest that hangs, unless a limit
 * was set. True if none was and one of a few seconds is now, which
 * vp_guest_vcpus_unlimit takes away again. */
bool vp_guest_vcpus_limit(struct vp_engine *engine, virDomainPtr domain);
void vp_guest_vcpus_unlimit(virDomainPtr domain);

/* The agent's answer; facts->agent is false where none answers (no error: a
 * guest may have none), *why then says it in libvirt's words. */
void vp_guest_vcpus_agent(virDomainPtr domain, struct vp_vcpu_facts *facts, struct vp_error *why);

/* The vCPUs of a running guest that libvirt lists, and of these the ones whose
 * thread is gone. */
int vp_guest_vcpus_listed(struct vp_engine *engine, const char *name, struct vp_vcpu_facts *facts,
                          struct vp_error *err);

int vp_guest_vcpus_plug(virDomainPtr domain, unsigned count, struct vp_error *err);
/* Asks the guest for one vCPU. 0: it is gone. 1: the guest has not answered
 * within libvirt's 5 s and may give it back later. */
int vp_guest_vcpus_unplug(virDomainPtr domain, unsigned vcpu, struct vp_error *err);
/* By the guest's numbers. */
int vp_guest_vcpus_switch(virDomainPtr domain, const struct vp_cpuset *vcpus, bool online,
                          struct vp_error *err);
/* Of the definition; new vCPUs can be unplugged where the others can. */
int vp_guest_vcpus_define(virDomainPtr domain, unsigned count, struct vp_error *err);

#endif
