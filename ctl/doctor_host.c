/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What doctor asks about kernel, cgroups and libvirt. */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"
#include "decide/cleanup.h"
#include "decide/policy.h"

/* ---- cgroups ---- */

static bool has_controller(const struct vp_hierarchies *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *at = list->item[i].controllers;

        for (; *at; at += strcspn(at, ","), at += *at == ',')
            if (strcspn(at, ",") == strlen(name) && strncmp(at, name, strlen(name)) == 0)
                return true;
    }
    return false;
}

static void say_no_cpuset(struct vp_doctor *doctor)
{
    char controllers[512];

    vp_doctor_say(
        doctor, VP_CHECK_ERROR,
        "there is no cpuset controller below %s: only the affinity of threads can be set, "
        "which their own process may change",
        doctor->set->host.cgroup_dir);
    if (vp_doctor_line(doctor, "/proc/cgroups", controllers, sizeof(controllers)) &&
        !vp_doctor_line(doctor, "/sys/fs/cgroup/cgroup.controllers", controllers,
                        sizeof(controllers)))
        vp_doctor_remedy(doctor, "mkdir -p %s/cpuset && mount -t cgroup -o cpuset cpuset %s/cpuset",
                         doctor->set->host.cgroup_dir, doctor->set->host.cgroup_dir);
    else
        vp_doctor_remedy(doctor, "take cgroup_disable=cpuset from the kernel's command line, and "
                                 "reboot");
}

void vp_check_cgroup(struct vp_doctor *doctor)
{
    const struct vp_hierarchies *list = doctor->hierarchies;

    if (doctor->cgroups.version == VP_CGROUP_NONE) {
        say_no_cpuset(doctor);
        return;
    }
    if (list && !has_controller(list, "cpu")) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "no cgroup hierarchy has the cpu controller: shares, period and quota of a "
                      "policy cannot be had");
        vp_doctor_remedy(doctor, doctor->cgroups.version == VP_CGROUP_V2
                                     ? "echo +cpu > /sys/fs/cgroup/cgroup.subtree_control"
                                     : "mount -t cgroup -o cpu,cpuacct cpu /sys/fs/cgroup/cpu");
    }
    vp_doctor_say(doctor, VP_CHECK_OK, "cgroup %s has the cpuset controller, at %s",
                  doctor->cgroups.version == VP_CGROUP_V2 ? "v2" : "v1", doctor->cgroups.mount);
}

/* The value of `key = [ ... ]`, which may go over lines; false if it is not set. */
static bool conf_list(char *text, const char *key, char *value, size_t size)
{
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        line += strspn(line, " \t");
        if (strncmp(line, key, strlen(key)) == 0 && strchr(line, '[') &&
            strspn(line + strlen(key), " \t=") > 0) {
            const char *list = strchr(line, '[') + 1;

            snprintf(value, size, "%.*s", (int)strcspn(list, "]"), list);
            return true;
        }
    }
    return false;
}

void vp_check_qemu_conf(struct vp_doctor *doctor)
{
    VP_AUTO(free) char *text = malloc(1 << 17);
    char list[1024];

    if (!text || vp_doctor_read(doctor, "/etc/libvirt/qemu.conf", text, 1 << 17) < 0 ||
        !conf_list(text, "cgroup_controllers", list, sizeof(list)) || strstr(list, "\"cpuset\"")) {
        vp_doctor_say(doctor, VP_CHECK_OK, "libvirt gives its guests cpuset groups");
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "cgroup_controllers in /etc/libvirt/qemu.conf leaves out \"cpuset\": only the "
                  "affinity of guests' threads can be set");
    vp_doctor_remedy(doctor, "cgroup_controllers = [ \"cpuset\", ... ] in /etc/libvirt/qemu.conf, "
                             "and restart libvirt's daemon; it holds for guests started then");
}

/* A narrowing above every guest, which no property shows: set-property back to
 * empty leaves it (systemd 252 and 257). */
void vp_check_narrowed(struct vp_doctor *doctor)
{
    char list[256], all[256];
    struct vp_cpuset online, may;

    if (doctor->cgroups.version == VP_CGROUP_NONE)
        return;
    vp_doctor_cpus(doctor, "/sys/devices/system/cpu/online", &online);
    if (vp_cgroup_partition_cpus(&doctor->cgroups, "/machine", &may, NULL) != 0 ||
        vp_cpuset_empty(&may) || vp_cpuset_within(&online, &may)) {
        vp_doctor_say(doctor, VP_CHECK_OK, "guests may use every online CPU");
        return;
    }
    vp_cpuset_print(&may, list, sizeof(list));
    vp_cpuset_print(&online, all, sizeof(all));
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "guests may use CPUs %s only, of %s: a cgroup above them is narrowed", list, all);
    if (doctor->systemd)
        vp_doctor_remedy(doctor, "systemctl set-property --runtime machine.slice AllowedCPUs=%s",
                         all);
    else
        vp_doctor_remedy(doctor, "grep -H . %s/cpuset.cpus %s/machine*/cpuset.cpus; write %s there",
                         doctor->cgroups.mount, doctor->cgroups.mount, all);
}

