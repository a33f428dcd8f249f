/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"
#include "host/pinthread.h"

/* A group that is written, once for all its threads. */
struct slot {
    char name[24]; /* below the guest's directory: "vcpu3" */
    struct vp_cpuset wanted;
    bool written, read; /* read: cpus is what the file said last */
    struct vp_cpuset cpus;
};

struct run {
    struct vp_pin_eye eye;
    const struct vp_pins *pins;
    const struct vp_cpuset *online;
    bool always;
    struct slot *slot;
    size_t slot_count;
    struct vp_seen *seen; /* threads that have a pin and have not ended */
    int *slot_of;         /* of the same index as seen; -1: none */
    size_t count;
    struct vp_pin_report *report;
    struct vp_error *err; /* NULL once it holds the first refusal */
};

/* Takes the place of run->err for one refusal; only the first is kept. */
static struct vp_error *refusal(struct run *run)
{
    struct vp_error *err = run->err;

    run->err = NULL;
    return err;
}

/* Refusals that are not about what was written but about who writes, or where:
 * whoever is root may open and write these files of a hierarchy that works. */
static void note_denied(struct run *run, bool opening, int number)
{
    if (number == EPERM || number == EROFS || number == EIO || number == ENOTCONN ||
        number == ENOSYS || (opening && number == EACCES))
        run->report->denied = number == EACCES ? EPERM : number;
}

static const struct vp_pin *pin_of(const struct run *run, const struct vp_seen *seen)
{
    return vp_drift_wanted(run->pins, seen->role, seen->index, seen->astray ? "" : seen->group);
}

static void who(const struct vp_seen *seen, char *text, size_t size)
{
    if (seen->role == VP_ROLE_VCPU || seen->role == VP_ROLE_IOTHREAD)
        snprintf(text, size, "%s %u (thread %d)", vp_role_word(seen->role), seen->index,
                 (int)seen->tid);
    else
        snprintf(text, size, "%s (thread %d)", vp_role_word(seen->role), (int)seen->tid);
}

/* ---- groups ---- */

/* The group whose file decides over the thread; a thread that was moved away
 * still has its own group written. False for workers that were moved. */
static bool place_of(const struct vp_seen *seen, char *name, size_t size)
{
    const char *slash = strrchr(seen->group, '/');

    if (seen->role == VP_ROLE_VCPU)
        snprintf(name, size, "vcpu%u", seen->index);
    else if (seen->role == VP_ROLE_IOTHREAD)
        snprintf(name, size, "iothread%u", seen->index);
    else if (seen->role == VP_ROLE_EMULATOR)
        snprintf(name, size, "emulator");
    else if (seen->astray || !slash)
        return false;
    else
        snprintf(name, size, "%.23s", slash + 1);
    return true;
}

static int add_slot(struct run *run, const struct vp_seen *seen, const struct vp_pin *pin)
{
    struct slot slot = {0};

    if (!seen->has_cpuset || !place_of(seen, slot.name, sizeof(slot.name)))
        return -1;
    for (size_t i = 0; i < run->slot_count; i++)
        if (strcmp(run->slot[i].name, slot.name) == 0)
            return (int)i;
    vp_drift_group(run->pins, pin, slot.name, &slot.wanted);
    run->slot[run->slot_count] = slot;
    return (int)run->slot_count++;
}

/* Whether the file needs no write: equal among online CPUs and nothing beyond,
 * or unset (v2) where that comes to the same. */
static bool slot_is_right(const struct run *run, const struct slot *slot,
                          const struct vp_cpuset *here)
{
    struct vp_cpuset effective;

    if (!slot->read)
        return false;
    if (!vp_cpuset_empty(&slot->cpus))
        return vp_cpuset_within(&slot->cpus, &slot->wanted) && vp_cpuset_within(here, &slot->cpus);
    return vp_cpus_at_effective(run->eye.cgroups, run->eye.root_fd, slot->name, &effective) == 0 &&
           vp_cpuset_equal(&effective, here);
}

/* 0 or -errno. */
static int write_fd(struct run *run, int fd, const struct slot *slot, const struct vp_cpuset *here)
{
    int result;

    /* v1 takes online CPUs only; v2 keeps the others for when they come back,
     * but refuses numbers that this machine can never have. */
    if (run->eye.cgroups->version == VP_CGROUP_V1)
        return vp_cpus_fd_write(fd, here);
    result = vp_cpus_fd_write(fd, &slot->wanted);
    if ((result == -ERANGE || result == -EINVAL) && !vp_cpuset_equal(here, &slot->wanted))
        result = vp_cpus_fd_write(fd, here);
    return result;
}

