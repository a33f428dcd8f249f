/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOMAIN_H
#define VP_DOMAIN_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/cpuset.h"
#include "decide/pins.h"
#include "decide/policy.h"

struct vp_error;

/* libvirt's domain XML as virtpin sees it. Elements and attributes:
 * libvirt's docs/formatdomain.rst, 9.0.0 to 11.3.0. */

#define VP_UUID_TEXT 37
#define VP_VCPUS_MAX 8192
#define VP_XML_MAX (16u << 20) /* bytes; libvirt's own limit for an RPC string is 4 MiB */

struct vp_cpu_feature {
    char *name;
    char *policy; /* NULL where absent */
};

/* <cpu>; strings are NULL where the XML has no such attribute or element. */
struct vp_guest_cpu {
    bool present;
    char *mode, *match, *check, *migratable, *model, *fallback;
    char *cache, *cache_level;   /* <cache mode= level=> */
    char *addr_mode, *addr_bits; /* <maxphysaddr mode= bits=> */
    char *pmu, *hint_dedicated;  /* state= of <pmu> and <kvm><hint-dedicated> in <features> */
    struct vp_cpu_feature *feature;
    size_t feature_count;
    bool has_topology;
    struct vp_guest_topology topology; /* omitted parts are 1 */
};

/* <vcpusched>; a scheduler that virtpin has no word for is OTHER. */
struct vp_guest_scheduler {
    struct vp_cpuset vcpus;
    struct vp_vcpu_scheduler scheduler;
};

/* <cputune>: what concerns CPU time. */
struct vp_guest_tuning {
    bool has_shares;
    uint64_t shares;
    uint64_t period; /* 0 where absent */
    long long quota; /* 0 where absent; negative: no limit */
    struct vp_guest_scheduler *scheduler;
    size_t scheduler_count;
};

struct vp_guest_cell {
    unsigned id;
    struct vp_cpuset vcpus;
    uint64_t memory_kib;
};

/* <numatune>, as far as libvirt writes cpuset.mems by it: strict and
 * restrictive do, other modes leave the groups' nodes alone. */
struct vp_guest_numatune {
    bool confines;          /* <memory mode=> strict or restrictive */
    bool unknown;           /* placement='auto', or no list of nodes can be read */
    struct vp_cpuset nodes; /* <memory nodeset=> */
    struct vp_cpuset *cell; /* those of each <memnode>; owned */
    size_t cell_count;
};

struct vp_domain {
    int id; /* -1: not running */
    char *name;
    char uuid[VP_UUID_TEXT]; /* lower case; "" where the XML has none */
    char *title, *os, *type, *arch, *machine, *partition; /* partition: "/machine" where absent */
    char *named_policy;   /* <virtpin:guest xmlns='urn:virtpin:guest:1' policy=>, or NULL */
    char *applied_policy; /* policy= of our mark urn:virtpin:applied:1, or NULL: no mark */
    bool applied_memory;  /* the mark says that <numatune> is ours */
    struct vp_metadata_element *metadata; /* direct children of <metadata> */
    size_t metadata_count;
    uint64_t memory_kib;
    unsigned vcpus, vcpus_current;       /* maximum; at boot */
    struct vp_cpuset vcpus_online;       /* from <vcpus>, else 0..current-1 */
    bool has_vcpus;                      /* <vcpus> is there */
    struct vp_cpuset vcpus_hotpluggable; /* of those online */
    unsigned vhosts;                     /* vhost threads that its devices have */
    struct vp_strings pci;               /* the host's PCI devices that it has: "0000:3b:00.0" */
    bool huge_pages;                     /* its memory is on huge pages: */
    uint64_t page_kib;                   /* their size, 0: the host's default */
    bool has_agent;                      /* a channel org.qemu.guest_agent.0 */
    struct vp_guest_cpu cpu;
    struct vp_guest_cell *cell;
    size_t cell_count;
    const char *cells_named_by; /* what else names cells by number, as a word; NULL: nothing */
    unsigned *iothread;         /* ids, ascending; <iothreads>N alone is 1..N */
    size_t iothread_count;
    bool placement_auto; /* <vcpu placement='auto'> (numad) */
    bool has_vcpu_cpuset;
    struct vp_cpuset vcpu_cpuset; /* <vcpu cpuset=> */
    struct vp_pins pins;          /* vcpupin, emulatorpin, iothreadpin as stated */
    struct vp_guest_tuning tuning;
    struct vp_guest_numatune numatune;
};

/* Parses bytes as one XML document, hardened: no network, no DTD (a DOCTYPE is
 * refused), no entity expansion, at most VP_XML_MAX bytes, libxml2's depth
 * limits; NULs and wrong encodings are refused. Nothing is printed. The caller
 * frees with xmlFreeDoc. VP_INPUT errors name the line. */
xmlDoc *vp_xml_parse(const char *bytes, size_t length, struct vp_error *err);

/* Reads <domain> at `node` (a <domain> element, e.g. the root). The caller
 * frees. VP_INPUT errors name the element, what was found and what is legal
 * (no name, vcpu not 1..8192, uuid not a uuid, bad cpuset...). */
int vp_domain_read(xmlNode *node, struct vp_domain **domain, struct vp_error *err);

/* Both in one: the root must be <domain>. */
int vp_domain_parse(const char *bytes, size_t length, struct vp_domain **domain,
                    struct vp_error *err);

/* How many threads a plan may have wants of: vCPUs, the emulator, I/O and vhost
 * threads. */
static inline size_t vp_domain_threads(const struct vp_domain *domain)
{
    return domain->vcpus + 1 + domain->iothread_count + domain->vhosts;
}

void vp_domain_free(struct vp_domain *domain);
static inline void vp_domain_cleanup(struct vp_domain **domain)
{
    vp_domain_free(*domain);
}
static inline void xmlFreeDoc_cleanup(xmlDoc **doc)
{
    xmlFreeDoc(*doc);
}

/* What policy matching looks at; points into `domain`, which must outlive it. */
void vp_domain_facts(const struct vp_domain *domain, const char *nodename,
                     struct vp_match_facts *facts);

/* ---- status XML: /run/libvirt/qemu/NAME.xml (<domstatus>), private to
 * libvirt but stable from 1.0 to 11.3 (src/conf/domain_conf.c,
 * virDomainObjFormat; src/qemu/qemu_domain.c) ---- */
struct vp_status_vcpu {
    unsigned id;
    pid_t tid;
};
struct vp_status {
    char *state, *reason; /* "running", "booted" */
    pid_t pid;            /* 0 if absent */
    struct vp_status_vcpu *vcpu;
    size_t vcpu_count;        /* 0 under single-threaded TCG and before the monitor is up */
    bool job;                 /* a job (migration, save, ...) is under way: <job type=> not none */
    bool migrating;           /* <job async='migration out|in'> */
    unsigned vhosts;          /* vhost threads that the domain's devices have */
    bool agent_blocks;        /* no <agentTimeout>, or -2: a call of the agent waits for ever */
    struct vp_domain *domain; /* with libvirt's live pins */
};
int vp_status_parse(const char *bytes, size_t length, struct vp_status **status,
                    struct vp_error *err);
void vp_status_free(struct vp_status *status);
static inline void vp_status_cleanup(struct vp_status **status)
{
    vp_status_free(*status);
}

#endif
