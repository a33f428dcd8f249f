/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "host/engine.h"

#define CATCH_ALL                                                                                  \
    "give every guest a policy: copy " VP_DATADIR "/examples/catch-all.conf (placement = shared) " \
    "to " VP_SYSCONFDIR "/virtpin/policy.d"

static int add(struct vp_view *view, enum vp_grade grade, const char *guest, const char *text,
               const char *remedy)
{
    /* `policy` of the object carries the guest here: status has no policy in
     * its findings. */
    struct vp_finding finding = {.grade = grade,
                                 .policy = (char *)(uintptr_t)guest,
                                 .text = (char *)(uintptr_t)text,
                                 .remedy = (char *)(uintptr_t)remedy};

    return vp_findings_add(&view->findings, &finding) ? 0 : -1;
}

/* ---- exclusiveness ---- */

/* The CPUs of `owner` that threads of `other` may run on. */
static void intruded(const struct vp_view_guest *owner, const struct vp_view_guest *other,
                     struct vp_cpuset *cpus)
{
    *cpus = (struct vp_cpuset){0};
    for (size_t i = 0; i < other->thread_count; i++)
        vp_cpuset_or(cpus, &other->thread[i].affinity);
    vp_cpuset_and(cpus, &owner->own);
}

static int report_intruder(struct vp_view *view, const struct vp_view_guest *owner,
                           const struct vp_view_guest *other, const struct vp_cpuset *cpus)
{
    VP_AUTO(free) char *list = vp_cpuset_format(cpus);
    bool one = vp_cpuset_count(cpus) == 1;
    /* its start went by on-error, or it came while virtpin was away */
    bool late = other->state == VP_VIEW_UNMANAGED && other->policy &&
                other->mode == VP_MODE_ENFORCE && other->placement != VP_PLACE_NONE;
    const char *why = late                                ? "which virtpin has not taken in yet"
                      : other->state == VP_VIEW_UNMANAGED ? "which virtpin does not manage"
                      : other->state == VP_VIEW_UNPLACED  ? "which has no place under its policy"
                      : other->mode == VP_MODE_AUDIT      ? "whose policy is only audited"
                      : other->placement == VP_PLACE_NONE ? "whose policy has placement = none"
                                                          : "whose threads have drifted";
    char text[1024];

    snprintf(text, sizeof(text), "CPU%s %s %s not exclusive to %s: guest %s, %s, may run there too",
             one ? "" : "s", list ? list : "?", one ? "is" : "are", owner->name, other->name, why);
    return add(view, VP_ERROR, owner->name, text,
               late ? "virtpin reconcile"
               : other->state == VP_VIEW_UNMANAGED || other->placement == VP_PLACE_NONE ? CATCH_ALL
               : other->mode == VP_MODE_AUDIT ? "mode = enforce in its policy"
                                              : "virtpin reconcile");
}

/* Threads kept off their own CPUs by an ancestor group crowd onto others. */
static int report_narrowed(struct vp_view *view, struct vp_view_guest *owner)
{
    char text[1024];

    for (size_t i = 0; i < owner->thread_count; i++) {
        const struct vp_view_thread *thread = &owner->thread[i];

        if (thread->role != VP_ROLE_VCPU || !thread->has_wanted ||
            vp_cpuset_meets(&thread->wanted, &thread->affinity))
            continue;
        owner->exclusive = false;
        snprintf(text, sizeof(text),
                 "vCPU %u of %s does not run on its own CPU: a cgroup above it, or its affinity, "
                 "keeps it elsewhere",
                 thread->index, owner->name);
        return add(view, VP_ERROR, owner->name, text, "virtpin drift; AllowedCPUs= of its slice");
    }
    return 0;
}

int vp_view_exclusive(struct vp_view *view)
{
    struct vp_cpuset cpus;

    for (size_t i = 0; i < view->guest_count; i++) {
        struct vp_view_guest *owner = &view->guest[i];

        if (!owner->exclusive_known)
            continue;
        if (report_narrowed(view, owner) != 0)
            return -1;
        for (size_t j = 0; j < view->guest_count; j++) {
            /* a guest in start is pinned by its hook before libvirt's client hears of it */
            if (i == j || view->guest[j].state == VP_VIEW_LEASE)
                continue;
            intruded(owner, &view->guest[j], &cpus);
            if (vp_cpuset_empty(&cpus))
                continue;
            owner->exclusive = false;
            if (report_intruder(view, owner, &view->guest[j], &cpus) != 0)
                return -1;
        }
    }
    return 0;
}

/* ---- the rest ---- */

