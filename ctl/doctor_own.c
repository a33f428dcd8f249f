/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What doctor asks about virtpin's own: policies, enforcer, directories, ledger. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "ctl/doctor.h"
#include "ctl/output.h"
#include "decide/policy.h"

void vp_check_root(struct vp_doctor *doctor)
{
    if (doctor->is_root)
        return;
    vp_doctor_say(doctor, VP_CHECK_ERROR,
                  "not run as root: what follows may be wrong, because files of root's cannot be "
                  "read");
    vp_doctor_remedy(doctor, "sudo virtpin doctor");
}

void vp_check_switch(struct vp_doctor *doctor)
{
    if (doctor->enabled) {
        vp_doctor_say(doctor, VP_CHECK_OK, "virtpin is switched on");
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "virtpin is disabled (%s): hook and enforcer change nothing",
                  doctor->disabled_why[0] ? doctor->disabled_why : "no reason given");
    vp_doctor_remedy(doctor, "virtpin enable");
}

/* ---- policies ---- */

static const struct vp_finding *first_error(const struct vp_findings *findings)
{
    for (size_t i = 0; findings && i < findings->count; i++)
        if (findings->item[i].grade == VP_ERROR)
            return &findings->item[i];
    return NULL;
}

static size_t active(const struct vp_policy_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++)
        count += set->policy[i].mode != VP_MODE_OFF;
    return count;
}

void vp_check_policy(struct vp_doctor *doctor)
{
    const struct vp_finding *error = first_error(doctor->findings);
    size_t errors = doctor->findings ? vp_findings_errors(doctor->findings) : 0;
    char line[512];

    if (!doctor->policy_loaded) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "the policy files have %zu %s (%s): %s", errors,
                      errors == 1 ? "error" : "errors",
                      error ? vp_finding_line(error, line, sizeof(line)) : "they cannot be read",
                      doctor->policy_stale
                          ? "hook and enforcer go on with the last good set"
                          : "there is no good set, so guests start by [host] on-error");
        vp_doctor_remedy(doctor, "virtpin policy check");
        return;
    }
    if (active(doctor->set) == 0) {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "the policy files are sound, and no policy is active: virtpin leaves every "
                      "guest alone (examples in " VP_DATADIR "/examples)");
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_OK, "the policy files are sound: %zu %s", doctor->set->count,
                  doctor->set->count == 1 ? "policy" : "policies");
}

/* ---- the enforcer ---- */

void vp_check_enforcer(struct vp_doctor *doctor)
{
    const struct vp_enforcer_facts *facts = &doctor->enforcer;
    struct vp_program program;

    if (!facts->running) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the enforcer is down: drift is neither seen nor repaired, and no definition "
                      "is rewritten");
        vp_doctor_remedy(doctor, doctor->systemd ? "systemctl enable --now virtpind" : "virtpind");
        return;
    }
    if (!facts->can_repair) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "the enforcer (pid %d) cannot repair: %s",
                      (int)facts->pid, facts->why[0] ? facts->why : "it does not say why");
        vp_doctor_remedy(doctor, "%s",
                         facts->remedy[0] ? facts->remedy : "journalctl -u virtpind -p err");
        return;
    }
    if (strcmp(facts->libvirt, "reconnecting") == 0) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "the enforcer (pid %d) has no connection to libvirt at %s: threads are kept, "
                      "definitions and libvirt's pins are not",
                      (int)facts->pid, doctor->set->host.uri ? doctor->set->host.uri : "?");
        vp_doctor_remedy(doctor, "systemctl status libvirtd virtqemud");
        return;
    }
    if (vp_doctor_program(doctor, "virtpind", &program) && program.pid == facts->pid &&
        program.replaced) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "the enforcer (pid %d) runs from a file that was replaced since: it is of an "
                      "older version",
                      (int)facts->pid);
        vp_doctor_remedy(doctor, "systemctl restart virtpind");
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_OK, "the enforcer is up, pid %d", (int)facts->pid);
}

/* Ten sweeps, and never less than half a minute: a machine may be busy. */
#define LATE_SWEEPS 10
#define LATE_MS 30000
/* sweep = auto: at most 30 s lie between two. */
#define LATE_AUTO_MS 90000

