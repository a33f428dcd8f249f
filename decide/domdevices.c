/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest's devices mean for its place: vhost threads, PCI devices of the
 * host, the size of its memory's pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domread.h"
#include "decide/domxml.h"
#include "decide/error.h"

/* More than any host has CPUs for. */
#define VHOSTS_MAX 8192
#define QUEUES_MAX 256

static bool attr_is(const xmlNode *node, const char *name, const char *value)
{
    const char *has = vp_xml_attr(node, name);

    return has && strcmp(has, value) == 0;
}

/* ---- vhost threads ---- */

/* A virtio interface that the kernel drives: QEMU opens /dev/vhost-net once for
 * each pair of queues, and each has a thread (qemuInterfaceOpenVhostNet: only
 * under KVM unless <driver name='vhost'> asks for it). */
static bool is_vhost_net(const xmlNode *interface, const struct vp_domain *domain)
{
    static const char *const types[] = {"network", "bridge", "direct", "ethernet", "vdpa"};
    const xmlNode *driver = vp_xml_child(interface, "driver");
    const char *model = vp_xml_attr(vp_xml_child(interface, "model"), "type");
    bool fits = false;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        fits = fits || attr_is(interface, "type", types[i]);
    if (!fits || !model || strncmp(model, "virtio", 6) != 0 || attr_is(driver, "name", "qemu"))
        return false;
    return attr_is(driver, "name", "vhost") || (domain->type && strcmp(domain->type, "kvm") == 0);
}

static int count_interface(const xmlNode *interface, struct vp_domain *domain, struct vp_error *err)
{
    uint64_t queues = 1;

    if (!is_vhost_net(interface, domain))
        return 0;
    if (vp_xml_attr_number(vp_xml_child(interface, "driver"), "queues", 1, QUEUES_MAX, &queues,
                           err) < 0)
        return -1;
    domain->vhosts += (unsigned)queues;
    return 0;
}

/* ---- PCI devices ---- */

/* libvirt writes these in hexadecimal, with 0x, and reads them with strtoul. */
static int read_part(const xmlNode *address, const char *name, unsigned long high,
                     unsigned long *value, struct vp_error *err)
{
    const char *text = vp_xml_attr(address, name);
    char *end;

    *value = 0;
    if (!text)
        return 0;
    if (text[0] >= '0' && text[0] <= '9') {
        *value = strtoul(text, &end, 0);
        if (*end == '\0' && *value <= high)
            return 0;
    }
    return vp_fail(err, VP_INPUT, "line %ld: <address>: %s: found \"%.40s\", legal 0x0 to 0x%lx",
                   xmlGetLineNo(address), name, text, high);
}

static int add_pci(const xmlNode *address, struct vp_domain *domain, struct vp_error *err)
{
    unsigned long segment, bus, slot, function;
    struct vp_strings *pci = &domain->pci;

    if (read_part(address, "domain", UINT32_MAX, &segment, err) < 0 ||
        read_part(address, "bus", 0xff, &bus, err) < 0 ||
        read_part(address, "slot", 0x1f, &slot, err) < 0 ||
        read_part(address, "function", 7, &function, err) < 0)
        return -1;
    if ((pci->count & (pci->count - 1)) == 0) { /* room is a power of two */
        char **grown = reallocarray(pci->item, pci->count ? pci->count * 2 : 1, sizeof(*grown));

        if (!grown)
            return vp_xml_no_memory(err);
        pci->item = grown;
    }
    if (asprintf(&pci->item[pci->count], "%04lx:%02lx:%02lx.%lx", segment, bus, slot, function) < 0)
        return vp_xml_no_memory(err);
    pci->count++;
    return 0;
}

static int read_device(const xmlNode *device, struct vp_domain *domain, struct vp_error *err)
{
    const xmlNode *address = vp_xml_child(vp_xml_child(device, "source"), "address");

    if (vp_xml_is(device, "interface")) {
        if (attr_is(device, "type", "hostdev") && address)
            return add_pci(address, domain, err);
        return count_interface(device, domain, err);
    }
    if (vp_xml_is(device, "vsock"))
        domain->vhosts++;
    if (!vp_xml_is(device, "hostdev"))
        return 0;
    if (attr_is(device, "type", "scsi_host"))
        domain->vhosts++;
    return attr_is(device, "type", "pci") && address ? add_pci(address, domain, err) : 0;
}

int vp_domain_read_devices(const xmlNode *devices, struct vp_domain *domain, struct vp_error *err)
{
    for (const xmlNode *at = devices ? devices->children : NULL; at; at = at->next) {
        if (at->type != XML_ELEMENT_NODE)
            continue;
        if (read_device(at, domain, err) < 0)
            return -1;
        if (domain->vhosts > VHOSTS_MAX)
            return vp_fail(err, VP_INPUT, "line %ld: <%s>: found more than %d vhost threads",
                           xmlGetLineNo(at), (const char *)at->name, VHOSTS_MAX);
    }
    return 0;
}

/* ---- <memoryBacking> ---- */

int vp_domain_read_backing(const xmlNode *backing, struct vp_domain *domain, struct vp_error *err)
{
    const xmlNode *huge = vp_xml_child(backing, "hugepages");
    const xmlNode *page = vp_xml_child(huge, "page");

    if (!huge)
        return 0;
    domain->huge_pages = true;
    if (!page || !vp_xml_attr(page, "size"))
        return 0;
    return vp_xml_size_kib(page, "<page>", vp_xml_attr(page, "size"), vp_xml_attr(page, "unit"),
                           &domain->page_kib, err);
}

void vp_domain_clear_devices(struct vp_domain *domain)
{
    for (size_t i = 0; i < domain->pci.count; i++)
        free(domain->pci.item[i]);
    free(domain->pci.item);
}