static int enforcer_findings(struct vp_view *view)
{
    char text[512];

    if (!view->enforcer.running)
        return add(view, VP_ERROR, NULL,
                   view->enforcer.known
                       ? "the enforcer is down: it ended without saying so, and "
                         "nothing is repaired"
                       : "the enforcer is down: drift is neither seen nor repaired",
                   "systemctl start virtpind; meanwhile virtpin reconcile");
    if (!view->enforcer.can_repair) {
        snprintf(text, sizeof(text), "the enforcer cannot repair: %s",
                 view->enforcer.why[0] ? view->enforcer.why : "it does not say why");
        return add(view, VP_ERROR, NULL, text,
                   view->enforcer.remedy[0] ? view->enforcer.remedy : NULL);
    }
    if (strcmp(view->enforcer.libvirt, "reconnecting") == 0 &&
        add(view, VP_WARNING, NULL,
            "the enforcer has no connection to libvirt: threads are kept, definitions and "
            "libvirt's pins are not",
            "systemctl status libvirtd virtqemud") != 0)
        return -1;
    for (size_t i = 0; i < view->enforcer.blind_count; i++) {
        if (add(view, VP_WARNING, NULL, view->enforcer.blind[i],
                "the sweep finds them; virtpin doctor says what is missing") != 0)
            return -1;
    }
    return 0;
}

static int guest_findings(struct vp_view *view, const struct vp_view_guest *guest)
{
    char text[1024];

    if (guest->unplaced) {
        snprintf(text, sizeof(text), "guest %s has no place under policy %s: %s", guest->name,
                 guest->policy ? guest->policy : "?", guest->unplaced);
        if (add(view, VP_WARNING, guest->name, text, "virtpin explain NAME says what would help"))
            return -1;
    }
    if (guest->state == VP_VIEW_UNMANAGED && guest->policy && guest->mode != VP_MODE_OFF) {
        snprintf(text, sizeof(text), "guest %s is not managed yet, policy %s would have it",
                 guest->name, guest->policy);
        if (add(view, VP_WARNING, guest->name, text, "virtpin reconcile"))
            return -1;
    }
    if (guest->thread_count > 0 && !guest->thread[0].has_cpuset && guest->mode == VP_MODE_ENFORCE) {
        snprintf(text, sizeof(text),
                 "guest %s has no cpuset cgroup: only the affinity of its threads can be set",
                 guest->name);
        return add(view, VP_WARNING, guest->name, text, "cgroup_controllers of qemu.conf");
    }
    return 0;
}

/* So many are told one by one. */
#define STRANGERS_TOLD 5

static int stranger_findings(struct vp_view *view)
{
    const struct vp_strangers *strangers = &view->strangers;
    char text[1024], span[VP_TIME_TEXT];

    for (size_t i = 0; i < strangers->count && i < STRANGERS_TOLD; i++) {
        const struct vp_stranger *one = &strangers->item[i];
        const char *what = one->kind == VP_STRANGER_GUEST    ? "guest "
                           : one->kind == VP_STRANGER_KERNEL ? "the kernel's thread "
                                                             : "";

        snprintf(text, sizeof(text),
                 "CPU %d of %s: %s%s (thread %d%s%s) ran there for %llu ms in the last %s",
                 one->cpu, one->owner[0] ? one->owner : "a guest", what,
                 one->guest[0] ? one->guest : one->comm, (int)one->tid, one->unit[0] ? ", " : "",
                 one->unit, (unsigned long long)one->ran_ms,
                 vp_span_text(view->now_ms - one->first_ms, span));
        if (add(view, VP_WARNING, one->owner[0] ? one->owner : NULL, text,
                one->kind == VP_STRANGER_GUEST    ? CATCH_ALL
                : one->kind == VP_STRANGER_KERNEL ? "/sys/devices/virtual/workqueue/cpumask"
                                                  : "AllowedCPUs= of its slice, or isolcpus=") != 0)
            return -1;
    }
    if (strangers->count <= STRANGERS_TOLD)
        return 0;
    snprintf(text, sizeof(text), "%zu more threads that are no guest's ran on dedicated CPUs",
             strangers->count - STRANGERS_TOLD);
    return add(view, VP_WARNING, NULL, text, "virtpin status --json lists them");
}

int vp_view_findings(const struct vp_engine *engine, struct vp_view *view)
{
    for (size_t i = 0; i < engine->findings.count; i++)
        if (!vp_findings_add(&view->findings, &engine->findings.item[i]))
            return -1;
    if (engine->cgroups.version == VP_CGROUP_NONE &&
        add(view, VP_WARNING, NULL, "this host has no cpuset controller: only affinity can be set",
            NULL) != 0)
        return -1;
    if (enforcer_findings(view) != 0 || stranger_findings(view) != 0)
        return -1;
    for (size_t i = 0; i < view->guest_count; i++)
        if (guest_findings(view, &view->guest[i]) != 0)
            return -1;
    return 0;
}
