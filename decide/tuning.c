/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's (Documentation/scheduler/sched-bwc.rst, admin-guide/cgroup-v2.rst). */
enum { DEFAULT_PERIOD = 100000, DEFAULT_SHARES = 1024, DEFAULT_WEIGHT = 100 };
/* vircgroupv1.c and vircgroupv2.c; a weight of 1, which v2 would take, is refused
 * when it is defined (domain_validate.c, 9.0.0). */
enum { SHARES_MIN = 2, SHARES_MAX = 262144, WEIGHT_MAX = 10000 };

bool vp_tuning_asks(const struct vp_tuning *tuning, enum vp_tuning_key key)
{
    switch (key) {
    case VP_TUNE_SHARES:
        return tuning->shares != 0;
    case VP_TUNE_PERIOD:
        return tuning->period != 0;
    case VP_TUNE_QUOTA:
        return tuning->quota != 0;
    case VP_TUNE_SCHEDULER:
        break;
    }
    return tuning->scheduler.policy != VP_SCHEDULER_KEEP;
}

bool vp_tuning_any(const struct vp_tuning *tuning)
{
    for (int i = 0; i < VP_TUNE_KEYS; i++)
        if (vp_tuning_asks(tuning, (enum vp_tuning_key)i))
            return true;
    return false;
}

static bool shares_fit(const struct vp_policy *policy, char *why, size_t size)
{
    int version = policy->tuning_host.cgroup;
    unsigned high = version == 2 ? WEIGHT_MAX : SHARES_MAX;

    if (policy->tuning.shares >= SHARES_MIN && policy->tuning.shares <= high)
        return true;
    if (policy->tuning.shares < SHARES_MIN && version != 1)
        snprintf(why, size, "libvirt takes no definition with shares below %d", SHARES_MIN);
    else
        snprintf(why, size, "this host has cgroup v%d, where shares are %d to %u", version,
                 SHARES_MIN, high);
    return false;
}

static bool is_realtime(const struct vp_tuning *tuning)
{
    return tuning->scheduler.policy == VP_SCHEDULER_FIFO ||
           tuning->scheduler.policy == VP_SCHEDULER_RR;
}

bool vp_tuning_fits(const struct vp_policy *policy, enum vp_tuning_key key, char *why, size_t size)
{
    const struct vp_tuning_host *host = &policy->tuning_host;

    if (!vp_tuning_asks(&policy->tuning, key))
        return true;
    if (key == VP_TUNE_SCHEDULER) {
        if (!host->no_realtime || !is_realtime(&policy->tuning))
            return true;
        snprintf(why, size,
                 "this kernel hands real-time time to groups one by one, and a guest's have none: "
                 "libvirt could not start it; use batch or idle, or a kernel without "
                 "RT_GROUP_SCHED");
        return false;
    }
    if (host->no_controller) {
        snprintf(why, size, "this host has no cgroup hierarchy with the cpu controller");
        return false;
    }
    return key != VP_TUNE_SHARES || shares_fit(policy, why, size);
}

struct vp_tuning vp_tuning_possible(const struct vp_policy *policy)
{
    struct vp_tuning can = policy->tuning;
    char why[256];

    if (!vp_tuning_fits(policy, VP_TUNE_SHARES, why, sizeof(why)))
        can.shares = 0;
    if (!vp_tuning_fits(policy, VP_TUNE_PERIOD, why, sizeof(why)))
        can.period = 0;
    if (!vp_tuning_fits(policy, VP_TUNE_QUOTA, why, sizeof(why)))
        can.quota = 0;
    if (!vp_tuning_fits(policy, VP_TUNE_SCHEDULER, why, sizeof(why)))
        can.scheduler = (struct vp_vcpu_scheduler){0};
    return can;
}

static void say_scheduler(const struct vp_vcpu_scheduler *scheduler, char *text, size_t size)
{
    const char *word = vp_scheduler_word(scheduler->policy);

    if (scheduler->policy == VP_SCHEDULER_FIFO || scheduler->policy == VP_SCHEDULER_RR)
        snprintf(text, size, "%s:%u", word, scheduler->priority);
    else
        snprintf(text, size, "%s", word);
}

