/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/error.h"

/* More than any host has CPUs for: keeps a made-up list from costing memory. */
#define IOTHREADS_MAX 8192

int vp_domain_read_vcpu(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    VP_AUTO(free) char *text = vp_xml_text(node);
    const char *placement = vp_xml_attr(node, "placement");
    uint64_t maximum = 0, current;

    if (!text)
        return vp_xml_no_memory(err);
    if (vp_xml_number(node, "<vcpu>", text, 1, VP_VCPUS_MAX, &maximum, err) < 0)
        return -1;
    current = maximum;
    if (vp_xml_attr_number(node, "current", 1, maximum, &current, err) < 0)
        return -1;
    domain->vcpus = (unsigned)maximum;
    domain->vcpus_current = (unsigned)current;
    domain->placement_auto = placement && strcmp(placement, "auto") == 0;
    if (!vp_xml_attr(node, "cpuset"))
        return 0;
    domain->has_vcpu_cpuset = true;
    return vp_xml_attr_cpuset(node, "cpuset", &domain->vcpu_cpuset, err);
}

int vp_domain_read_vcpus(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    for (const xmlNode *vcpu = vp_xml_child(node, "vcpu"); vcpu; vcpu = vp_xml_again(vcpu)) {
        const char *enabled = vp_xml_attr(vcpu, "enabled");
        const char *hotpluggable = vp_xml_attr(vcpu, "hotpluggable");
        uint64_t id = UINT64_MAX;

        if (vp_xml_attr_number(vcpu, "id", 0, VP_VCPUS_MAX - 1, &id, err) < 0)
            return -1;
        if (id == UINT64_MAX)
            return vp_fail(err, VP_INPUT,
                           "line %ld: <vcpu> in <vcpus>: found no id=, legal 0 to %u",
                           xmlGetLineNo(vcpu), VP_VCPUS_MAX - 1);
        if (!enabled || strcmp(enabled, "yes") != 0)
            continue;
        vp_cpuset_add(&domain->vcpus_online, (int)id);
        if (hotpluggable && strcmp(hotpluggable, "yes") == 0)
            vp_cpuset_add(&domain->vcpus_hotpluggable, (int)id);
    }
    domain->has_vcpus = true;
    if (!vp_cpuset_has(&domain->vcpus_online, 0))
        return vp_fail(err, VP_INPUT,
                       "line %ld: <vcpus>: found vCPU 0 not enabled, legal is enabled='yes'",
                       xmlGetLineNo(node));
    return 0;
}

/* ---- <iothreads>, <iothreadids> ---- */

static int by_number(const void *left, const void *right)
{
    unsigned a = *(const unsigned *)left, b = *(const unsigned *)right;

    return (a > b) - (a < b);
}

static int read_ids(const xmlNode *ids, struct vp_domain *domain, struct vp_error *err)
{
    for (const xmlNode *at = vp_xml_child(ids, "iothread"); at; at = vp_xml_again(at)) {
        uint64_t id = 0;

        if (vp_xml_attr_number(at, "id", 1, UINT_MAX, &id, err) < 0)
            return -1;
        if (id == 0)
            return vp_fail(err, VP_INPUT, "line %ld: <iothread>: found no id=, legal 1 to %u",
                           xmlGetLineNo(at), UINT_MAX);
        domain->iothread[domain->iothread_count++] = (unsigned)id;
    }
    if (domain->iothread_count > 0)
        qsort(domain->iothread, domain->iothread_count, sizeof(unsigned), by_number);
    for (size_t i = 1; i < domain->iothread_count; i++)
        if (domain->iothread[i] == domain->iothread[i - 1])
            return vp_fail(err, VP_INPUT, "line %ld: <iothreadids>: found id %u twice",
                           xmlGetLineNo(ids), domain->iothread[i]);
    return 0;
}

/* libvirt gives the threads that <iothreadids> does not name the lowest free
 * ids (virDomainDefMaybeAddIOThreads...; docs/formatdomain.rst, IOThreads). */
static void fill_ids(struct vp_domain *domain, size_t want)
{
    size_t named = domain->iothread_count, at = 0;

    for (unsigned id = 1; domain->iothread_count < want; id++) {
        while (at < named && domain->iothread[at] < id)
            at++;
        if (at < named && domain->iothread[at] == id)
            continue;
        domain->iothread[domain->iothread_count++] = id;
    }
    if (want > named)
        qsort(domain->iothread, domain->iothread_count, sizeof(unsigned), by_number);
}

