/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "decide/policy.h"

#define SERVED(...)                                                                                \
    true, &(const struct vp_key_use)                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define LATER false, NULL
#define P(field) .offset = offsetof(struct vp_policy, field)
#define H(field) .offset = offsetof(struct vp_host_conf, field)
#define L(field) .offset = offsetof(struct vp_pool_conf, field)
#define GLOBS(field) SERVED(.ops = &vp_ops_list, P(field), .own = true, .item = vp_item_glob)

#define PARTS_OF(field) SERVED(.ops = &vp_ops_number, P(field), .low = 1, .high = 8192)

#define CHOOSING "policy", "choosing"
#define CPU "policy", "guest CPU"
#define TOPOLOGY "policy", "guest topology"
#define PLACEMENT "policy", "placement"
#define THREADS "policy", "other threads"
#define TUNING "policy", "tuning"
#define ISOLATION "policy", "host isolation"
#define BEHAVIOUR "policy", "behaviour"
#define HOST "host", "host"
#define POOL "pool", "pool"

static const char globs[] = "globs, !GLOB excludes";
static const char list_legal[] = "with-emulator shared isolate with-vcpus CPULIST";

static const struct vp_key_row rows[] = {
    /* clang-format off */
    {CHOOSING, "base", "policy name", "-", "take that policy's keys first",
     SERVED(.ops = &vp_ops_string, P(base), .own = true, .item = vp_item_word)},
    {CHOOSING, "priority", "-1000..1000", "0", "the highest matching one wins",
     SERVED(.ops = &vp_ops_number, P(priority), .low = -1000, .high = 1000, .own = true)},
    {CHOOSING, "mode", "audit enforce off", "audit",
     "only compare and report; do it; leave the guest alone",
     SERVED(.ops = &vp_ops_word, P(mode), .low = VP_MODE_AUDIT)},
    {CHOOSING, "rollout", "0%..100%", "100%",
     "share of matching guests, by a stable hash of policy and uuid",
     SERVED(.ops = &vp_ops_percent, P(rollout), .own = true)},
    {CHOOSING, "by-metadata", "yes no", "no", "guests may name this policy in their metadata",
     SERVED(.ops = &vp_ops_yes_no, P(by_metadata), .own = true)},
    {CHOOSING, "match-name", globs, "-", "domain name", GLOBS(match_name)},
    {CHOOSING, "match-title", globs, "-", "domain title", GLOBS(match_title)},
    {CHOOSING, "match-uuid", "uuids", "-", "domain uuid, any case",
     SERVED(.ops = &vp_ops_list, P(match_uuid), .own = true, .item = vp_item_uuid)},
    {CHOOSING, "match-metadata", "{URI}element[=GLOB] ...", "-",
     "such an element in <metadata>, its text matching",
     SERVED(.ops = &vp_ops_list, P(match_metadata), .own = true, .item = vp_item_metadata)},
    {CHOOSING, "match-os", globs, "-", "libosinfo id, e.g. http://microsoft.com/win/*",
     GLOBS(match_os)},
    {CHOOSING, "match-type", "domain types such as kvm, qemu", "-", "the domain's type=",
     SERVED(.ops = &vp_ops_list, P(match_type), .own = true, .item = vp_item_word)},
    {CHOOSING, "match-arch", globs, "-", "os/type arch=", GLOBS(match_arch)},
    {CHOOSING, "match-machine", globs, "-", "machine= as libvirt expands it",
     GLOBS(match_machine)},
    {CHOOSING, "match-vcpus", "ranges such as 4 2-8 8- -4", "-", "maximum vCPUs",
     SERVED(.ops = &vp_ops_ranges, P(match_vcpus), .own = true)},
    {CHOOSING, "match-memory", "ranges such as 4GiB 512MiB-8GiB 16GiB- -4GiB", "-", "<memory>",
     SERVED(.ops = &vp_ops_size_ranges, P(match_memory), .own = true)},
    {CHOOSING, "match-partition", globs, "-", "resource/partition, /machine where absent",
     GLOBS(match_partition)},
    {CHOOSING, "match-host", globs, "-", "this host's nodename, or its first label",
     GLOBS(match_host)},

    {CPU, "cpu-mode", "keep custom host-model host-passthrough maximum", "keep", "<cpu mode=>",
     SERVED(.ops = &vp_ops_word, P(cpu_mode), .low = VP_CPU_KEEP)},
    {CPU, "cpu-models", "CPU models' names", "-", "custom: the first that this host can run",
     SERVED(.ops = &vp_ops_names, P(cpu_models), .item = vp_item_word)},
    {CPU, "cpu-match", "exact minimum strict", "exact", "custom: match=",
     SERVED(.ops = &vp_ops_word, P(cpu.match), .low = VP_MATCH_EXACT)},
    {CPU, "cpu-check", "keep none partial full", "keep", "check=",
     SERVED(.ops = &vp_ops_word, P(cpu.check), .low = VP_VERIFY_KEEP)},
    {CPU, "cpu-fallback", "allow forbid", "forbid", "custom: fallback= of the model",
     SERVED(.ops = &vp_ops_yes_no, P(cpu.fallback_allowed))},
    {CPU, "cpu-migratable", "keep on off", "keep", "host-passthrough, maximum: migratable=",
     SERVED(.ops = &vp_ops_word, P(cpu.migratable), .low = VP_SWITCH_KEEP)},
    {CPU, "cpu-features", "+N -N ?N !N =N ...", "-",
     "CPU features: require, disable, optional, forbid, force; others stay as they are",
     SERVED(.ops = &vp_ops_names, P(cpu.features), .item = vp_item_feature, .low = 1)},
    {CPU, "nested", "keep on off", "keep",
     "nested virtualisation in the guest; on requires vmx or svm and that the host's kvm module "
     "allows it, off disables it",
     SERVED(.ops = &vp_ops_word, P(cpu.nested), .low = VP_SWITCH_KEEP)},
    {CPU, "cpu-cache", "keep passthrough emulate disable", "keep",
     "<cache mode=>, emulate at level 3; passthrough only under host-passthrough and maximum",
     SERVED(.ops = &vp_ops_word, P(cpu.cache), .low = VP_CACHE_KEEP)},
    {CPU, "maxphysaddr", "keep passthrough emulate:BITS, BITS 32 to 52", "keep",
     "<maxphysaddr>; passthrough only under host-passthrough and maximum",
     SERVED(.ops = &vp_ops_maxphysaddr, P(cpu.maxphysaddr))},
    {CPU, "pmu", "keep on off", "keep", "<pmu> in <features>",
     SERVED(.ops = &vp_ops_word, P(cpu.pmu), .low = VP_SWITCH_KEEP)},
    {CPU, "kvm-hint-dedicated", "keep on off auto", "keep",
     "<hint-dedicated> in <kvm>; auto: on under placement = dedicated where the mode is "
     "host-passthrough or maximum, else off",
     SERVED(.ops = &vp_ops_word, P(cpu.hint_dedicated), .low = VP_SWITCH_KEEP)},

    {TOPOLOGY, "topology", "keep, auto, or parts such as sockets=2 dies=1 clusters=1 cores=4 threads=2",
     "keep", "omitted parts are 1; the product is the maximum vCPUs",
     SERVED(.ops = &vp_ops_topology, P(topology))},
    {TOPOLOGY, "max-sockets", "1..8192", "-", "limit for auto", PARTS_OF(max_sockets)},
    {TOPOLOGY, "max-cores", "1..8192", "-", "limit for auto, cores of a socket",
     PARTS_OF(max_cores)},
    {TOPOLOGY, "max-threads", "1..8192", "-", "limit for auto, threads of a core",
     PARTS_OF(max_threads)},
    {TOPOLOGY, "preferred-sockets", "1..8192", "-", "what auto prefers within the limits",
     PARTS_OF(preferred_sockets)},
    {TOPOLOGY, "preferred-cores", "1..8192", "-", "what auto prefers within the limits",
     PARTS_OF(preferred_cores)},
    {TOPOLOGY, "preferred-threads", "1..8192", "-", "what auto prefers within the limits",
     PARTS_OF(preferred_threads)},
    {TOPOLOGY, "guest-numa", "keep, auto, or 1..32", "keep",
     "guest NUMA cells; auto: one for each host node that the guest is placed on",
     SERVED(.ops = &vp_ops_keep_auto, P(guest_numa), .low = 1, .high = 32)},
    {TOPOLOGY, "vcpus", "keep, or 1..8192", "keep", "maximum vCPUs",
     SERVED(.ops = &vp_ops_keep_number, P(vcpus), .low = 1, .high = 8192)},
    {TOPOLOGY, "vcpus-current", "keep, or 1..8192", "keep", "vCPUs at boot",
     SERVED(.ops = &vp_ops_keep_number, P(vcpus_current), .low = 1, .high = 8192)},
    {TOPOLOGY, "vcpus-hotplug", "keep yes no", "keep",
     "yes: every vCPU but 0 can be unplugged; no: none that it boots with",
     SERVED(.ops = &vp_ops_word, P(vcpus_hotplug), .low = VP_HOTPLUG_KEEP)},
    {TOPOLOGY, "guest-agent", "keep yes", "keep", "adds the agent channel where missing",
     SERVED(.ops = &vp_ops_yes_no, P(guest_agent), .low = 1)},

    {PLACEMENT, "placement", "none shared dedicated mixed fixed", "none", "where vCPUs run",
     SERVED(.ops = &vp_ops_word, P(placement), .low = VP_PLACE_NONE)},
    {PLACEMENT, "dedicated-vcpus", "vCPU list such as 0-3", "-",
     "mixed: these get a CPU of their own, the others the pool",
     SERVED(.ops = &vp_ops_vcpus, P(dedicated_vcpus))},
    {PLACEMENT, "vcpupin", "VCPUS:CPUS ...", "-",
     "fixed; a range to an equal range is one to one (0-7:8-15)",
     SERVED(.ops = &vp_ops_vcpupin, P(vcpupin))},
    {PLACEMENT, "thread-policy", "prefer require isolate", "prefer", "thread siblings",
     SERVED(.ops = &vp_ops_word, P(thread_policy), .low = VP_THREADS_PREFER)},
    {PLACEMENT, "numa", "fewest single any spread", "fewest", "host nodes for the guest's CPUs",
     SERVED(.ops = &vp_ops_word, P(numa), .low = VP_NUMA_FEWEST)},
    {PLACEMENT, "cache", "prefer require any", "prefer",
     "L3 domains: as few as it takes, one for each guest NUMA cell, no matter",
     SERVED(.ops = &vp_ops_word, P(cache), .low = VP_CARE_PREFER)},
    {PLACEMENT, "core-type", "any performance efficiency", "any",
     "kinds of host CPUs: the most powerful, or the others",
     SERVED(.ops = &vp_ops_word, P(core_type), .low = VP_CORES_ANY)},
    {PLACEMENT, "pci-locality", "prefer require any", "prefer",
     "nodes of the guest's PCI devices",
     SERVED(.ops = &vp_ops_word, P(pci_locality), .low = VP_CARE_PREFER)},
    {PLACEMENT, "memory", "keep strict restrictive preferred", "keep",
     "numatune mode; not keep: the nodes' free memory limits placement",
     SERVED(.ops = &vp_ops_word, P(memory), .low = VP_MEMORY_KEEP)},
    {PLACEMENT, "fill", "pack spread", "pack", "among equals, the fullest or the emptiest node",
     SERVED(.ops = &vp_ops_word, P(fill), .low = VP_FILL_PACK)},
    {PLACEMENT, "reserve", "running always", "running",
     "always: the stopped guest keeps its CPUs, its definition its pins",
     SERVED(.ops = &vp_ops_word, P(reserve), .low = VP_RESERVE_RUNNING)},
    {PLACEMENT, "pool", "pool name", "default", "which [pool NAME] its shared threads run in",
     SERVED(.ops = &vp_ops_pool, P(pool))},

    {THREADS, "emulator", "shared isolate with-vcpus CPULIST", "shared",
     "emulator threads and helper processes",
     SERVED(.ops = &vp_ops_where, P(emulator))},
    {THREADS, "iothreads", list_legal, "with-emulator", "I/O threads",
     SERVED(.ops = &vp_ops_where, P(iothreads))},
    {THREADS, "vhost", list_legal, "with-emulator", "vhost threads",
     SERVED(.ops = &vp_ops_where, P(vhost))},

    {TUNING, "shares", "keep, or 2..262144 (cgroup v1), 1..10000 (v2)", "keep",
     "the guest's CPU shares, on cgroup v2 its weight",
     SERVED(.ops = &vp_ops_keep_number, P(tuning.shares), .low = 1, .high = 262144)},
    {TUNING, "period", "keep, or 1000..1000000", "keep", "microseconds, a vCPU's",
     SERVED(.ops = &vp_ops_keep_number, P(tuning.period), .low = 1000, .high = 1000000)},
    {TUNING, "quota", "keep, -1, or 1000..17592186044415", "keep",
     "microseconds of each period, a vCPU's; -1: no limit",
     SERVED(.ops = &vp_ops_quota, P(tuning.quota), .low = 1000, .high = 17592186044415)},
    {TUNING, "vcpu-scheduler", "keep, batch, idle, fifo:1 to fifo:99, rr:1 to rr:99", "keep",
     "scheduler of the vCPUs' threads; fifo and rr where the host lets groups have them",
     SERVED(.ops = &vp_ops_scheduler, P(tuning.scheduler), .low = 1, .high = 99)},

    {ISOLATION, "isolate-host", "off slices partition", "off", "keep host slices off its CPUs",
     LATER},
    {ISOLATION, "isolate-slices", "unit names", "system.slice user.slice init.scope", "which",
     LATER},
    {ISOLATION, "isolate-irqs", "yes no", "no", "IRQ affinity", LATER},
    {ISOLATION, "isolate-workqueues", "yes no", "no", "unbound workqueues", LATER},
    {ISOLATION, "cpu-governor", "keep NAME", "keep", "cpufreq governor of its CPUs", LATER},

    {BEHAVIOUR, "on-start", "allow refuse", "allow",
     "the guest CPU (mode, model, features, topology, vCPUs, NUMA cells) misses the policy at "
     "prepare",
     SERVED(.ops = &vp_ops_word, P(on_start), .low = VP_VERDICT_ALLOW)},
    {BEHAVIOUR, "on-no-room", "refuse shared", "refuse", "it does not fit",
     SERVED(.ops = &vp_ops_word, P(on_no_room), .low = VP_VERDICT_REFUSE)},
    {BEHAVIOUR, "on-migrate", "allow refuse", "allow",
     "the same of an incoming or restored guest",
     SERVED(.ops = &vp_ops_word, P(on_migrate), .low = VP_VERDICT_ALLOW)},
    {BEHAVIOUR, "on-error", "allow refuse", "[host]'s", "virtpin itself fails",
     SERVED(.ops = &vp_ops_word, P(on_error), .low = VP_VERDICT_ALLOW)},

    {HOST, "reserved", "none CPULIST", "none", "never a guest's",
     SERVED(.ops = &vp_ops_cpuset, H(reserved))},
    {HOST, "dedicated", "auto all CPULIST", "auto", "where dedicated vCPUs may go",
     SERVED(.ops = &vp_ops_cpus_choice, H(dedicated))},
    {HOST, "shared", "auto CPULIST", "auto", "the shared pool; auto: what is not taken",
     SERVED(.ops = &vp_ops_cpus_choice, H(shared))},
    {HOST, "isolated", "use avoid", "use", "isolcpus and nohz_full CPUs",
     SERVED(.ops = &vp_ops_yes_no, H(isolated_avoid), .low = 1)},
    {HOST, "reserved-memory", "size such as 512MiB", "0MiB", "kept from guests, each node",
     SERVED(.ops = &vp_ops_size, H(reserved_memory_kib))},
    {HOST, "uri", "libvirt URI", "qemu:///system", "for virtpind and virtpin",
     SERVED(.ops = &vp_ops_string, H(uri), .item = vp_item_uri)},
    {HOST, "tell-libvirt", "yes no", "yes", "set libvirt's live pins to what is in force",
     SERVED(.ops = &vp_ops_yes_no, H(tell_libvirt))},
    {HOST, "manage-slices", "yes no", "no", "undo narrowing above the guest",
     SERVED(.ops = &vp_ops_yes_no, H(manage_slices))},
    {HOST, "on-error", "allow refuse", "allow", "virtpin itself fails, where no policy says",
     SERVED(.ops = &vp_ops_word, H(on_error), .low = VP_VERDICT_ALLOW)},
    {HOST, "hook-limit", "time, 10ms to 1h", "2s", "hard end of a hook",
     SERVED(.ops = &vp_ops_time, H(hook_limit_ms), .low = 10, .high = 3600000)},
    {HOST, "sweep", "auto, or a time, 10ms to 1h", "auto", "how often everything is compared",
     SERVED(.ops = &vp_ops_sweep, H(sweep_ms), .low = 10, .high = 3600000)},
    {HOST, "contested", "N/time such as 5/60s, N 1 to 1000000, time 10ms to 24h", "5/60s",
     "repairs of one thing before back-off",
     SERVED(.ops = &vp_ops_rate, H(contested_count), .low = 10, .high = 86400000)},
    {HOST, "repair-limit", "N/time such as 1000/1s, N 1 to 1000000, time 10ms to 24h", "1000/1s",
     "repairs on this host",
     SERVED(.ops = &vp_ops_rate, H(repair_count), .low = 10, .high = 86400000)},
    {HOST, "metrics-file", "none, or an absolute path", "none", "Prometheus textfile",
     SERVED(.ops = &vp_ops_string, H(metrics_file), .item = vp_item_path_or_none)},
    {HOST, "run-dir", "absolute path", "/run/virtpin", "ledger, caches, good policies",
     SERVED(.ops = &vp_ops_string, H(run_dir), .item = vp_item_path)},
    {HOST, "state-dir", "absolute path", "/var/lib/virtpin", "what replaced definitions held",
     SERVED(.ops = &vp_ops_string, H(state_dir), .item = vp_item_path)},
    {HOST, "cgroup-dir", "absolute path", "/sys/fs/cgroup", "where cgroups are mounted",
     SERVED(.ops = &vp_ops_string, H(cgroup_dir), .item = vp_item_path)},

    {POOL, "cpus", "CPULIST, or 1%..100%", "-",
     "the pool's CPUs; N%: of all that may be shared, in whole cores",
     SERVED(.ops = &vp_ops_pool_cpus, L(cpus))},
    {POOL, "ratio", "0..8192", "0", "vCPUs a CPU, above which no guest is let in; 0: no limit",
     SERVED(.ops = &vp_ops_number, L(ratio), .high = 8192)},
    {POOL, "weight", "1..10000", "100", "cgroup weight of its guests, where their policy has no shares",
     SERVED(.ops = &vp_ops_number, L(weight), .low = 1, .high = 10000)},
    /* clang-format on */
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* A rate fills two neighbours: the count and then its milliseconds. */
_Static_assert(offsetof(struct vp_host_conf, contested_ms) ==
                   offsetof(struct vp_host_conf, contested_count) + sizeof(unsigned),
               "contested_ms follows contested_count");
_Static_assert(offsetof(struct vp_host_conf, repair_ms) ==
                   offsetof(struct vp_host_conf, repair_count) + sizeof(unsigned),
               "repair_ms follows repair_count");

const struct vp_key_row *vp_key_rows(unsigned *count)
{
    *count = ROWS;
    return rows;
}

const struct vp_key_row *vp_keys_of(const char *section, unsigned *count)
{
    const struct vp_key_row *first = NULL;

    *count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].section, section) != 0)
            continue;
        if (!first)
            first = &rows[i];
        ++*count;
    }
    return first;
}

