/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/domain.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/rewriteagent.h"
#include "decide/error.h"

/* The children of <domain> that are read, each the first of its name as in
 * libvirt. cputune is apart: libvirt reads the pins of all. */
enum part {
    PART_NAME,
    PART_UUID,
    PART_TITLE,
    PART_METADATA,
    PART_MEMORY,
    PART_VCPU,
    PART_VCPUS,
    PART_IOTHREADS,
    PART_IOTHREADIDS,
    PART_RESOURCE,
    PART_OS,
    PART_CPU,
    PART_CPUTUNE,
    PART_DEVICES,
    PARTS,
};

static const char *const part_name[PARTS] = {
    "name",      "uuid",        "title",    "metadata", "memory", "vcpu",    "vcpus",
    "iothreads", "iothreadids", "resource", "os",       "cpu",    "cputune", "devices",
};

static void find_parts(const xmlNode *root, const xmlNode **part)
{
    for (const xmlNode *child = root->children; child; child = child->next) {
        if (child->type != XML_ELEMENT_NODE || child->ns)
            continue;
        for (int i = 0; i < PARTS; i++)
            if (!part[i] && strcmp((const char *)child->name, part_name[i]) == 0)
                part[i] = child;
    }
}

static int copy_text(const xmlNode *node, char **text, struct vp_error *err)
{
    if (node && !(*text = vp_xml_text(node)))
        return vp_xml_no_memory(err);
    return 0;
}

static int read_name(const xmlNode *root, const xmlNode *node, struct vp_domain *domain,
                     struct vp_error *err)
{
    if (copy_text(node, &domain->name, err) < 0)
        return -1;
    /* A slash or a newline in a name would reach paths and journal lines. */
    if (!domain->name || domain->name[0] == '\0' || strpbrk(domain->name, "/\n"))
        return vp_fail(err, VP_INPUT,
                       "line %ld: <name>: found \"%.60s\", legal is a name without / and newline",
                       xmlGetLineNo(node ? node : root), domain->name ? domain->name : "");
    return 0;
}

/* libvirt takes UUIDs with and without dashes (virUUIDParse). */
static int read_uuid(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    VP_AUTO(free) char *text = node ? vp_xml_text(node) : NULL;
    const char *at;
    size_t digits = 0, used = 0;

    if (!node)
        return 0;
    if (!text)
        return vp_xml_no_memory(err);
    for (at = text + strspn(text, " \t\r\n"); isxdigit((unsigned char)*at) || *at == '-'; at++) {
        if (*at == '-')
            continue;
        if (digits == 32)
            break;
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20)
            domain->uuid[used++] = '-';
        domain->uuid[used++] = (char)tolower((unsigned char)*at);
        digits++;
    }
    if (digits == 32 && at[strspn(at, " \t\r\n")] == '\0')
        return 0;
    return vp_fail(err, VP_INPUT, "line %ld: <uuid>: found \"%.60s\", legal is a UUID",
                   xmlGetLineNo(node), text);
}

/* ---- <metadata> ---- */

#define URI_MAX 1024

/* Its name is copied with each element: a long URI said once and used a
 * hundred thousand times would fill the memory. No match-metadata can name a
 * URI that is longer than a line of a policy file. */
static bool is_metadata(const xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE && node->ns && node->ns->href &&
           strnlen((const char *)node->ns->href, URI_MAX + 1) <= URI_MAX;
}

static int add_metadata(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    struct vp_metadata_element *element = &domain->metadata[domain->metadata_count];

    if (asprintf(&element->name, "{%s}%s", (const char *)node->ns->href, (const char *)node->name) <
        0) {
        element->name = NULL;
        return vp_xml_no_memory(err);
    }
    domain->metadata_count++;
    element->text = vp_xml_text(node);
    return element->text ? 0 : vp_xml_no_memory(err);
}

static int read_known(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    if (!domain->named_policy && vp_xml_is_ns(node, VP_NS_GUEST, "guest"))
        return vp_xml_attr_copy(node, "policy", &domain->named_policy, err);
    if (!domain->applied_policy && vp_xml_is_ns(node, VP_NS_APPLIED, "applied")) {
        domain->applied_memory = vp_xml_attr(node, "memory") != NULL;
        return vp_xml_attr_copy(node, "policy", &domain->applied_policy, err);
    }
    if (!domain->os && vp_xml_is_ns(node, VP_NS_LIBOSINFO, "libosinfo"))
        for (const xmlNode *os = node->children; os; os = os->next)
            if (vp_xml_is_ns(os, VP_NS_LIBOSINFO, "os"))
                return vp_xml_attr_copy(os, "id", &domain->os, err);
    return 0;
}