static void write_slot(struct run *run, struct slot *slot)
{
    struct vp_cpuset here = slot->wanted;
    char path[1024];
    int fd, result = 0;

    vp_cpuset_and(&here, run->online);
    if (vp_cpuset_empty(&here)) {
        vp_fail(refusal(run), VP_HOST, "%s/%s: none of its CPUs is online", run->eye.root,
                slot->name);
        return;
    }
    snprintf(path, sizeof(path), "%s/" VP_CPUSET_FILE, slot->name);
    fd = openat(run->eye.root_fd, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        note_denied(run, true, errno);
        vp_fail_errno(refusal(run), errno == ENOENT ? VP_GONE : VP_HOST, errno, "%s/%s",
                      run->eye.root, path);
        return;
    }
    slot->read = !run->always && vp_cpus_fd_read(fd, &slot->cpus) == 0;
    if (!slot_is_right(run, slot, &here)) {
        result = write_fd(run, fd, slot, &here);
        slot->written = result == 0;
        run->report->cpusets_written += slot->written;
        /* Here and not at the end: the descriptor is still there. */
        slot->read = vp_cpus_fd_read(fd, &slot->cpus) == 0;
    }
    close(fd);
    if (result == 0)
        return;
    note_denied(run, false, -result);
    snprintf(path, sizeof(path), "%.990s/%s", run->eye.root, slot->name);
    vp_cgroup_write_failed(run->eye.cgroups->version, path, &here, -result, refusal(run));
}

/* ---- threads ---- */

static void set_affinity(struct run *run, const struct vp_seen *seen, bool group_written)
{
    struct vp_cpuset here = pin_of(run, seen)->cpus, has;
    char text[128], name[64];
    int result;

    vp_cpuset_and(&here, run->online);
    /* After a write the mask is set even where it looks right: it may only be
     * the group's, with another one remembered below it (kernels from 6.2). */
    if (!run->always && !group_written && vp_affinity_get(seen->tid, &has) == 0 &&
        vp_cpuset_equal(&has, &here))
        return;
    result = vp_cpuset_empty(&here) ? -EINVAL : vp_affinity_set(seen->tid, &here);
    if (result == 0) {
        run->report->affinities_set++;
        return;
    }
    if (result == -ESRCH)
        return;
    note_denied(run, false, -result);
    who(seen, name, sizeof(name));
    vp_cpuset_print(&pin_of(run, seen)->cpus, text, sizeof(text));
    if (result == -EINVAL)
        vp_fail(refusal(run), VP_HOST, "%s cannot run on %s: none of them is online and in %s",
                name, text, seen->group[0] ? seen->group : "what the process may use");
    else
        vp_fail_errno(refusal(run), VP_HOST, -result, "%s: setting its affinity to %s", name, text);
}

static void write_all(struct run *run)
{
    if (run->eye.root_fd < 0 && run->slot_count > 0)
        vp_fail(refusal(run), VP_GONE, "the guest's groups %s are gone", run->eye.root);
    for (size_t i = 0; i < run->slot_count && run->eye.root_fd >= 0; i++)
        write_slot(run, &run->slot[i]);
    for (size_t i = 0; i < run->count; i++)
        set_affinity(run, &run->seen[i],
                     run->slot_of[i] >= 0 && run->slot[run->slot_of[i]].written);
}

/* The mask, and the group's file and effective set. Where the mask is what the
 * file said just now, the effective set lying between them is the same, and
 * nothing need be opened. */
static int read_one(struct run *run, struct vp_seen *seen, const struct slot *slot)
{
    int result;

    if (!slot || !slot->read || seen->astray)
        return vp_pin_read(&run->eye, seen, NULL);
    result = vp_affinity_get(seen->tid, &seen->affinity);
    if (result < 0 || !vp_cpuset_equal(&seen->affinity, &slot->cpus))
        return vp_pin_read(&run->eye, seen, NULL);
    seen->cpuset = seen->effective = slot->cpus;
    return 0;
}

/* Threads that have ended leave the list. */
static void read_back(struct run *run)
{
    size_t kept = 0;

    for (size_t i = 0; i < run->count; i++) {
        int at = run->slot_of[i];
        int result = read_one(run, &run->seen[i], at >= 0 ? &run->slot[at] : NULL);

        if (result == -ESRCH) {
            run->report->gone++;
            continue;
        }
        if (result < 0)
            vp_fail_errno(refusal(run), VP_HOST, -result, "reading back thread %d",
                          (int)run->seen[i].tid);
        if (kept != i) {
            run->seen[kept] = run->seen[i];
            run->slot_of[kept] = run->slot_of[i];
        }
        kept++;
    }
    run->count = kept;
}

/* ---- the guest's own directory ---- */

/* If the directory above the groups is what keeps a pin out, it is widened by
 * the pins' CPUs, as far as the group above it has them: on v1 it loses CPUs
 * that went offline and does not get them back. True if it was written. */
static bool widen_root(struct run *run)
{
    struct vp_cpuset cpus, above, all = {0};
    int fd;
    bool done;

    if (run->eye.root_fd < 0 || vp_cpus_at_read(run->eye.root_fd, ".", VP_CPUSET_FILE, &cpus) < 0 ||
        vp_cpus_at_effective(run->eye.cgroups, run->eye.root_fd, "..", &above) < 0)
        return false;
    for (size_t i = 0; i < run->slot_count; i++)
        vp_cpuset_or(&all, &run->slot[i].wanted);
    vp_cpuset_and(&all, &above);
    vp_cpuset_and(&all, run->online);
    if (vp_cpuset_empty(&cpus) || vp_cpuset_within(&all, &cpus))
        return false;
    vp_cpuset_or(&all, &cpus);
    fd = openat(run->eye.root_fd, VP_CPUSET_FILE, O_WRONLY | O_CLOEXEC);
    done = fd >= 0 && vp_cpus_fd_write(fd, &all) == 0;
    if (fd >= 0)
        close(fd);
    run->report->cpusets_written += done;
    return done;
}