const char *vp_key_legal(const struct vp_key_row *row, char *buf, size_t size)
{
    size_t at = 0;

    if (!row->use || !row->use->ops->alternatives) {
        snprintf(buf, size, "%s", row->legal);
        return buf;
    }
    for (const char *c = row->legal; *c != '\0' && at + 2 < size; c++) {
        if (*c == ' ')
            buf[at++] = ',';
        buf[at++] = *c;
    }
    buf[at] = '\0';
    return buf;
}

bool vp_key_known(const char *word, size_t length)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strncmp(rows[i].name, word, length) == 0 && rows[i].name[length] == '\0')
            return true;
    return false;
}

enum { DISTANCE_MAX = 64 };

unsigned vp_word_distance(const char *a, const char *b)
{
    unsigned row[DISTANCE_MAX];
    size_t width = strlen(b);

    if (width >= DISTANCE_MAX || strlen(a) >= DISTANCE_MAX)
        return UINT_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned corner = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= width; j++) {
            unsigned same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned best = corner + (same ? 0 : 1);

            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[width];
}

const char *vp_key_nearest(const char *section, const char *word, char *buf, size_t size)
{
    unsigned best = ((unsigned)strlen(word) + 2) / 3;
    size_t used = 0;

    buf[0] = '\0';
    if (strlen(word) > 30)
        return buf;
    for (size_t i = 0; i < ROWS; i++) {
        unsigned far;

        if (strcmp(rows[i].section, section) != 0 || !rows[i].served)
            continue;
        far = vp_word_distance(word, rows[i].name);
        if (far > best)
            continue;
        if (far < best)
            used = 0;
        best = far;
        if (used < size)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "",
                                     rows[i].name);
    }
    return buf;
}