void vp_tuning_say(const struct vp_tuning *tuning, enum vp_tuning_key key, char *text, size_t size)
{
    char word[32];

    switch (key) {
    case VP_TUNE_SHARES:
        snprintf(text, size, "shares %u", tuning->shares);
        return;
    case VP_TUNE_PERIOD:
        snprintf(text, size, "period %u", tuning->period);
        return;
    case VP_TUNE_QUOTA:
        snprintf(text, size, "quota %lld", tuning->quota);
        return;
    case VP_TUNE_SCHEDULER:
        say_scheduler(&tuning->scheduler, word, sizeof(word));
        snprintf(text, size, "scheduler %s", word);
        return;
    }
}

static int parse_scheduler(struct vp_vcpu_scheduler *scheduler, const char *text)
{
    size_t length = strcspn(text, ":");

    for (int i = VP_SCHEDULER_BATCH; i <= VP_SCHEDULER_OTHER; i++) {
        const char *word = vp_scheduler_word((enum vp_scheduler)i);

        if (strlen(word) != length || memcmp(word, text, length) != 0)
            continue;
        scheduler->policy = (enum vp_scheduler)i;
        scheduler->priority =
            text[length] == ':' ? (unsigned)strtoul(text + length + 1, NULL, 10) : 0;
        return scheduler->priority <= 99 ? 0 : -1;
    }
    return -1;
}

int vp_tuning_parse(struct vp_tuning *tuning, const char *word, const char *rest)
{
    char *end;
    long long number;

    if (strcmp(word, "scheduler") == 0)
        return parse_scheduler(&tuning->scheduler, rest);
    if (strcmp(word, "shares") != 0 && strcmp(word, "period") != 0 && strcmp(word, "quota") != 0)
        return 1;
    number = strtoll(rest, &end, 10);
    if (*end != '\0' || end == rest)
        return -1;
    if (word[0] == 'q')
        tuning->quota = number;
    else if (number < 0 || number > 1000000)
        return -1;
    else if (word[0] == 's')
        tuning->shares = (unsigned)number;
    else
        tuning->period = (unsigned)number;
    return 0;
}

struct vp_vcpu_scheduler vp_tuning_scheduler_of(const struct vp_domain *domain, unsigned vcpu)
{
    const struct vp_guest_tuning *tuning = &domain->tuning;

    for (size_t i = 0; i < tuning->scheduler_count; i++)
        if (vp_cpuset_has(&tuning->scheduler[i].vcpus, (int)vcpu))
            return tuning->scheduler[i].scheduler;
    return (struct vp_vcpu_scheduler){.policy = VP_SCHEDULER_OTHER};
}

struct vp_tuning vp_tuning_back(const struct vp_tuning *was, const struct vp_tuning *now,
                                const struct vp_domain *domain, int cgroup)
{
    static const struct vp_guest_tuning nothing;
    const struct vp_guest_tuning *own = domain ? &domain->tuning : &nothing;
    struct vp_tuning back = {0};

    if (was->shares != 0 && now->shares == 0)
        back.shares = own->has_shares && own->shares > 0 && own->shares <= SHARES_MAX
                          ? (unsigned)own->shares
                      : cgroup == 2 ? (unsigned)DEFAULT_WEIGHT
                                    : (unsigned)DEFAULT_SHARES;
    if (was->period != 0 && now->period == 0)
        back.period = own->period > 0 && own->period <= 1000000 ? (unsigned)own->period
                                                                : (unsigned)DEFAULT_PERIOD;
    if (was->quota != 0 && now->quota == 0)
        back.quota = own->quota > 0 ? own->quota : -1;
    if (was->scheduler.policy != VP_SCHEDULER_KEEP && now->scheduler.policy == VP_SCHEDULER_KEEP)
        back.scheduler = domain ? vp_tuning_scheduler_of(domain, 0)
                                : (struct vp_vcpu_scheduler){.policy = VP_SCHEDULER_OTHER};
    return back;
}

/* ---- a running guest ---- */

void vp_tuned_clear(struct vp_tuned *tuned)
{
    free(tuned->vcpu);
    *tuned = (struct vp_tuned){0};
}

void vp_tuning_diffs_clear(struct vp_tuning_diffs *diffs)
{
    free(diffs->item);
    *diffs = (struct vp_tuning_diffs){0};
}

