/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/doctor.h"
#include "decide/error.h"
#include "decide/policy.h"

/* Made-up hosts: a sound one, and in each case one thing that differs. */

#define HOOK "/etc/libvirt/hooks/qemu.d/50-virtpin"
#define LAUNCHER VP_PREFIX "/sbin/virtpin-hook"
#define WORKER VP_LIBEXECDIR "/virtpin-hook-worker"
#define GROUPS "/sys/fs/cgroup"
#define NOVA "http://openstack.org/xmlns/libvirt/nova/1.1"

static char root[64];

/* ---- making it up ---- */

static void full_path(const char *path, char full[PATH_MAX])
{
    ck_assert_int_lt(snprintf(full, PATH_MAX, "%s%s", root, path), PATH_MAX);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ck_assert(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void put(const char *path, const char *text, mode_t mode)
{
    char full[PATH_MAX];
    FILE *file;

    full_path(path, full);
    unlink(full);
    file = fopen(full, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(full, mode), 0);
}

static void put_link(const char *path, const char *target)
{
    char full[PATH_MAX];

    full_path(path, full);
    unlink(full);
    ck_assert_int_eq(symlink(target, full), 0);
}

#define TRACEPOINT "/sys/kernel/tracing/events/syscalls/sys_enter_sched_setaffinity"

static void put_dir(const char *path, mode_t mode)
{
    char full[PATH_MAX];

    full_path(path, full);
    ck_assert(mkdir(full, mode) == 0 || errno == EEXIST);
    ck_assert_int_eq(chmod(full, mode), 0);
}

static void drop(const char *path)
{
    char full[PATH_MAX];

    full_path(path, full);
    ck_assert(remove(full) == 0);
}

/* A process that started `ticks` after boot. */
static void put_process(int pid, const char *comm, const char *exe, unsigned ticks)
{
    char path[64], text[512];

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    snprintf(text, sizeof(text), "%s\n", comm);
    put(path, text, 0444);
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    put_link(path, exe);
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    snprintf(text, sizeof(text),
             "%d (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %u 0 0 0 0 0 0 0 0 0\n", pid, comm,
             ticks);
    put(path, text, 0444);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void make_sound(void)
{
    snprintf(root, sizeof(root), "/tmp/virtpin-doctor.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    put(LAUNCHER, "\177ELF", 0755);
    put_link(HOOK, LAUNCHER);
    put(WORKER, "\177ELF", 0755);
    put(VP_LIBEXECDIR "/virtpin-hook-survey", "\177ELF", 0755);
    put_dir("/run/virtpin", 0700);
    put_dir("/var/lib/virtpin", 0700);
    put("/proc/uptime", "1000000.00 1.00\n", 0444);
    put_process(700, "libvirtd", "/usr/sbin/libvirtd", 0);
    put_process(812, "virtpind", "/usr/sbin/virtpind", 0);
    put_dir(TRACEPOINT, 0700);
    put("/sys/kernel/btf/vmlinux", "btf", 0444);
    put("/sys/devices/system/cpu/online", "0-15\n", 0444);
    put("/sys/devices/system/cpu/isolated", "\n", 0444);
    put("/sys/devices/system/cpu/nohz_full", "(null)\n", 0444);
    put(GROUPS "/cgroup.controllers", "cpuset cpu io memory\n", 0444);
    put(GROUPS "/cpuset.cpus.effective", "0-15\n", 0444);
    put(GROUPS "/machine.slice/cpuset.cpus", "\n", 0644);
    put(GROUPS "/machine.slice/cpuset.cpus.effective", "0-15\n", 0444);
    put(GROUPS "/machine.slice/cpuset.cpus.partition", "member\n", 0644);
}

static void remove_all(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- one host's facts ---- */

static struct vp_doctor doctor;
static struct vp_policy_set *set;
static struct vp_findings findings;
static struct vp_hierarchy hierarchy;
static struct vp_hierarchies hierarchies;
static struct vp_guest_row row;
static struct vp_guest_rows rows;

static void make_facts(void)
{
    char path[PATH_MAX], proc[PATH_MAX];
    struct timespec now;

    set = vp_policy_set_defaults();
    findings = (struct vp_findings){0};
    hierarchy = (struct vp_hierarchy){.version = VP_CGROUP_V2, .controllers = "cpuset,cpu,io"};
    hierarchies = (struct vp_hierarchies){&hierarchy, 1};
    row = (struct vp_guest_row){.name = "db-1", .daemon_pid = 700};
    rows = (struct vp_guest_rows){0};
    clock_gettime(CLOCK_REALTIME, &now);
    doctor = (struct vp_doctor){
        .root = root,
        .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
        .is_root = true,
        .owner = geteuid(),
        .enabled = true,
        .set = set,
        .policy_loaded = true,
        .findings = &findings,
        .enforcer = {.known = true, .running = true, .pid = 812, .can_repair = true},
        .hierarchies = &hierarchies,
        .kernel = "6.1.0-18-amd64",
        .libvirt = 9000000,
        .systemd = true,
        .rows = &rows,
        .ledger = 1,
    };
    doctor.enforcer.since_ms = doctor.now_ms - 3600000;
    doctor.enforcer.last_sweep_ms = doctor.now_ms - 1500;
    doctor.daemon_changed_ms = doctor.now_ms + 1000;
    strcpy(doctor.enforcer.libvirt, "connected");
    snprintf(path, sizeof(path), "%s" GROUPS, root);
    snprintf(proc, sizeof(proc), "%s/proc", root);
    ck_assert_int_eq(vp_cgroups_find(path, proc, &doctor.cgroups, NULL), 0);
}

static void setup(void)
{
    make_sound();
    make_facts();
}

static void teardown(void)
{
    vp_doctor_clear(&doctor);
    vp_findings_clear(&findings);
    vp_policy_set_free(set);
    remove_all();
}

static void cgroups_again(void)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s" GROUPS, root);
    ck_assert_int_eq(vp_cgroups_find(path, NULL, &doctor.cgroups, NULL), 0);
}

/* ---- what differs ---- */

static void not_root(void)
{
    doctor.is_root = false;
}
static void no_hook(void)
{
    drop(HOOK);
}
static void hook_dangles(void)
{
    drop(LAUNCHER);
}
static void hook_not_executable(void)
{
    put(LAUNCHER, "\177ELF", 0644);
}
static void hook_writable(void)
{
    put(LAUNCHER, "\177ELF", 0777);
}
static void hook_is_dir(void)
{
    put_link(HOOK, "../loop"), put_link("/etc/libvirt/hooks/loop", "loop");
}
static void hook_relative(void)
{
    put_link(HOOK, "../../../../" LAUNCHER);
}
static void hook_twice(void)
{
    put_link("/etc/libvirt/hooks/qemu", LAUNCHER);
}
static void unnoticed(void)
{
    doctor.daemon_changed_ms = doctor.now_ms - 86400000;
}
static void unnoticed_no_systemd(void)
{
    doctor.systemd = false;
    doctor.daemon_changed_ms = 0;
}
static void noticed_by_booking(void)
{
    unnoticed();
    rows = (struct vp_guest_rows){&row, 1};
}
static void noticed_since_start(void)
{
    unnoticed();
    put_process(700, "libvirtd", "/usr/sbin/libvirtd", 1000000 * (unsigned)sysconf(_SC_CLK_TCK));
}
static void no_daemon(void)
{
    drop("/proc/700/comm");
    put("/run/libvirt/libvirt-sock", "", 0600);
}
static void no_daemon_at_all(void)
{
    drop("/proc/700/comm");
}
static void daemon_replaced(void)
{
    put_process(700, "virtqemud", "/usr/sbin/virtqemud (deleted)", 0);
}
static void no_worker(void)
{
    drop(WORKER);
}
static void worker_not_executable(void)
{
    put(WORKER, "\177ELF", 0640);
}
static void worker_writable(void)
{
    put(WORKER, "\177ELF", 0775);
}
static void other_hook(void)
{
    put("/etc/libvirt/hooks/qemu.d/10-net", "#!/bin/sh\n", 0755), put("/bin/sh", "", 0755);
}
static void other_idle(void)
{
    put("/etc/libvirt/hooks/qemu.d/README", "text\n", 0644);
}
static void other_without_shell(void)
{
    put("/etc/libvirt/hooks/qemu", "#! /usr/bin/python2 -u\n", 0755);
}
static void other_failed(void)
{
    other_hook();
    doctor.hook_log =
        "2026-11-22 03:04:05.678+0000: 9: error : virHookCall:380 : Hook script execution failed: "
        "internal error: Child process (LC_ALL=C PATH=/bin /etc/libvirt/hooks/qemu.d/10-net web "
        "prepare begin -) unexpected exit status 7: no bridge\n";
}
static void other_left_over(void)
{
    put("/etc/libvirt/hooks/qemu.d/10-net.bak", "\177ELF", 0755);
}
static void apparmor(void)
{
    put("/sys/kernel/security/apparmor/profiles", "/usr/bin/man (enforce)\nlibvirtd (enforce)\n",
        0444);
}
static void apparmor_denies(void)
{
    apparmor();
    put("/opt/virtpin-hook", "\177ELF", 0755);
    put_link(HOOK, "/opt/virtpin-hook");
}
static void apparmor_inside(void)
{
    apparmor();
    put(HOOK, "\177ELF", 0755);
}
static void apparmor_complains(void)
{
    apparmor_denies();
    put("/sys/kernel/security/apparmor/profiles", "libvirtd (complain)\n", 0444);
}
static void selinux(void)
{
    put("/sys/fs/selinux/enforce", "1", 0644);
}
static void selinux_module(void)
{
    selinux();
    put_dir("/var/lib/selinux/targeted/active/modules/400/virtpin", 0700);
}
static void selinux_module_there(void)
{
    selinux();
    put("/usr/share/selinux/packages/virtpin.pp", "", 0644);
}
static void selinux_permissive(void)
{
    put("/sys/fs/selinux/enforce", "0", 0644);
}
static void libvirt_old(void)
{
    doctor.libvirt = 6000000;
}
static void libvirt_new(void)
{
    doctor.libvirt = 11003000;
}

static void policy_broken(void)
{
    doctor.policy_loaded = false;
    vp_findings_add(&findings, &(struct vp_finding){.grade = VP_ERROR,
                                                    .file = (char *)"db.conf",
                                                    .line = 7,
                                                    .text = (char *)"numa: found \"singel\""});
}
static void policy_stale(void)
{
    policy_broken();
    doctor.policy_stale = true;
}
static void ledger_bad(void)
{
    doctor.ledger = -1;
    doctor.ledger_why = "version 2.0 is newer than 1.0";
}
static void ledger_none(void)
{
    doctor.ledger = 0;
}
static void ledger_moved(void)
{
    put("/run/virtpin/ledger.db.broken", "x", 0600);
}
static void run_dir_open(void)
{
    put_dir("/run/virtpin", 0755);
}
static void run_dir_writable(void)
{
    put_dir("/run/virtpin", 0770);
}
static void run_dir_file(void)
{
    drop("/run/virtpin");
    put("/run/virtpin", "", 0600);
}
static void state_dir_none(void)
{
    drop("/var/lib/virtpin");
}
static void state_dir_open(void)
{
    put_dir("/var/lib/virtpin", 0750);
}
static void enforcer_down(void)
{
    doctor.enforcer.running = false;
}
static void enforcer_cannot(void)
{
    doctor.enforcer.can_repair = false;
    strcpy(doctor.enforcer.why, "the ledger is of a newer major version");
}
static void enforcer_alone(void)
{
    strcpy(doctor.enforcer.libvirt, "reconnecting");
}
static void enforcer_old(void)
{
    put_process(812, "virtpind", "/usr/sbin/virtpind (deleted)", 0);
}
static void sweep_late(void)
{
    doctor.enforcer.last_sweep_ms = doctor.now_ms - 120000;
}
static void sweep_never(void)
{
    doctor.enforcer.last_sweep_ms = 0;
}
static void sweep_soon(void)
{
    sweep_never();
    doctor.enforcer.since_ms = doctor.now_ms - 500;
}
static void sweep_future(void)
{
    doctor.enforcer.last_sweep_ms = doctor.now_ms + 3600000;
}
static void disabled(void)
{
    doctor.enabled = false;
    strcpy(doctor.disabled_why, "kernel test");
}
static void no_cpuset(void)
{
    put(GROUPS "/cgroup.controllers", "cpu io memory\n", 0444);
    cgroups_again();
}
static void no_cpu(void)
{
    strcpy(hierarchy.controllers, "cpuset,cpuacct");
}
static void qemu_conf_without(void)
{
    put("/etc/libvirt/qemu.conf",
        "# cgroup_controllers = [ \"cpuset\" ]\n cgroup_controllers = [ \"cpu\",\n \"memory\" ]\n",
        0600);
}
static void qemu_conf_with(void)
{
    put("/etc/libvirt/qemu.conf", "cgroup_controllers = [ \"cpu\",\n  \"cpuset\" ]\n", 0600);
}
static void narrowed(void)
{
    put(GROUPS "/machine.slice/cpuset.cpus.effective", "0-1\n", 0444);
}
static void partition(void)
{
    put(GROUPS "/realtime.slice/cpuset.cpus.partition", "isolated\n", 0644);
    put(GROUPS "/realtime.slice/cpuset.cpus", "12-15\n", 0644);
}
static void partition_reserved(void)
{
    partition();
    vp_cpuset_add_range(&set->host.reserved, 12, 15);
}
static void nova(void)
{
    put("/etc/libvirt/qemu/instance-1.xml", "<domain xmlns:nova='" NOVA "'><name>x</name></domain>",
        0600);
    put("/run/libvirt/qemu/instance-1.xml",
        "<domstatus><domain xmlns:nova='" NOVA "'/></domstatus>", 0600);
}
static void ovirt(void)
{
    put("/run/libvirt/qemu/vm1.xml", "<domain xmlns:ovirt-vm='http://ovirt.org/vm/1.0'/>", 0600);
    put("/run/libvirt/qemu/vm2.xml", "<domain xmlns:ovirt-vm='http://ovirt.org/vm/1.0'/>", 0600);
}
static void placement_auto(void)
{
    put("/etc/libvirt/qemu/n.xml", "<domain><vcpu placement='auto'>2</vcpu></domain>", 0600);
}
static void placement_static(void)
{
    put("/etc/libvirt/qemu/n.xml",
        "<domain><vcpu "
        "placement='static'>2</vcpu><description>placement='auto'</description></domain>",
        0600);
}
static void memory_auto(void)
{
    put("/etc/libvirt/qemu/n.xml",
        "<domain><vcpu placement='static'>2</vcpu><numatune><memory mode='strict' "
        "placement='auto'/></numatune></domain>",
        0600);
}
static void numad(void)
{
    put_process(31, "numad", "/usr/bin/numad", 5);
}
static void cgred(void)
{
    put_process(32, "cgrulesengd", "/usr/sbin/cgrulesengd", 5);
}
static void tuned(void)
{
    put_process(33, "tuned", "/usr/bin/python3", 5);
    put("/etc/tuned/active_profile", "cpu-partitioning\n", 0644);
}
static void tuned_harmless(void)
{
    tuned();
    put("/etc/tuned/active_profile", "virtual-host\n", 0644);
}
static struct vp_plan booked = {.mode = VP_MODE_ENFORCE, .placement = VP_PLACE_DEDICATED};
static void irqbalance(void)
{
    put_process(34, "irqbalance", "/usr/sbin/irqbalance", 5);
}
static void irqbalance_dedicated(void)
{
    irqbalance();
    vp_cpuset_add_range(&booked.vcpu_cpus, 4, 7);
    row.plan = &booked;
    rows = (struct vp_guest_rows){&row, 1};
}
static void isolated(void)
{
    put("/sys/devices/system/cpu/isolated", "8-15\n", 0444);
}
static void isolated_new(void)
{
    isolated();
    libvirt_new();
}
static void no_fanotify(void)
{
    doctor.fanotify = EINVAL;
}
static void kernel_new(void)
{
    doctor.kernel = "6.12.1";
}
static void no_tracepoint(void)
{
    drop(TRACEPOINT);
}
static void no_btf(void)
{
    drop("/sys/kernel/btf/vmlinux");
}
static void blind(void)
{
    doctor.enforcer.blind_count = 1;
    strcpy(doctor.enforcer.blind[0], "calls on threads are not seen at once: tracing: EPERM");
}

/* ---- the table ---- */

static const struct {
    void (*differs)(void);
    const char *name;
    enum vp_check_grade grade;
    const char *text;   /* is in it */
    const char *remedy; /* is in it; NULL: there is none */
} cases[] = {
    {not_root, "root", VP_CHECK_ERROR, "not run as root", "sudo virtpin doctor"},
    {no_hook, "hook", VP_CHECK_ERROR, "not installed", "ln -sfn " LAUNCHER " " HOOK},
    {hook_dangles, "hook", VP_CHECK_ERROR, "points to " LAUNCHER ", which is not there", "ln -sfn"},
    {hook_not_executable, "hook", VP_CHECK_ERROR, "not executable", "chmod 755 " LAUNCHER},
    {hook_writable, "hook", VP_CHECK_ERROR, "mode 0777", "chmod 755 " LAUNCHER},
    {hook_is_dir, "hook", VP_CHECK_ERROR, "not there", "ln -sfn"},
    {hook_relative, "hook", VP_CHECK_OK, "virtpin-hook", NULL},
    {hook_twice, "hook", VP_CHECK_WARNING, "2 times", "keep " HOOK " alone"},
    {unnoticed, "hook-noticed", VP_CHECK_ERROR, "libvirtd (pid 700) started",
     "systemctl reload libvirtd"},
    {unnoticed_no_systemd, "hook-noticed", VP_CHECK_WARNING, "unless it was reloaded",
     "kill -HUP 700"},
    {noticed_by_booking, "hook-noticed", VP_CHECK_OK, "booked for db-1", NULL},
    {noticed_since_start, "hook-noticed", VP_CHECK_OK, "with " HOOK " in its place", NULL},
    {no_daemon, "hook-noticed", VP_CHECK_OK, "does not run now", NULL},
    {no_daemon, "libvirt", VP_CHECK_OK, "libvirt 9.0.0", NULL},
    {no_daemon_at_all, "libvirt", VP_CHECK_ERROR, "no socket waits", "systemctl enable --now"},
    {daemon_replaced, "libvirt", VP_CHECK_WARNING, "virtqemud (pid 700) runs from a file",
     "systemctl restart virtqemud"},
    {no_worker, "worker", VP_CHECK_ERROR, WORKER " is not there", "reinstall"},
    {worker_not_executable, "worker", VP_CHECK_ERROR, "not executable", "chmod 755 " WORKER},
    {worker_writable, "worker", VP_CHECK_ERROR, "mode 0775", "chmod 755 " WORKER},
    {other_hook, "other-hooks", VP_CHECK_OK, "1 other hook is installed", NULL},
    {other_idle, "other-hooks", VP_CHECK_OK, "no other hook", NULL},
    {other_without_shell, "other-hooks", VP_CHECK_ERROR,
     "asks for /usr/bin/python2, which is not there", "chmod -x"},
    {other_failed, "other-hooks", VP_CHECK_WARNING,
     "2026-11-22 03:04:05: web prepare begin -) unexpected exit status 7: no bridge", "chmod -x"},
    {other_left_over, "other-hooks", VP_CHECK_WARNING, "left over",
     "rm /etc/libvirt/hooks/qemu.d/10-net.bak"},
    {apparmor, "apparmor", VP_CHECK_OK, "the hook may run", NULL},
    {apparmor_denies, "apparmor", VP_CHECK_ERROR, "its link ends in /opt/virtpin-hook",
     "install -m 755 /opt/virtpin-hook"},
    {apparmor_inside, "apparmor", VP_CHECK_WARNING, "no link", "ln -sfn"},
    {apparmor_complains, "apparmor", VP_CHECK_OK, "does not confine", NULL},
    {selinux, "selinux", VP_CHECK_WARNING, "enforcing without a module", "ausearch"},
    {selinux_module_there, "selinux", VP_CHECK_WARNING, "enforcing without a module",
     "semodule -X 200 -i /usr/share/selinux/packages/virtpin.pp"},
    {selinux_module, "selinux", VP_CHECK_OK, "with virtpin's module", NULL},
    {selinux_permissive, "selinux", VP_CHECK_OK, "permissive", NULL},
    {libvirt_old, "libvirt", VP_CHECK_ERROR, "libvirt 6.0.0 does not know", "hooks/qemu"},
    {libvirt_new, "libvirt", VP_CHECK_OK, "libvirt 11.3.0", NULL},
    {policy_broken, "policy", VP_CHECK_ERROR, "1 error (db.conf:7: numa: found \"singel\")",
     "virtpin policy check"},
    {policy_stale, "policy", VP_CHECK_ERROR, "go on with the last good set",
     "virtpin policy check"},
    {ledger_bad, "ledger", VP_CHECK_ERROR, "newer than 1.0", "systemctl restart virtpind"},
    {ledger_none, "ledger", VP_CHECK_OK, "no ledger yet", NULL},
    {ledger_moved, "ledger", VP_CHECK_WARNING, "moved aside", "rm /run/virtpin/ledger.db.broken"},
    {run_dir_open, "run-dir", VP_CHECK_WARNING, "mode 0755", "chmod 700 /run/virtpin"},
    {run_dir_writable, "run-dir", VP_CHECK_ERROR, "mode 0770", "chmod 700 /run/virtpin"},
    {run_dir_file, "run-dir", VP_CHECK_ERROR, "no directory", "install -d -m 700 /run/virtpin"},
    {state_dir_none, "state-dir", VP_CHECK_OK, "not there yet", NULL},
    {state_dir_open, "state-dir", VP_CHECK_WARNING, "mode 0750", "chmod 700 /var/lib/virtpin"},
    {enforcer_down, "enforcer", VP_CHECK_ERROR, "the enforcer is down",
     "systemctl enable --now virtpind"},
    {enforcer_cannot, "enforcer", VP_CHECK_ERROR, "cannot repair: the ledger is of a newer",
     "journalctl -u virtpind"},
    {enforcer_alone, "enforcer", VP_CHECK_WARNING, "no connection to libvirt at qemu:///system",
     "systemctl status libvirtd"},
    {enforcer_old, "enforcer", VP_CHECK_WARNING, "older version", "systemctl restart virtpind"},
    {sweep_late, "sweep", VP_CHECK_ERROR, "it hangs", "systemctl restart virtpind"},
    {sweep_never, "sweep", VP_CHECK_ERROR, "never", "systemctl restart virtpind"},
    {sweep_soon, "sweep", VP_CHECK_OK, "no sweep yet", NULL},
    {sweep_future, "sweep", VP_CHECK_OK, "clock was set back", NULL},
    {disabled, "switch", VP_CHECK_WARNING, "disabled (kernel test)", "virtpin enable"},
    {no_cpuset, "cgroup", VP_CHECK_ERROR, "no cpuset controller", "cgroup_disable"},
    {no_cpu, "cgroup", VP_CHECK_WARNING, "cpu controller", "+cpu"},
    {qemu_conf_without, "qemu-conf", VP_CHECK_WARNING, "leaves out \"cpuset\"",
     "cgroup_controllers = ["},
    {qemu_conf_with, "qemu-conf", VP_CHECK_OK, "cpuset groups", NULL},
    {narrowed, "narrowed", VP_CHECK_WARNING, "CPUs 0-1 only, of 0-15", "AllowedCPUs=0-15"},
    {partition, "partitions", VP_CHECK_WARNING,
     "/sys/fs/cgroup/realtime.slice has CPUs 12-15 to itself (isolated)", "reserved = 12-15"},
    {partition_reserved, "partitions", VP_CHECK_OK, "no other cgroup", NULL},
    {nova, "managers", VP_CHECK_WARNING, "1 guest is Nova's (instance-1)",
     "match-metadata = {" NOVA "}instance"},
    {ovirt, "managers", VP_CHECK_WARNING, "2 guests are oVirt (vdsm)'s", "mode = off"},
    {placement_auto, "placement-auto", VP_CHECK_WARNING, "1 guest has placement='auto' (n)",
     "virsh edit"},
    {memory_auto, "placement-auto", VP_CHECK_WARNING, "(n)", "virsh edit"},
    {placement_static, "placement-auto", VP_CHECK_OK, "no guest", NULL},
    {numad, "balancers", VP_CHECK_WARNING, "numad runs (pid 31)", "disable --now numad"},
    {cgred, "balancers", VP_CHECK_WARNING, "cgrulesengd runs", "disable --now cgred"},
    {tuned, "balancers", VP_CHECK_WARNING, "profile cpu-partitioning", "ps_blacklist=.*qemu.*"},
    {tuned_harmless, "balancers", VP_CHECK_OK, "nothing runs", NULL},
    {irqbalance, "balancers", VP_CHECK_OK, "nothing runs", NULL},
    {irqbalance_dedicated, "balancers", VP_CHECK_WARNING, "(4-7)", "IRQBALANCE_BANNED_CPULIST=4-7"},
    {isolated, "isolated", VP_CHECK_WARNING, "before 10.4.0", "catch-all.conf"},
    {isolated_new, "isolated", VP_CHECK_OK, "isolated CPUs: 8-15", NULL},
    {no_fanotify, "fanotify", VP_CHECK_WARNING, "Invalid argument", "CONFIG_FANOTIFY"},
    {kernel_new, "kernel", VP_CHECK_OK, "6.12.1 keeps", NULL},
    {no_tracepoint, "tracepoint", VP_CHECK_WARNING, "no tracepoint", "mount -t tracefs"},
    {no_btf, "tracepoint", VP_CHECK_WARNING, "does not describe its types", "BTF"},
    {blind, "sight", VP_CHECK_WARNING, "tracing: EPERM; the sweep", "journalctl"},
};

START_TEST(finds)
{
    const struct vp_diagnosis *found = NULL;

    cases[_i].differs();
    ck_assert(vp_doctor_run(&doctor));
    for (size_t i = 0; i < doctor.count; i++) {
        const struct vp_diagnosis *item = &doctor.item[i];

        /* what is found has a cure, what is well needs none */
        ck_assert_msg((item->grade == VP_CHECK_OK) == (item->remedy[0] == '\0'),
                      "%s: \"%s\", \"%s\"", item->name, item->text, item->remedy);
        if (i > 0)
            ck_assert_int_ge(item[-1].grade, item->grade);
        if (!found && strcmp(item->name, cases[_i].name) == 0 && item->grade == cases[_i].grade)
            found = item;
    }
    ck_assert_msg(found != NULL, "case %d: %s says nothing of that grade", _i, cases[_i].name);
    ck_assert_msg(strstr(found->text, cases[_i].text), "%s: \"%s\" lacks \"%s\"", found->name,
                  found->text, cases[_i].text);
    if (cases[_i].remedy)
        ck_assert_msg(strstr(found->remedy, cases[_i].remedy), "%s: \"%s\" lacks \"%s\"",
                      found->name, found->remedy, cases[_i].remedy);
}
END_TEST

START_TEST(sound_host_has_no_finding)
{
    ck_assert(vp_doctor_run(&doctor));
    ck_assert_uint_gt(doctor.count, 20);
    for (size_t i = 0; i < doctor.count; i++)
        ck_assert_msg(doctor.item[i].grade == VP_CHECK_OK, "%s: %s", doctor.item[i].name,
                      doctor.item[i].text);
}
END_TEST

START_TEST(harm_orders)
{
    enforcer_down();
    no_hook();
    disabled();
    numad();
    ck_assert(vp_doctor_run(&doctor));
    ck_assert_str_eq(doctor.item[0].name, "hook");
    ck_assert_str_eq(doctor.item[1].name, "enforcer");
    ck_assert_str_eq(doctor.item[2].name, "switch");
    ck_assert_str_eq(doctor.item[3].name, "balancers");
    ck_assert_int_eq(doctor.item[4].grade, VP_CHECK_OK);
}
END_TEST

/* Nothing at all there: no crash, and the worst is said. */
START_TEST(empty_host)
{
    remove_all();
    ck_assert_int_eq(mkdir(root, 0700), 0);
    memset(&doctor.cgroups, 0, sizeof(doctor.cgroups));
    doctor.hierarchies = NULL;
    doctor.findings = NULL;
    doctor.rows = NULL;
    doctor.kernel = "";
    doctor.enforcer = (struct vp_enforcer_facts){0};
    doctor.libvirt = 0;
    ck_assert(vp_doctor_run(&doctor));
    ck_assert_str_eq(doctor.item[0].name, "hook");
    ck_assert_int_eq(doctor.item[0].grade, VP_CHECK_ERROR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor");
    TCase *tcase = tcase_create("checks");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, finds, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(tcase, sound_host_has_no_finding);
    tcase_add_test(tcase, harm_orders);
    tcase_add_test(tcase, empty_host);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
