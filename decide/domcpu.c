/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/error.h"

static int read_part(const xmlNode *topology, const char *name, unsigned *part,
                     struct vp_error *err)
{
    uint64_t value = 1;

    if (vp_xml_attr_number(topology, name, 1, VP_VCPUS_MAX, &value, err) < 0)
        return -1;
    *part = (unsigned)value;
    return 0;
}

static int read_topology(const xmlNode *node, struct vp_guest_cpu *cpu, struct vp_error *err)
{
    struct vp_guest_topology *to = &cpu->topology;

    if (read_part(node, "sockets", &to->sockets, err) < 0 ||
        read_part(node, "dies", &to->dies, err) < 0 ||
        read_part(node, "clusters", &to->clusters, err) < 0 ||
        read_part(node, "cores", &to->cores, err) < 0 ||
        read_part(node, "threads", &to->threads, err) < 0)
        return -1;
    cpu->has_topology = true;
    return 0;
}

static int add_feature(const xmlNode *node, struct vp_guest_cpu *cpu, struct vp_error *err)
{
    struct vp_cpu_feature *feature = &cpu->feature[cpu->feature_count];

    *feature = (struct vp_cpu_feature){0};
    cpu->feature_count++;
    if (vp_xml_attr_copy(node, "name", &feature->name, err) < 0 ||
        vp_xml_attr_copy(node, "policy", &feature->policy, err) < 0)
        return -1;
    if (!feature->name)
        return vp_fail(err, VP_INPUT, "line %ld: <feature>: found no name=, legal is a CPU feature",
                       xmlGetLineNo(node));
    return 0;
}

static int read_features(const xmlNode *node, struct vp_guest_cpu *cpu, struct vp_error *err)
{
    size_t count = 0;

    for (const xmlNode *child = node->children; child; child = child->next)
        count += vp_xml_is(child, "feature");
    if (count == 0)
        return 0;
    cpu->feature = calloc(count, sizeof(*cpu->feature));
    if (!cpu->feature)
        return vp_xml_no_memory(err);
    for (const xmlNode *child = node->children; child; child = child->next)
        if (vp_xml_is(child, "feature") && add_feature(child, cpu, err) < 0)
            return -1;
    return 0;
}

static bool has_cell(const struct vp_domain *domain, uint64_t id)
{
    for (size_t i = 0; i < domain->cell_count; i++) {
        if (domain->cell[i].id == id)
            return true;
    }
    return false;
}

/* Ids may be left out: cells are then numbered as they stand. Of two with the
 * same id libvirt wants to know nothing (virDomainNumaDefParseXML). */
static int read_cell(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    struct vp_guest_cell *cell = &domain->cell[domain->cell_count];
    const char *memory = vp_xml_attr(node, "memory");
    uint64_t id = domain->cell_count;

    *cell = (struct vp_guest_cell){0};
    if (vp_xml_attr_number(node, "id", 0, VP_VCPUS_MAX - 1, &id, err) < 0)
        return -1;
    if (has_cell(domain, id))
        return vp_fail(err, VP_INPUT,
                       "line %ld: <cell>: found a second one with id %llu, legal each id once",
                       xmlGetLineNo(node), (unsigned long long)id);
    cell->id = (unsigned)id;
    if (vp_xml_attr(node, "cpus") && vp_xml_attr_cpuset(node, "cpus", &cell->vcpus, err) < 0)
        return -1;
    if (memory && vp_xml_size_kib(node, "<cell memory=>", memory, vp_xml_attr(node, "unit"),
                                  &cell->memory_kib, err) < 0)
        return -1;
    domain->cell_count++;
    return 0;
}

static int read_numa(const xmlNode *numa, struct vp_domain *domain, struct vp_error *err)
{
    size_t count = 0;

    for (const xmlNode *cell = vp_xml_child(numa, "cell"); cell; cell = vp_xml_again(cell))
        count++;
    if (count > VP_VCPUS_MAX)
        return vp_fail(err, VP_INPUT, "line %ld: <numa>: found %zu cells, legal at most %d",
                       xmlGetLineNo(numa), count, VP_VCPUS_MAX);
    if (count == 0)
        return 0;
    domain->cell = calloc(count, sizeof(*domain->cell));
    if (!domain->cell)
        return vp_xml_no_memory(err);
    for (const xmlNode *cell = vp_xml_child(numa, "cell"); cell; cell = vp_xml_again(cell))
        if (read_cell(cell, domain, err) < 0)
            return -1;
    return 0;
}