/* ---- the whole ---- */

static int compare(struct run *run)
{
    struct vp_diffs *left = &run->report->left;

    vp_diffs_clear(left);
    if (vp_drift_compare(run->pins, run->seen, run->count, run->online, left) < 0)
        return -1;
    /* A thread that is not there is not for us to say: the caller may have asked
     * for some of a guest's threads only. */
    vp_drift_drop_missing(left);
    return 0;
}

/* What differs although the kernel refused nothing: a group above narrows, or
 * the thread is elsewhere. */
static void tell_left(struct run *run)
{
    const struct vp_diff *diff = run->report->left.item;
    char wanted[128], found[128];

    if (run->report->left.count == 0)
        return;
    vp_cpuset_print(&diff->wanted, wanted, sizeof(wanted));
    vp_cpuset_print(&diff->found, found, sizeof(found));
    vp_fail(refusal(run), VP_HOST, "%s %u (thread %d) still differs: %s, wanted %s, found %s%s%s",
            vp_role_word(diff->role), diff->index, (int)diff->tid, vp_drift_kind_word(diff->kind),
            wanted, found, diff->where[0] ? " in " : "", diff->where);
}

static int put_in_force(struct run *run, struct vp_error *err)
{
    write_all(run);
    read_back(run);
    if (compare(run) < 0)
        return -1;
    if (run->report->left.count == 0 || !widen_root(run))
        return 0;
    /* What stood in the way may be gone, and its complaint with it. */
    if (err)
        *err = (struct vp_error){0};
    run->err = err;
    run->always = true;
    write_all(run);
    read_back(run);
    return compare(run);
}

/* One with a pin stays. */
static void take_seen(struct run *run)
{
    struct vp_seen *seen = &run->seen[run->count];
    const struct vp_pin *pin = pin_of(run, seen);

    if (pin)
        run->slot_of[run->count++] = add_slot(run, seen, pin);
}

static void find_threads(struct run *run, const struct vp_threads *threads)
{
    for (size_t i = 0; i < threads->count; i++) {
        memset(&run->seen[run->count], 0, sizeof(*run->seen));
        if (vp_pin_locate(&run->eye, &threads->item[i], &run->seen[run->count]) < 0)
            run->report->gone++;
        else
            take_seen(run);
    }
}

static int make_room(struct run *run, size_t count)
{
    size_t room = count ? count : 1;

    run->seen = malloc(room * sizeof(*run->seen));
    run->slot = calloc(room, sizeof(*run->slot));
    run->slot_of = calloc(room, sizeof(*run->slot_of));
    return run->seen && run->slot && run->slot_of ? 0 : -1;
}

/* Of threads, or where there are none of seen. */
static int apply(struct run *run, const struct vp_threads *threads, const struct vp_seen_list *seen,
                 struct vp_error *err)
{
    size_t count = threads ? threads->count : seen ? seen->count : 0;
    int result = -1;

    *run->report = (struct vp_pin_report){0};
    if (err)
        *err = (struct vp_error){0};
    if (make_room(run, count) == 0) {
        if (threads)
            find_threads(run, threads);
        for (size_t i = 0; seen && i < seen->count; i++) {
            run->seen[run->count] = seen->item[i];
            take_seen(run);
        }
        result = put_in_force(run, err);
    }
    if (result == 0)
        tell_left(run);
    vp_pin_eye_close(&run->eye);
    free(run->seen);
    free(run->slot);
    free(run->slot_of);
    if (result < 0) {
        vp_diffs_clear(&run->report->left);
        vp_fail(err, VP_HOST, "out of memory");
    }
    return result;
}

int vp_pin_apply(const struct vp_cgroups *cgroups, const struct vp_threads *threads,
                 const char *guest_root, const struct vp_pins *pins, const struct vp_cpuset *online,
                 bool always, struct vp_pin_report *report, struct vp_error *err)
{
    struct run run = {
        .pins = pins, .online = online, .always = always, .report = report, .err = err};

    vp_pin_eye_open(&run.eye, cgroups, threads->pid, guest_root);
    return apply(&run, threads, NULL, err);
}

int vp_pin_apply_seen(const struct vp_cgroups *cgroups, const struct vp_seen_list *seen,
                      const char *guest_root, const struct vp_pins *pins,
                      const struct vp_cpuset *online, struct vp_pin_report *report,
                      struct vp_error *err)
{
    struct run run = {.pins = pins, .online = online, .report = report, .err = err};

    vp_pin_eye_open(&run.eye, cgroups, 0, guest_root);
    return apply(&run, NULL, seen, err);
}
