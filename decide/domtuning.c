/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/error.h"

/* What of <cputune> concerns CPU time (docs/formatdomain.rst, CPU Tuning). Of
 * an element that stands there twice libvirt takes the first. */

static int read_amount(const xmlNode *node, const char *what, uint64_t *value, struct vp_error *err)
{
    VP_AUTO(free) char *text = vp_xml_text(node);

    if (!text)
        return vp_xml_no_memory(err);
    return vp_xml_number(node, what, text, 0, LLONG_MAX, value, err);
}

static int read_quota(const xmlNode *node, long long *quota, struct vp_error *err)
{
    VP_AUTO(free) char *text = vp_xml_text(node);
    const char *digits;
    uint64_t value = 0;

    if (!text)
        return vp_xml_no_memory(err);
    digits = text + strspn(text, " \t\r\n");
    if (*digits == '-') {
        *quota = -1;
        digits++;
        return vp_xml_number(node, "<quota>", digits, 0, LLONG_MAX, &value, err);
    }
    if (vp_xml_number(node, "<quota>", digits, 0, LLONG_MAX, &value, err) < 0)
        return -1;
    *quota = (long long)value;
    return 0;
}

static enum vp_scheduler scheduler_of(const char *word)
{
    for (enum vp_scheduler i = VP_SCHEDULER_BATCH; word && i <= VP_SCHEDULER_RR; i++)
        if (strcmp(word, vp_scheduler_word(i)) == 0)
            return i;
    return VP_SCHEDULER_OTHER;
}

static int read_scheduler(const xmlNode *node, struct vp_guest_scheduler *to, struct vp_error *err)
{
    uint64_t priority = 0;

    if (vp_xml_attr_cpuset(node, "vcpus", &to->vcpus, err) < 0 ||
        vp_xml_attr_number(node, "priority", 0, INT_MAX, &priority, err) < 0)
        return -1;
    to->scheduler.policy = scheduler_of(vp_xml_attr(node, "scheduler"));
    to->scheduler.priority = (unsigned)priority;
    return 0;
}

/* A set has a kilobyte: no more of them than a guest has vCPUs. */
static int read_schedulers(const xmlNode *cputune, struct vp_guest_tuning *tuning,
                           struct vp_error *err)
{
    const xmlNode *first = vp_xml_child(cputune, "vcpusched");
    struct vp_guest_scheduler *grown;
    size_t count = 0;

    for (const xmlNode *node = first; node; node = vp_xml_again(node))
        count++;
    if (count == 0)
        return 0;
    if (count + tuning->scheduler_count > VP_VCPUS_MAX)
        return vp_fail(err, VP_INPUT, "line %ld: <cputune>: found %zu schedulers, legal at most %u",
                       xmlGetLineNo(cputune), count, VP_VCPUS_MAX);
    grown = reallocarray(tuning->scheduler, tuning->scheduler_count + count, sizeof(*grown));
    if (!grown)
        return vp_xml_no_memory(err);
    tuning->scheduler = grown;
    for (const xmlNode *node = first; node; node = vp_xml_again(node)) {
        struct vp_guest_scheduler *to = &grown[tuning->scheduler_count];

        memset(to, 0, sizeof(*to));
        if (read_scheduler(node, to, err) < 0)
            return -1;
        tuning->scheduler_count++;
    }
    return 0;
}

int vp_domain_read_tuning(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    struct vp_guest_tuning *tuning = &domain->tuning;
    const xmlNode *shares = vp_xml_child(node, "shares");
    const xmlNode *period = vp_xml_child(node, "period");
    const xmlNode *quota = vp_xml_child(node, "quota");

    if (shares && !tuning->has_shares) {
        tuning->has_shares = true;
        if (read_amount(shares, "<shares>", &tuning->shares, err) < 0)
            return -1;
    }
    if (period && tuning->period == 0 && read_amount(period, "<period>", &tuning->period, err) < 0)
        return -1;
    if (quota && tuning->quota == 0 && read_quota(quota, &tuning->quota, err) < 0)
        return -1;
    return read_schedulers(node, tuning, err);
}