static int read_model(const xmlNode *node, struct vp_guest_cpu *cpu, struct vp_error *err)
{
    const char *blanks = " \t\r\n";
    char *text;
    size_t start;

    if (vp_xml_attr_copy(node, "fallback", &cpu->fallback, err) < 0)
        return -1;
    text = vp_xml_text(node);
    if (!text)
        return vp_xml_no_memory(err);
    /* <model fallback='allow'/> under host-model names no model. */
    start = strspn(text, blanks);
    if (text[start] != '\0' &&
        !(cpu->model = strndup(text + start, strcspn(text + start, blanks)))) {
        free(text);
        return vp_xml_no_memory(err);
    }
    free(text);
    return 0;
}

static int read_details(const xmlNode *node, struct vp_guest_cpu *cpu, struct vp_error *err)
{
    const xmlNode *cache = vp_xml_child(node, "cache"), *addr = vp_xml_child(node, "maxphysaddr");

    if (vp_xml_attr_copy(cache, "mode", &cpu->cache, err) < 0 ||
        vp_xml_attr_copy(cache, "level", &cpu->cache_level, err) < 0 ||
        vp_xml_attr_copy(addr, "mode", &cpu->addr_mode, err) < 0 ||
        vp_xml_attr_copy(addr, "bits", &cpu->addr_bits, err) < 0)
        return -1;
    return 0;
}

/* A switch that is there without state= is on (virDomainFeaturesDefParse). */
static int read_switch(const xmlNode *node, char **state, struct vp_error *err)
{
    if (!node)
        return 0;
    if (vp_xml_attr_copy(node, "state", state, err) < 0)
        return -1;
    if (!*state && !(*state = strdup("on")))
        return vp_xml_no_memory(err);
    return 0;
}

int vp_domain_read_features(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    const xmlNode *kvm = vp_xml_child(node, "kvm");
    const xmlNode *hint = kvm ? vp_xml_child(kvm, "hint-dedicated") : NULL;

    if (read_switch(vp_xml_child(node, "pmu"), &domain->cpu.pmu, err) < 0)
        return -1;
    return read_switch(hint, &domain->cpu.hint_dedicated, err);
}

int vp_domain_read_cpu(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    struct vp_guest_cpu *cpu = &domain->cpu;
    const xmlNode *child;

    cpu->present = true;
    if (vp_xml_attr_copy(node, "mode", &cpu->mode, err) < 0 ||
        vp_xml_attr_copy(node, "match", &cpu->match, err) < 0 ||
        vp_xml_attr_copy(node, "check", &cpu->check, err) < 0 ||
        vp_xml_attr_copy(node, "migratable", &cpu->migratable, err) < 0 ||
        read_details(node, cpu, err) < 0)
        return -1;
    child = vp_xml_child(node, "model");
    if (child && read_model(child, cpu, err) < 0)
        return -1;
    child = vp_xml_child(node, "topology");
    if (child && read_topology(child, cpu, err) < 0)
        return -1;
    if (read_features(node, cpu, err) < 0)
        return -1;
    child = vp_xml_child(node, "numa");
    return child ? read_numa(child, domain, err) : 0;
}

void vp_domain_clear_cpu(struct vp_domain *domain)
{
    struct vp_guest_cpu *cpu = &domain->cpu;

    for (size_t i = 0; i < cpu->feature_count; i++) {
        free(cpu->feature[i].name);
        free(cpu->feature[i].policy);
    }
    free(cpu->feature);
    free(cpu->mode);
    free(cpu->match);
    free(cpu->check);
    free(cpu->migratable);
    free(cpu->model);
    free(cpu->fallback);
    free(cpu->cache);
    free(cpu->cache_level);
    free(cpu->addr_mode);
    free(cpu->addr_bits);
    free(cpu->pmu);
    free(cpu->hint_dedicated);
    free(domain->cell);
}
