/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/output.h"
#include "ctl/repair.h"
#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/guestvcpus.h"

#define TIME_LIMIT_MS 60000
#define LOOK_AGAIN_MS 100
/* A guest's kernel tells its own udev of a plugged vCPU: so long it may take
 * before the agent is asked to do it. */
#define GUEST_NOTICES_MS 3000

struct work {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    virDomainPtr domain;
    const char *name;
    unsigned asked, before;
    int64_t began_ms, limit_ms;
    struct vp_vcpu_facts facts; /* first what was found, in the end what is */
    struct vp_vcpu_steps steps;
    bool done;
    bool placed, pinned;     /* placed: a policy says where its vCPUs run */
    char why[VP_ERROR_TEXT]; /* not done, or not pinned */
};

/* ---- waiting ---- */

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static bool in_time(const struct work *work)
{
    return vp_clock_ms() - work->began_ms < work->limit_ms;
}

/* ---- the agent ---- */

static void ask_agent(struct work *work, struct vp_error *why)
{
    vp_waiting("asking the guest agent", 0);
    vp_guest_vcpus_agent(work->domain, &work->facts, why);
    vp_waited();
}

static int switch_vcpus(struct work *work, struct vp_error *err)
{
    const struct vp_vcpu_steps *steps = &work->steps;
    struct vp_error why = {0};
    int result = 0;

    vp_waiting("waiting for the guest agent", 0);
    if (!vp_cpuset_empty(&steps->guest_online))
        result = vp_guest_vcpus_switch(work->domain, &steps->guest_online, true, err);
    if (result == 0 && !vp_cpuset_empty(&steps->guest_offline))
        result = vp_guest_vcpus_switch(work->domain, &steps->guest_offline, false, err);
    vp_waited();
    if (result != 0)
        return -1;
    ask_agent(work, &why);
    work->done = work->facts.agent && vp_vcpu_count(&work->facts) == work->asked;
    if (!work->done)
        snprintf(work->why, sizeof(work->why), "the guest agent was asked, and %.900s",
                 work->facts.agent ? "the guest has another number" : why.text);
    return 0;
}

/* The guest's own udev puts plugged vCPUs to use, in so much time; else the
 * agent does. An agent that answers no more leaves it open. */
static int use_all(struct work *work, int64_t patience_ms, struct vp_error *err)
{
    int64_t began = vp_clock_ms();
    struct vp_error why = {0};

    for (;;) {
        ask_agent(work, &why);
        if (!work->facts.agent || vp_vcpu_count(&work->facts) >= work->asked)
            return 0;
        if (vp_clock_ms() - began >= patience_ms)
            break;
        pause_ms(LOOK_AGAIN_MS);
    }
    work->steps.guest_online = work->facts.guest_vcpus;
    vp_cpuset_minus(&work->steps.guest_online, &work->facts.guest_online);
    return switch_vcpus(work, err);
}

/* ---- unplug ---- */

static bool is_gone(struct work *work, int vcpu)
{
    struct vp_error ignored;

    return vp_guest_vcpus_listed(work->engine, work->name, &work->facts, &ignored) == 0 &&
           (!vp_cpuset_has(&work->facts.listed, vcpu) || vp_cpuset_has(&work->facts.lost, vcpu));
}

/* 0: gone; 1: not in time. libvirt's call gives up after 5 s, the guest
 * answers when it can. */
static int unplug_one(struct work *work, int vcpu, struct vp_error *err)
{
    int result = vp_guest_vcpus_unplug(work->domain, (unsigned)vcpu, err);

    if (result < 0)
        return is_gone(work, vcpu) ? 0 : -1;
    while (!is_gone(work, vcpu)) {
        if (!in_time(work))
            return 1;
        pause_ms(LOOK_AGAIN_MS);
    }
    return 0;
}

static int unplug(struct work *work, struct vp_error *err)
{
    struct vp_cpuset left = work->steps.unplug;
    char doing[128];
    int result = 0;

    while (result == 0 && !vp_cpuset_empty(&left)) {
        int vcpu = vp_cpuset_last(&left);

        snprintf(doing, sizeof(doing), "waiting for the guest to give back vCPU %d", vcpu);
        vp_waiting(doing, 0);
        result = unplug_one(work, vcpu, err);
        vp_waited();
        if (result == 0)
            vp_cpuset_remove(&left, vcpu);
    }
    if (result < 0)
        return -1;
    if (result == 0) {
        work->done = true;
        return work->facts.agent ? use_all(work, 0, err) : 0;
    }
    snprintf(work->why, sizeof(work->why),
             "the guest has not given back vCPU %d within %lld s and may do so later; does its "
             "kernel take part in ACPI hotplug, and has it booted?",
             vp_cpuset_last(&left), (long long)(work->limit_ms / 1000));
    return 0;
}