void vp_check_sweep(struct vp_doctor *doctor)
{
    int64_t last = doctor->enforcer.last_sweep_ms, ago = doctor->now_ms - last;
    int64_t late = doctor->set->host.sweep_ms == VP_SWEEP_AUTO
                       ? LATE_AUTO_MS
                       : (int64_t)doctor->set->host.sweep_ms * LATE_SWEEPS;
    char time[VP_TIME_TEXT], span[VP_TIME_TEXT];

    if (!doctor->enforcer.running)
        return;
    late = late > LATE_MS ? late : LATE_MS;
    if (last == 0)
        ago = doctor->now_ms - doctor->enforcer.since_ms;
    if (ago > late) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "the enforcer's last sweep was %s%s%s: it hangs",
                      last ? vp_time_text(last, time) : "never, though it is up for ",
                      last ? ", before " : "", vp_span_text(ago, span));
        vp_doctor_remedy(doctor, "systemctl restart virtpind");
    } else if (ago < -late) {
        vp_doctor_say(doctor, VP_CHECK_OK, "the last sweep was at %s: the clock was set back since",
                      vp_time_text(last, time));
    } else if (last == 0) {
        vp_doctor_say(doctor, VP_CHECK_OK, "no sweep yet, the enforcer is just up");
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK, "the last sweep was at %s, %s ago",
                      vp_time_text(last, time), vp_span_text(ago > 0 ? ago : 0, span));
    }
}

/* ---- directories ---- */

/* A full /run makes libvirt's daemon end every guest when it is restarted: it
 * cannot save their state (libvirt issue 549). */
static void check_space(struct vp_doctor *doctor, const char *dir)
{
    struct statvfs space;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.2000s%.2000s", doctor->root, dir);
    if (statvfs(path, &space) != 0)
        return;
    if (space.f_flag & ST_RDONLY) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "%s is on a file system that is read-only: nothing can be booked or kept",
                      dir);
        vp_doctor_remedy(doctor, "mount -o remount,rw $(findmnt -no TARGET -T %s)", dir);
        return;
    }
    if (space.f_blocks == 0 || (uint64_t)space.f_bavail * space.f_frsize >= 1u << 20)
        return;
    vp_doctor_say(doctor, VP_CHECK_ERROR,
                  "the file system of %s is full: nothing can be booked, and libvirt's daemon may "
                  "end guests when it is restarted",
                  dir);
    vp_doctor_remedy(doctor, "du -xh %s/.. | sort -h | tail", dir);
}

static void check_dir(struct vp_doctor *doctor, const char *dir, const char *what)
{
    struct stat st;

    if (!vp_doctor_stat(doctor, dir, &st)) {
        if (errno != ENOENT && errno != ENOTDIR) {
            vp_doctor_say(doctor, VP_CHECK_ERROR, "%s cannot be looked at: %s", dir,
                          strerror(errno));
            vp_doctor_remedy(doctor, "ls -ld %s", dir);
            return;
        }
        vp_doctor_say(doctor, VP_CHECK_OK, "%s (%s) is not there yet: it is made when it is needed",
                      dir, what);
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "%s (%s) is no directory", dir, what);
        vp_doctor_remedy(doctor, "rm %s && install -d -m 700 %s", dir, dir);
    } else if (st.st_uid != doctor->owner || (st.st_mode & 022)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "%s (%s) is uid %u's with mode %04o: others than root may change who holds "
                      "which CPU",
                      dir, what, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
        vp_doctor_remedy(doctor, "chown root:root %s && chmod 700 %s", dir, dir);
    } else if (st.st_mode & 077) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "%s (%s) has mode %04o: what is in it may hold guests' secrets", dir, what,
                      (unsigned)(st.st_mode & 07777));
        vp_doctor_remedy(doctor, "chmod 700 %s", dir);
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK, "%s (%s) is root's alone", dir, what);
    }
    check_space(doctor, dir);
}

void vp_check_run_dir(struct vp_doctor *doctor)
{
    check_dir(doctor, doctor->set->host.run_dir, "bookings");
}

void vp_check_state_dir(struct vp_doctor *doctor)
{
    check_dir(doctor, doctor->set->host.state_dir, "what definitions held before");
}

/* ---- the ledger ---- */

void vp_check_ledger(struct vp_doctor *doctor)
{
    const char *dir = doctor->set->host.run_dir;
    char path[PATH_MAX];
    struct stat st;

    if (doctor->ledger < 0) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "the ledger cannot be read: %s",
                      doctor->ledger_why ? doctor->ledger_why : "it does not say why");
        vp_doctor_remedy(doctor, "systemctl restart virtpind (it makes a new one from what runs)");
        return;
    }
    snprintf(path, sizeof(path), "%.4000s/ledger.db.broken", dir);
    if (vp_doctor_stat(doctor, path, &st)) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "a damaged ledger was moved aside to %s and made anew from what runs", path);
        vp_doctor_remedy(doctor, "journalctl -t virtpind -t virtpin-hook --grep ledger; rm %s*",
                         path);
    }
    if (doctor->ledger == 0)
        vp_doctor_say(doctor, VP_CHECK_OK, "there is no ledger yet: no guest was started since");
    else
        vp_doctor_say(doctor, VP_CHECK_OK, "the ledger is sound: %zu %s",
                      doctor->rows ? doctor->rows->count : 0,
                      doctor->rows && doctor->rows->count == 1 ? "guest" : "guests");
}