static struct vp_tuning_diff *add_diff(struct vp_tuning_diffs *diffs, enum vp_drift_kind kind,
                                       const char *where)
{
    struct vp_tuning_diff *grown = reallocarray(diffs->item, diffs->count + 1, sizeof(*grown));

    if (!grown)
        return NULL;
    diffs->item = grown;
    grown[diffs->count] = (struct vp_tuning_diff){.kind = kind};
    snprintf(grown[diffs->count].where, sizeof(grown->where), "%s", where);
    return &grown[diffs->count++];
}

static int compare_shares(const struct vp_tuning *wanted, const struct vp_tuned *tuned,
                          struct vp_tuning_diffs *diffs)
{
    struct vp_tuning_diff *diff;

    if (wanted->shares == 0 || (tuned->has_shares && tuned->shares == wanted->shares))
        return 0;
    diff = add_diff(diffs, VP_DRIFT_SHARES, tuned->group);
    if (!diff)
        return -1;
    snprintf(diff->wanted, sizeof(diff->wanted), "%u", wanted->shares);
    if (tuned->has_shares)
        snprintf(diff->found, sizeof(diff->found), "%llu", tuned->shares);
    else
        snprintf(diff->found, sizeof(diff->found), "none");
    return 0;
}

/* "quota 50000 period 100000", what is kept left out. */
static void say_limit(const struct vp_tuning *asks, unsigned long long period, long long quota,
                      char *text, size_t size)
{
    int used = 0;

    text[0] = '\0';
    if (asks->quota != 0)
        used = quota < 0 ? snprintf(text, size, "quota -1")
                         : snprintf(text, size, "quota %lld", quota);
    if (asks->period != 0)
        snprintf(text + used, size - (size_t)used, "%speriod %llu", used > 0 ? " " : "", period);
}

static int compare_limit(const struct vp_tuning *wanted, const struct vp_tuned_vcpu *vcpu,
                         struct vp_tuning_diffs *diffs)
{
    bool quota = wanted->quota == 0 || (vcpu->has_limit && vcpu->quota == wanted->quota);
    bool period = wanted->period == 0 || (vcpu->has_limit && vcpu->period == wanted->period);
    struct vp_tuning_diff *diff;

    if (quota && period)
        return 0;
    diff = add_diff(diffs, VP_DRIFT_QUOTA, vcpu->group);
    if (!diff)
        return -1;
    diff->index = vcpu->index;
    diff->tid = vcpu->tid;
    say_limit(wanted, wanted->period, wanted->quota, diff->wanted, sizeof(diff->wanted));
    if (vcpu->has_limit)
        say_limit(wanted, vcpu->period, vcpu->quota, diff->found, sizeof(diff->found));
    else
        snprintf(diff->found, sizeof(diff->found), "none");
    return 0;
}

static int compare_scheduler(const struct vp_tuning *wanted, const struct vp_tuned_vcpu *vcpu,
                             struct vp_tuning_diffs *diffs)
{
    const struct vp_vcpu_scheduler *has = &vcpu->scheduler, *should = &wanted->scheduler;
    struct vp_tuning_diff *diff;

    if (should->policy == VP_SCHEDULER_KEEP ||
        (has->policy == should->policy && has->priority == should->priority))
        return 0;
    diff = add_diff(diffs, VP_DRIFT_SCHEDULER, "");
    if (!diff)
        return -1;
    diff->index = vcpu->index;
    diff->tid = vcpu->tid;
    say_scheduler(should, diff->wanted, sizeof(diff->wanted));
    say_scheduler(has, diff->found, sizeof(diff->found));
    return 0;
}

int vp_tuning_compare(const struct vp_tuning *wanted, const struct vp_tuned *tuned,
                      struct vp_tuning_diffs *diffs)
{
    vp_tuning_diffs_clear(diffs);
    if (compare_shares(wanted, tuned, diffs) < 0)
        return -1;
    for (size_t i = 0; i < tuned->count; i++)
        if (compare_limit(wanted, &tuned->vcpu[i], diffs) < 0 ||
            compare_scheduler(wanted, &tuned->vcpu[i], diffs) < 0)
            return -1;
    return 0;
}