/* ---- plug ---- */

/* libvirt puts a plugged vCPU where its pin says; with an enforcer that is
 * down, or tell-libvirt = no, that may be elsewhere. */
static void pin(struct work *work)
{
    char uuid[VIR_UUID_STRING_BUFLEN], reason[256];
    struct vp_guest_row row = {0};
    struct vp_repaired repaired;
    struct vp_error err = {0};

    if (!work->engine->ledger || vp_conf_disabled(&work->ctl->where, reason) ||
        virDomainGetUUIDString(work->domain, uuid) != 0 ||
        vp_ledger_guest(work->engine->ledger, uuid, &row, &err) != 1)
        return;
    work->placed = row.state == VP_GUEST_RUNNING && row.plan && row.plan->mode == VP_MODE_ENFORCE &&
                   !row.unplaced && row.hold_until_ms <= vp_now_ms();
    if (work->placed && vp_repair_guest(work->engine, &row, false, &repaired, &err) != 0)
        snprintf(work->why, sizeof(work->why), "%s", err.text);
    else if (work->placed && repaired.left > 0)
        snprintf(work->why, sizeof(work->why), "%s", repaired.why);
    else
        work->pinned = work->placed;
    vp_guest_row_clear(&row);
}

static int plug(struct work *work, struct vp_error *err)
{
    bool agent = work->facts.agent;
    int result;

    vp_waiting("plugging vCPUs", 0);
    result = vp_guest_vcpus_plug(work->domain, work->asked, err);
    if (result == 0)
        pin(work);
    vp_waited();
    if (result != 0 || vp_guest_vcpus_listed(work->engine, work->name, &work->facts, err) != 0)
        return -1;
    work->done = true;
    return agent ? use_all(work, GUEST_NOTICES_MS, err) : 0;
}

/* ---- what is said ---- */

static const char *plural(unsigned count)
{
    return count == 1 ? "" : "s";
}

static void say_plugged(const struct work *work)
{
    printf("%s: %u -> %u vCPUs, plugged", work->name, work->before, work->asked);
    if (work->facts.agent)
        printf("; the guest uses %u", vp_vcpu_count(&work->facts));
    else
        printf("; no guest agent says whether it uses them");
    if (work->pinned)
        printf("; all are on their CPUs");
    printf("\n");
}

static void say_unplugged(const struct work *work)
{
    char list[128];

    vp_cpuset_print(&work->steps.unplug, list, sizeof(list));
    printf("%s: %u -> %u vCPU%s: the guest gave back %s after %.1f s\n", work->name, work->before,
           work->asked, plural(work->asked), list, (double)(vp_clock_ms() - work->began_ms) / 1000);
    if (!vp_cpuset_empty(&work->facts.lost))
        printf(
            "%s: libvirt has not noticed it; do not plug another before the guest's next start\n",
            work->name);
}

static void say(const struct work *work)
{
    unsigned runs = vp_cpuset_count(&work->facts.listed);

    switch (work->steps.way) {
    case VP_WAY_NONE:
        printf("%s has %u vCPU%s already\n", work->name, work->asked, plural(work->asked));
        break;
    case VP_WAY_PLUG:
        say_plugged(work);
        break;
    case VP_WAY_UNPLUG:
        say_unplugged(work);
        break;
    case VP_WAY_AGENT:
        printf("%s: the guest uses %u vCPU%s of %u by its agent, it was %u; all threads stay\n",
               work->name, work->asked, plural(work->asked), runs, work->before);
        break;
    case VP_WAY_DEFINITION:
        printf("%s: %u vCPU%s from its next start\n", work->name, work->asked, plural(work->asked));
        if (work->facts.running)
            printf("%s runs on with %u: %s\n", work->name, work->before, work->steps.why);
        break;
    }
}