static int read_metadata(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    size_t count = 0;

    for (const xmlNode *child = node->children; child; child = child->next)
        count += is_metadata(child);
    if (count == 0)
        return 0;
    domain->metadata = calloc(count, sizeof(*domain->metadata));
    if (!domain->metadata)
        return vp_xml_no_memory(err);
    for (const xmlNode *child = node->children; child; child = child->next) {
        if (!is_metadata(child))
            continue;
        if (add_metadata(child, domain, err) < 0 || read_known(child, domain, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the rest ---- */

static int read_memory(const xmlNode *node, struct vp_domain *domain, struct vp_error *err)
{
    VP_AUTO(free) char *text = node ? vp_xml_text(node) : NULL;

    if (!node) {
        /* As libvirt does: the memory is then the cells' sum. */
        for (size_t i = 0; i < domain->cell_count; i++)
            if (__builtin_add_overflow(domain->memory_kib, domain->cell[i].memory_kib,
                                       &domain->memory_kib))
                domain->memory_kib = UINT64_MAX;
        return 0;
    }
    if (!text)
        return vp_xml_no_memory(err);
    return vp_xml_size_kib(node, "<memory>", text, vp_xml_attr(node, "unit"), &domain->memory_kib,
                           err);
}

static int read_place(const xmlNode *resource, struct vp_domain *domain, struct vp_error *err)
{
    const xmlNode *partition = vp_xml_child(resource, "partition");

    if (partition)
        return copy_text(partition, &domain->partition, err);
    domain->partition = strdup("/machine");
    return domain->partition ? 0 : vp_xml_no_memory(err);
}

static int read_root(const xmlNode *root, struct vp_domain *domain, struct vp_error *err)
{
    uint64_t id = UINT64_MAX;

    domain->id = -1;
    if (vp_xml_attr_copy(root, "type", &domain->type, err) < 0)
        return -1;
    /* libvirt takes -1 for a guest that does not run. */
    if (vp_xml_attr(root, "id") && strcmp(vp_xml_attr(root, "id"), "-1") == 0)
        return 0;
    if (vp_xml_attr_number(root, "id", 0, INT_MAX, &id, err) < 0)
        return -1;
    if (id != UINT64_MAX)
        domain->id = (int)id;
    return 0;
}

static int read_vcpus(const xmlNode *const *part, struct vp_domain *domain, struct vp_error *err)
{
    domain->vcpus = domain->vcpus_current = 1; /* libvirt's, without <vcpu> */
    if (part[PART_VCPU] && vp_domain_read_vcpu(part[PART_VCPU], domain, err) < 0)
        return -1;
    if (part[PART_VCPUS])
        return vp_domain_read_vcpus(part[PART_VCPUS], domain, err);
    vp_cpuset_add_range(&domain->vcpus_online, 0, (int)domain->vcpus_current - 1);
    return 0;
}

static int read_pins(const xmlNode *first, struct vp_domain *domain, struct vp_error *err)
{
    for (const xmlNode *cputune = first; cputune; cputune = vp_xml_again(cputune))
        if (vp_domain_read_cputune(cputune, domain, err) < 0 ||
            vp_domain_read_tuning(cputune, domain, err) < 0)
            return -1;
    return 0;
}

/* With other cells these would name ones that are not there, or others. Nodes of
 * memory that virtpin wrote are written anew with the cells. */
static const char *cells_named_by(const xmlNode *root, const xmlNode *devices, bool own_memory)
{
    const xmlNode *huge = vp_xml_child(vp_xml_child(root, "memoryBacking"), "hugepages");

    for (const xmlNode *page = vp_xml_child(huge, "page"); page; page = vp_xml_again(page))
        if (vp_xml_attr(page, "nodeset"))
            return "<hugepages>";
    for (const xmlNode *tune = own_memory ? NULL : vp_xml_child(root, "numatune"); tune;
         tune = vp_xml_again(tune))
        if (vp_xml_child(tune, "memnode"))
            return "<memnode>";
    return vp_xml_child(devices, "memory") ? "a memory device" : NULL;
}

static int read_domain(const xmlNode *root, struct vp_domain *domain, struct vp_error *err)
{
    const xmlNode *part[PARTS] = {0};
    const xmlNode *os_type;

    find_parts(root, part);
    os_type = vp_xml_child(part[PART_OS], "type");
    if (read_root(root, domain, err) < 0 || read_name(root, part[PART_NAME], domain, err) < 0 ||
        read_uuid(part[PART_UUID], domain, err) < 0 ||
        copy_text(part[PART_TITLE], &domain->title, err) < 0 ||
        vp_xml_attr_copy(os_type, "arch", &domain->arch, err) < 0 ||
        vp_xml_attr_copy(os_type, "machine", &domain->machine, err) < 0 ||
        read_place(part[PART_RESOURCE], domain, err) < 0 || read_vcpus(part, domain, err) < 0)
        return -1;
    if (part[PART_METADATA] && read_metadata(part[PART_METADATA], domain, err) < 0)
        return -1;
    domain->has_agent = vp_agent_channel(part[PART_DEVICES]) != NULL;
    if (part[PART_CPU] && vp_domain_read_cpu(part[PART_CPU], domain, err) < 0)
        return -1;
    if (vp_domain_read_features(vp_xml_child(root, "features"), domain, err) < 0)
        return -1;
    if (vp_domain_read_devices(part[PART_DEVICES], domain, err) < 0 ||
        vp_domain_read_backing(vp_xml_child(root, "memoryBacking"), domain, err) < 0 ||
        vp_domain_read_numatune(vp_xml_child(root, "numatune"), domain, err) < 0)
        return -1;
    if (read_memory(part[PART_MEMORY], domain, err) < 0 ||
        vp_domain_read_iothreads(part[PART_IOTHREADS], part[PART_IOTHREADIDS], domain, err) < 0)
        return -1;
    domain->cells_named_by = cells_named_by(root, part[PART_DEVICES], domain->applied_memory);
    return read_pins(part[PART_CPUTUNE], domain, err);
}

int vp_domain_read(xmlNode *node, struct vp_domain **domain, struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *draft = NULL;

    *domain = NULL;
    if (!node || !vp_xml_is(node, "domain"))
        return vp_fail(err, VP_INPUT, "found <%.40s> as the outermost element, legal is <domain>",
                       node && node->name ? (const char *)node->name : "");
    draft = calloc(1, sizeof(*draft));
    if (!draft)
        return vp_xml_no_memory(err);
    if (read_domain(node, draft, err) < 0)
        return vp_xml_clean(err);
    *domain = VP_STEAL(draft);
    return 0;
}

int vp_domain_parse(const char *bytes, size_t length, struct vp_domain **domain,
                    struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(bytes, length, err);

    *domain = NULL;
    if (!doc)
        return -1;
    return vp_domain_read(xmlDocGetRootElement(doc), domain, err);
}

void vp_domain_free(struct vp_domain *domain)
{
    if (!domain)
        return;
    for (size_t i = 0; i < domain->metadata_count; i++) {
        free(domain->metadata[i].name);
        free(domain->metadata[i].text);
    }
    free(domain->metadata);
    free(domain->name);
    free(domain->title);
    free(domain->os);
    free(domain->type);
    free(domain->arch);
    free(domain->machine);
    free(domain->partition);
    free(domain->named_policy);
    free(domain->applied_policy);
    free(domain->iothread);
    vp_domain_clear_devices(domain);
    vp_domain_clear_cpu(domain);
    vp_pins_clear(&domain->pins);
    free(domain->tuning.scheduler);
    free(domain->numatune.cell);
    free(domain);
}

void vp_domain_facts(const struct vp_domain *domain, const char *nodename,
                     struct vp_match_facts *facts)
{
    *facts = (struct vp_match_facts){
        .name = domain->name,
        .uuid = domain->uuid[0] != '\0' ? domain->uuid : NULL,
        .title = domain->title,
        .os = domain->os,
        .type = domain->type,
        .arch = domain->arch,
        .machine = domain->machine,
        .partition = domain->partition,
        .host = nodename,
        .vcpus = domain->vcpus,
        .memory_kib = domain->memory_kib,
        .named_policy = domain->named_policy,
        .metadata = domain->metadata,
        .metadata_count = domain->metadata_count,
    };
}