int vp_domain_read_iothreads(const xmlNode *iothreads, const xmlNode *ids, struct vp_domain *domain,
                             struct vp_error *err)
{
    VP_AUTO(free) char *text = iothreads ? vp_xml_text(iothreads) : NULL;
    uint64_t want = 0;
    size_t named = 0;

    if (iothreads && !text)
        return vp_xml_no_memory(err);
    if (iothreads &&
        vp_xml_number(iothreads, "<iothreads>", text, 0, IOTHREADS_MAX, &want, err) < 0)
        return -1;
    for (const xmlNode *at = vp_xml_child(ids, "iothread"); at; at = vp_xml_again(at))
        named++;
    if (named > IOTHREADS_MAX)
        return vp_fail(err, VP_INPUT, "line %ld: <iothreadids>: found %zu, legal at most %d",
                       xmlGetLineNo(ids), named, IOTHREADS_MAX);
    if (want == 0 && named == 0)
        return 0;
    domain->iothread = calloc(want > named ? want : named, sizeof(unsigned));
    if (!domain->iothread)
        return vp_xml_no_memory(err);
    if (named > 0 && read_ids(ids, domain, err) < 0)
        return -1;
    fill_ids(domain, (size_t)want);
    return 0;
}

/* ---- <cputune> ---- */

static int add_pin(const xmlNode *node, enum vp_role role, unsigned index, struct vp_domain *domain,
                   struct vp_error *err)
{
    struct vp_cpuset cpus;

    if (vp_xml_attr_cpuset(node, "cpuset", &cpus, err) < 0)
        return -1;
    if (vp_pins_add(&domain->pins, role, index, &cpus) < 0)
        return vp_xml_no_memory(err);
    return 0;
}

static int read_pin(const xmlNode *node, enum vp_role role, const char *name, uint64_t low,
                    uint64_t high, struct vp_domain *domain, struct vp_error *err)
{
    uint64_t index = UINT64_MAX;

    if (vp_xml_attr_number(node, name, low, high, &index, err) < 0)
        return -1;
    if (index == UINT64_MAX)
        return vp_fail(err, VP_INPUT, "line %ld: <%s>: found no %s=, legal %llu to %llu",
                       xmlGetLineNo(node), (const char *)node->name, name, (unsigned long long)low,
                       (unsigned long long)high);
    return add_pin(node, role, (unsigned)index, domain, err);
}

static int read_tuning(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    if (vp_xml_is(node, "vcpupin"))
        return read_pin(node, VP_ROLE_VCPU, "vcpu", 0, VP_VCPUS_MAX - 1, domain, err);
    if (vp_xml_is(node, "iothreadpin"))
        return read_pin(node, VP_ROLE_IOTHREAD, "iothread", 1, UINT_MAX, domain, err);
    if (vp_xml_is(node, "emulatorpin"))
        return add_pin(node, VP_ROLE_EMULATOR, 0, domain, err);
    return 0;
}

/* libvirt refuses two pins of one thread; so nothing here needs to guess
 * which of them holds. */
static int check_twice(const xmlNode *node, const struct vp_pins *pins, struct vp_error *err)
{
    VP_AUTO(free) const struct vp_pin **sorted = NULL;

    if (pins->count < 2)
        return 0;
    sorted = vp_pins_sorted(pins);
    if (!sorted)
        return vp_xml_no_memory(err);
    for (size_t i = 1; i < pins->count; i++)
        if (sorted[i]->role == sorted[i - 1]->role && sorted[i]->index == sorted[i - 1]->index)
            return vp_fail(err, VP_INPUT, "line %ld: <cputune>: found %s %u pinned twice",
                           xmlGetLineNo(node), vp_role_word(sorted[i]->role), sorted[i]->index);
    return 0;
}

int vp_domain_read_cputune(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    size_t count = 0;

    /* Each pin holds a set of a kilobyte. */
    for (const xmlNode *child = node->children; child; child = child->next)
        count += vp_xml_is(child, "vcpupin") || vp_xml_is(child, "iothreadpin");
    if (count > VP_VCPUS_MAX + IOTHREADS_MAX)
        return vp_fail(err, VP_INPUT, "line %ld: <cputune>: found %zu pins, legal at most %d",
                       xmlGetLineNo(node), count, VP_VCPUS_MAX + IOTHREADS_MAX);
    for (const xmlNode *child = node->children; child; child = child->next)
        if (read_tuning(child, domain, err) < 0)
            return -1;
    return check_twice(node, &domain->pins, err);
}