static void print_json(const struct work *work)
{
    json_object *object = vp_json_new("virtpin.vcpus/1");
    const struct vp_vcpu_facts *facts = &work->facts;
    struct vp_cpuset runs = facts->listed;

    vp_cpuset_minus(&runs, &facts->lost);
    vp_json_string(object, "guest", work->name);
    vp_json_int(object, "asked", work->asked);
    vp_json_bool(object, "done", work->done);
    vp_json_string(object, "way", vp_vcpu_way_word(work->steps.way));
    vp_json_int(object, "before", work->before);
    vp_json_int(object, "maximum", facts->maximum);
    vp_json_cpus(object, "vcpus", &runs);
    vp_json_cpus(object, "unnoticed", &facts->lost);
    if (facts->agent)
        vp_json_cpus(object, "guest_online", &facts->guest_online);
    else
        vp_json_null(object, "guest_online");
    if (facts->persistent)
        vp_json_int(object, "next_start", facts->defined);
    else
        vp_json_null(object, "next_start");
    if (work->placed)
        vp_json_bool(object, "pinned", work->pinned);
    else
        vp_json_null(object, "pinned");
    vp_json_int(object, "took_ms", vp_clock_ms() - work->began_ms);
    vp_json_string(object, "why",
                   work->why[0]         ? work->why
                   : work->steps.why[0] ? work->steps.why
                                        : NULL);
    vp_json_print(object);
}

/* ---- the verb ---- */

static int act(struct work *work, struct vp_error *err)
{
    switch (work->steps.way) {
    case VP_WAY_NONE:
        work->done = true;
        return 0;
    case VP_WAY_PLUG:
        return plug(work, err);
    case VP_WAY_UNPLUG:
        return unplug(work, err);
    case VP_WAY_AGENT:
        return switch_vcpus(work, err);
    case VP_WAY_DEFINITION:
        if (work->facts.defined != work->asked &&
            vp_guest_vcpus_define(work->domain, work->asked, err) != 0)
            return -1;
        work->facts.defined = work->asked;
        work->done = true;
        return 0;
    }
    return -1;
}

static int read_words(struct work *work, struct vp_error *err)
{
    const char *text = work->ctl->argv[1], *limit = vp_ctl_option(work->ctl, "timeout");
    unsigned number = 0;

    work->limit_ms = TIME_LIMIT_MS;
    if (limit && vp_span_parse(limit, &work->limit_ms, err) != 0)
        return vp_wrap(err, "--timeout");
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || at - text > 3)
            return vp_fail(err, VP_INPUT, "vcpus: found \"%s\", legal 1 to %d", text, VP_VCPUS_MAX);
        number = number * 10 + (unsigned)(*at - '0');
    }
    if (number < 1 || number > VP_VCPUS_MAX)
        return vp_fail(err, VP_INPUT, "vcpus: found \"%s\", legal 1 to %d", text, VP_VCPUS_MAX);
    work->asked = number;
    return 0;
}

static int report(struct work *work)
{
    if (work->ctl->json)
        print_json(work);
    else if (work->done)
        say(work);
    if (work->why[0] && !work->ctl->json)
        fprintf(stderr, "virtpin: %s: %s%s\n", work->name,
                work->done ? "plugged, but not on its CPUs: " : "", work->why);
    return work->done && !work->why[0] ? VP_EXIT_GOOD : VP_EXIT_FINDING;
}

static int run(struct work *work, struct vp_error *err)
{
    struct vp_error why = {0};
    bool limited = false;
    int result;

    work->name = virDomainGetName(work->domain);
    if (vp_guest_vcpus_facts(work->engine, work->domain, &work->facts, err) != 0)
        return -1;
    if (work->facts.running && !work->facts.paused) {
        limited = vp_guest_vcpus_limit(work->engine, work->domain);
        ask_agent(work, &why);
    }
    work->before = vp_vcpu_count(&work->facts);
    result = vp_vcpu_choose(&work->facts, work->asked, &work->steps, err);
    if (result == 0)
        result = act(work, err);
    if (limited)
        vp_guest_vcpus_unlimit(work->domain);
    return result == 0 ? report(work) : vp_wrap(err, "%s", work->name);
}

int vp_verb_vcpus(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct work work = {.ctl = ctl, .engine = &engine, .began_ms = vp_clock_ms()};
    int result;

    if (read_words(&work, err) != 0 || vp_ctl_open_libvirt(ctl, &engine, &connection, err) != 0)
        return -1;
    work.domain = vp_ctl_domain(connection, ctl->argv[0], err);
    if (!work.domain)
        return -1;
    result = run(&work, err);
    virDomainPtr_cleanup(&work.domain);
    return result;
}
