/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOCTOR_H
#define VP_DOCTOR_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "ctl/view.h"
#include "decide/cpuset.h"
#include "decide/finding.h"
#include "host/cgroup.h"
#include "host/hierarchy.h"
#include "host/ledger.h"

struct vp_policy_set;

/* What `virtpin doctor` looks at. Files are read below a root, so that a test
 * can make up a host; what only a system call can tell is gathered before.
 * libvirt is never called: its daemon may be what hangs. */

#define VP_LAUNCHER VP_PREFIX "/sbin/virtpin-hook"

enum vp_check_grade { VP_CHECK_OK, VP_CHECK_WARNING, VP_CHECK_ERROR };

struct vp_diagnosis {
    const char *name; /* of the check */
    enum vp_check_grade grade;
    size_t order; /* the check's place in the table: the worse comes first */
    char text[768];
    char remedy[512]; /* "" where there is nothing to do */
};

/* A running program, by its name in /proc/PID/comm. */
struct vp_program {
    pid_t pid;
    int64_t started_ms; /* since 1970, to about 20 ms */
    uint64_t start;     /* vp_process_start */
    bool replaced;      /* its file was deleted or replaced since */
};

/* One file that libvirt may run as a qemu hook. */
struct vp_hook_entry {
    char path[PATH_MAX];   /* below the root, as libvirt has it */
    char target[PATH_MAX]; /* at the end of its links, below the root */
    struct stat st;        /* of the target */
    bool there, link, ours;
    int64_t appeared_ms; /* when the name came to be */
};

struct vp_doctor {
    /* given by the caller */
    const char *root; /* "" for this host */
    int64_t now_ms;
    const struct vp_policy_set *set;    /* never NULL: the defaults where nothing could be read */
    const struct vp_findings *findings; /* of loading it */
    struct vp_enforcer_facts enforcer;
    const struct vp_hierarchies *hierarchies; /* NULL: unknown */
    const char *kernel;                       /* uname -r */
    unsigned long libvirt;                    /* of the library, 1000000 * major + ...; 0 unknown */
    int64_t daemon_changed_ms; /* libvirt's unit was started or reloaded; 0 unknown */
    const char *hook_log;      /* what libvirt said of hooks, lines; NULL: nothing */
    const struct vp_guest_rows *rows;
    const char *ledger_why;
    int ledger;   /* 1 open, 0 none yet, -1: ledger_why */
    int fanotify; /* 0, or why it is not to be had (errno) */
    struct vp_cgroups cgroups;
    uid_t owner; /* root's, whose everything has to be */
    bool is_root;
    bool systemd; /* units can be asked */
    bool enabled;
    char disabled_why[256];
    bool policy_loaded, policy_stale; /* the files are sound; the last good set is used */

    /* found on the way */
    struct vp_diagnosis *item;
    size_t count;
    const char *check; /* the one that runs */
    size_t order;
    bool no_memory;
};

/* Runs every check and sorts what they say by harm: errors, warnings, the
 * rest; among equals in the order of the table. False without memory. */
bool vp_doctor_run(struct vp_doctor *doctor);
void vp_doctor_clear(struct vp_doctor *doctor);
static inline void vp_doctor_cleanup(struct vp_doctor *doctor)
{
    vp_doctor_clear(doctor);
}

/* ---- for the checks ---- */

/* Adds a diagnosis of the check that runs; vp_doctor_remedy gives the last one
 * its remedy: a command, or a line for a file. */
void vp_doctor_say(struct vp_doctor *doctor, enum vp_check_grade grade, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void vp_doctor_remedy(struct vp_doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ROOT/PATH into buf, cut at the end; the length, -1 with errno. */
ssize_t vp_doctor_read(const struct vp_doctor *doctor, const char *path, char *buf, size_t size);
/* Without its last newline: for files of one line. */
bool vp_doctor_line(const struct vp_doctor *doctor, const char *path, char *buf, size_t size);
bool vp_doctor_stat(const struct vp_doctor *doctor, const char *path, struct stat *st);
/* A kernel's CPU list; empty where the file is not there. */
void vp_doctor_cpus(const struct vp_doctor *doctor, const char *path, struct vp_cpuset *cpus);

/* The first process of that comm; false if there is none. */
bool vp_doctor_program(const struct vp_doctor *doctor, const char *comm,
                       struct vp_program *program);
/* libvirt's daemon for QEMU: libvirtd or virtqemud; its name, NULL: none. */
const char *vp_doctor_daemon(const struct vp_doctor *doctor, struct vp_program *program);

/* What libvirt would run, in its order; the caller frees. */
struct vp_hook_entry *vp_doctor_hooks(const struct vp_doctor *doctor, size_t *count);
/* Our own entry, the one that runs if there are several; NULL: none. */
const struct vp_hook_entry *vp_hook_ours(const struct vp_hook_entry *list, size_t count);
/* Whether libvirt runs it: a file that is executable, whatever its name. */
bool vp_hook_runs(const struct vp_hook_entry *entry);
/* Follows the links of a file below the root to their end. */
bool vp_doctor_resolve(const struct vp_doctor *doctor, const char *path, char target[PATH_MAX]);

/* Guests' definitions and status files: `see` is called with each one's name
 * and XML until it returns false. */
void vp_doctor_guests(const struct vp_doctor *doctor,
                      bool (*see)(void *context, const char *name, const char *xml), void *context);

/* CPUs that guests hold for themselves now. */
void vp_doctor_dedicated(const struct vp_doctor *doctor, struct vp_cpuset *cpus);

/* ---- the checks, by file ---- */
void vp_check_root(struct vp_doctor *doctor);
void vp_check_switch(struct vp_doctor *doctor);
void vp_check_policy(struct vp_doctor *doctor);
void vp_check_enforcer(struct vp_doctor *doctor);
void vp_check_sweep(struct vp_doctor *doctor);
void vp_check_run_dir(struct vp_doctor *doctor);
void vp_check_state_dir(struct vp_doctor *doctor);
void vp_check_ledger(struct vp_doctor *doctor);

void vp_check_hook(struct vp_doctor *doctor);
void vp_check_noticed(struct vp_doctor *doctor);
void vp_check_worker(struct vp_doctor *doctor);
void vp_check_other_hooks(struct vp_doctor *doctor);
void vp_check_apparmor(struct vp_doctor *doctor);
void vp_check_selinux(struct vp_doctor *doctor);

void vp_check_cgroup(struct vp_doctor *doctor);
void vp_check_qemu_conf(struct vp_doctor *doctor);
void vp_check_narrowed(struct vp_doctor *doctor);
void vp_check_partitions(struct vp_doctor *doctor);
void vp_check_isolated(struct vp_doctor *doctor);
void vp_check_kernel(struct vp_doctor *doctor);
void vp_check_libvirt(struct vp_doctor *doctor);
void vp_check_fanotify(struct vp_doctor *doctor);
void vp_check_tracepoint(struct vp_doctor *doctor);
void vp_check_sight(struct vp_doctor *doctor);

void vp_check_managers(struct vp_doctor *doctor);
void vp_check_auto(struct vp_doctor *doctor);
void vp_check_balancers(struct vp_doctor *doctor);

#endif