/* ---- partitions ---- */

#define PARTITION_DEPTH 5

/* A group with CPUs to itself: v2 by cpuset.cpus.partition, v1 by cpuset.cpu_exclusive. */
static void check_group(struct vp_doctor *doctor, const char *dir, unsigned *found)
{
    bool v2 = doctor->cgroups.version == VP_CGROUP_V2;
    const char *name = dir + strlen(doctor->root);
    char path[PATH_MAX], state[128], list[256];
    struct vp_cpuset cpus;

    snprintf(path, sizeof(path), "%.4000s/%s", name,
             v2 ? "cpuset.cpus.partition" : "cpuset.cpu_exclusive");
    if (!vp_doctor_line(doctor, path, state, sizeof(state)) ||
        strcmp(state, v2 ? "member" : "0") == 0)
        return;
    snprintf(path, sizeof(path), "%.4000s/cpuset.cpus", name);
    vp_doctor_cpus(doctor, path, &cpus);
    vp_cpuset_minus(&cpus, &doctor->set->host.reserved);
    if (vp_cpuset_empty(&cpus))
        return;
    ++*found;
    vp_cpuset_print(&cpus, list, sizeof(list));
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "cgroup %s has CPUs %s to itself (%s): guests cannot run there, though they are "
                  "not reserved",
                  name, list, v2 ? state : "cpuset.cpu_exclusive");
    vp_doctor_remedy(doctor, "reserved = %s in [host] of " VP_SYSCONFDIR "/virtpin/virtpin.conf",
                     list);
}

void vp_check_partitions(struct vp_doctor *doctor)
{
    char *const roots[] = {doctor->cgroups.mount, NULL};
    unsigned found = 0;
    FTSENT *entry;
    FTS *walk;

    if (doctor->cgroups.version == VP_CGROUP_NONE)
        return;
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    while (walk && (entry = fts_read(walk))) {
        if (entry->fts_info != FTS_D)
            continue;
        if (entry->fts_level > 0)
            check_group(doctor, entry->fts_path, &found);
        /* a guest's own groups are below this, and are nobody's partition */
        if (entry->fts_level >= PARTITION_DEPTH || strstr(entry->fts_name, "qemu"))
            fts_set(walk, entry, FTS_SKIP);
    }
    if (walk)
        fts_close(walk);
    if (found == 0)
        vp_doctor_say(doctor, VP_CHECK_OK, "no other cgroup has CPUs to itself");
}

/* ---- isolated CPUs ---- */

#define LIBVIRT_KNOWS_ISOLATED 10004000 /* 10.4.0: virHostCPUGetIsolated */

void vp_check_isolated(struct vp_doctor *doctor)
{
    struct vp_cpuset isolated, tickless, without;
    char list[256], other[256];

    vp_doctor_cpus(doctor, "/sys/devices/system/cpu/isolated", &isolated);
    vp_doctor_cpus(doctor, "/sys/devices/system/cpu/nohz_full", &tickless);
    if (vp_cpuset_empty(&isolated) && vp_cpuset_empty(&tickless)) {
        vp_doctor_say(doctor, VP_CHECK_OK, "no CPU is isolated (isolcpus, nohz_full)");
        return;
    }
    vp_cpuset_print(&isolated, list, sizeof(list));
    vp_cpuset_print(&tickless, other, sizeof(other));
    if (doctor->libvirt > 0 && doctor->libvirt < LIBVIRT_KNOWS_ISOLATED &&
        !vp_cpuset_empty(&isolated)) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "CPUs %s are isolated, and libvirt before 10.4.0 lets guests without pins "
                      "run there too",
                      list);
        vp_doctor_remedy(doctor, "cp " VP_DATADIR "/examples/catch-all.conf " VP_SYSCONFDIR
                                 "/virtpin/policy.d/ (every guest gets a policy)");
        return;
    }
    without = tickless;
    vp_cpuset_minus(&without, &isolated);
    vp_doctor_say(doctor, VP_CHECK_OK, "isolated CPUs: %s; nohz_full: %s; isolated = %s uses %s",
                  list[0] ? list : "none", other[0] ? other : "none",
                  doctor->set->host.isolated_avoid ? "avoid" : "use",
                  doctor->set->host.isolated_avoid ? "none of them" : "them for dedicated vCPUs");
}

/* ---- versions ---- */

void vp_check_kernel(struct vp_doctor *doctor)
{
    int major = 0, minor = 0;

    if (sscanf(doctor->kernel, "%d.%d", &major, &minor) != 2) {
        vp_doctor_say(doctor, VP_CHECK_OK, "kernel %s", doctor->kernel);
    } else if (major > 6 || (major == 6 && minor >= 2)) {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "kernel %s keeps a thread's affinity when its cpuset changes",
                      doctor->kernel);
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "kernel %s, before 6.2: where it was not backported, every write to a cpuset "
                      "resets the affinity of its threads; virtpin sets both each time, other "
                      "tools' affinity (CPUAffinity= of services too) is lost",
                      doctor->kernel);
    }
}

static void check_version(struct vp_doctor *doctor)
{
    unsigned long version = doctor->libvirt;

    if (version > 0 && version < 6005000) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "libvirt %lu.%lu.%lu does not know " VP_SYSCONFDIR
                      "/libvirt/hooks/qemu.d (6.5.0 is the first): it does not run the hook",
                      version / 1000000, version / 1000 % 1000, version % 1000);
        vp_doctor_remedy(doctor, "ln -s " VP_PREFIX "/sbin/virtpin-hook " VP_SYSCONFDIR
                                 "/libvirt/hooks/qemu, or a newer libvirt");
        return;
    }
    vp_doctor_say(
        doctor, VP_CHECK_OK, "libvirt %lu.%lu.%lu%s", version / 1000000, version / 1000 % 1000,
        version % 1000,
        version > 0 && version < 10005000
            ? ": a stopped guest with snapshots keeps its CPUs for 10 s (before 10.5.0 it "
              "does not say why a guest stopped)"
            : "");
}

void vp_check_libvirt(struct vp_doctor *doctor)
{
    struct vp_program daemon;
    const char *name = vp_doctor_daemon(doctor, &daemon);
    struct stat st;
    /* the service manager starts it when somebody asks at its socket */
    bool waits = doctor->systemd && (vp_doctor_stat(doctor, "/run/libvirt/virtqemud-sock", &st) ||
                                     vp_doctor_stat(doctor, "/run/libvirt/libvirt-sock", &st));

    if (!name && !waits) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "libvirt's daemon for QEMU does not run%s",
                      doctor->systemd ? ", and no socket waits for it" : "");
        vp_doctor_remedy(doctor, doctor->systemd ? "systemctl enable --now libvirtd.socket (or "
                                                   "virtqemud.socket)"
                                                 : "libvirtd -d (virtlogd -d before it)");
    } else if (name && daemon.replaced) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "%s (pid %d) runs from a file that was replaced since: it is of an older "
                      "version",
                      name, (int)daemon.pid);
        vp_doctor_remedy(doctor, "systemctl restart %s (guests run on)", name);
    }
    check_version(doctor);
}

/* ---- what the enforcer sees by ---- */

void vp_check_fanotify(struct vp_doctor *doctor)
{
    if (doctor->cgroups.version == VP_CGROUP_NONE)
        return;
    if (doctor->fanotify == 0) {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "fanotify works on %s: a write to a cpuset is seen at once, with its writer",
                      doctor->cgroups.mount);
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "fanotify does not work on %s (%s): a write to a cpuset is found by the sweep "
                  "alone, without its writer",
                  doctor->cgroups.mount, strerror(doctor->fanotify));
    vp_doctor_remedy(doctor, doctor->fanotify == EPERM
                                 ? "run it with CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN)"
                                 : "a kernel of 5.1 or later with CONFIG_FANOTIFY=y");
}

static bool has_tracepoint(const struct vp_doctor *doctor)
{
    static const char *const dirs[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
    char path[PATH_MAX];
    struct stat st;

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        snprintf(path, sizeof(path), "%s/events/syscalls/sys_enter_sched_setaffinity", dirs[i]);
        if (vp_doctor_stat(doctor, path, &st))
            return true;
    }
    return false;
}

void vp_check_tracepoint(struct vp_doctor *doctor)
{
    struct stat st;

    if (!has_tracepoint(doctor)) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "there is no tracepoint of sched_setaffinity at /sys/kernel/tracing: a "
                      "foreign change of affinity is found by the sweep, without its author");
        vp_doctor_remedy(doctor, "mount -t tracefs tracefs /sys/kernel/tracing, then systemctl "
                                 "restart virtpind (kernel: CONFIG_FTRACE_SYSCALLS=y)");
    } else if (!vp_doctor_stat(doctor, "/sys/kernel/btf/vmlinux", &st)) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "the kernel does not describe its types (/sys/kernel/btf/vmlinux): a foreign "
                      "change of affinity is found by the sweep, without its author");
        vp_doctor_remedy(doctor, "a kernel of 5.8 or later with CONFIG_DEBUG_INFO_BTF=y");
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "the kernel has the tracepoint of sched_setaffinity: a foreign change of "
                      "affinity is seen at once, with its author");
    }
}

/* What the enforcer itself says: it may lack a right, or a watch. */
void vp_check_sight(struct vp_doctor *doctor)
{
    const struct vp_enforcer_facts *facts = &doctor->enforcer;

    if (!facts->running)
        return;
    for (size_t i = 0; i < facts->blind_count; i++) {
        vp_doctor_say(doctor, VP_CHECK_WARNING, "%s; the sweep finds them", facts->blind[i]);
        vp_doctor_remedy(doctor, "journalctl -u virtpind; systemctl restart virtpind");
    }
    if (facts->blind_count == 0)
        vp_doctor_say(doctor, VP_CHECK_OK, "the enforcer sees writes and calls at once");
}
