/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/memmove.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/guestmemory.h"

/* Pages in one call: a kernel that moves is asked to end between two of them. */
#define BATCH 1024
#define BATCH_KIB (64 * 1024)
/* So much stays and hardly anything moves: it is pinned, and asking goes on for hours. */
#define GIVE_UP_KIB (256 * 1024)
/* Calls in a row that have moved nothing of a batch. */
#define TRIES 3
/* of <numaif.h>, which is libnuma's */
#define MOVE_OWN (1 << 1)
#define MOVE_SHARED (1 << 2)
/* Behind everything else, and the guest itself. */
#define NICE 10
/* Less than this elsewhere is not worth a second way. */
#define UNSEEN_KIB 1024
/* Addresses that are asked for, for each page that is there. */
#define SPARSE 64
#define SPARSE_LEAST (1 << 20)
#define LONG_BITS (8 * (int)sizeof(unsigned long))

int vp_memory_job_init(struct vp_memory_job *job, struct vp_error *err)
{
    *job = (struct vp_memory_job){0};
    job->progress = mmap(NULL, sizeof(*job->progress), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job->progress != MAP_FAILED)
        return 0;
    job->progress = NULL;
    return vp_fail_errno(err, VP_HOST, errno, "memory to tell of progress");
}

void vp_memory_job_clear(struct vp_memory_job *job)
{
    if (job->progress)
        munmap(job->progress, sizeof(*job->progress));
    vp_mems_job_clear(&job->wide);
    vp_mems_job_clear(&job->narrow);
    *job = (struct vp_memory_job){0};
}

/* ---- lines, without the heap ---- */

/* Large: nothing of it is touched but by the process that moves. */
struct lines {
    int fd;
    size_t at, length;
    char text[1 << 16];
};

static int open_lines(struct lines *lines, const char *proc, pid_t pid, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%.200s/%d/%s", proc, (int)pid, name);
    lines->at = lines->length = 0;
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    return lines->fd < 0 ? errno : 0;
}

/* NULL at the end. Lines longer than the buffer are cut. */
static char *next_line(struct lines *lines)
{
    for (;;) {
        char *line = lines->text + lines->at;
        char *end = memchr(line, '\n', lines->length - lines->at);
        ssize_t got;

        if (end) {
            *end = '\0';
            lines->at = (size_t)(end - lines->text) + 1;
            return line;
        }
        memmove(lines->text, line, lines->length - lines->at);
        lines->length -= lines->at;
        lines->at = 0;
        if (lines->length == sizeof(lines->text) - 1)
            lines->length = 0;
        got = read(lines->fd, lines->text + lines->length, sizeof(lines->text) - 1 - lines->length);
        if (got <= 0)
            return NULL;
        lines->length += (size_t)got;
    }
}

/* ---- pages ---- */

struct mover {
    const char *proc;
    const struct vp_memory_job *job;
    uint64_t have_kib[VP_NODES_MAX];
    uint64_t moved_kib, stayed_kib;
    int trouble; /* an errno that ends it */
    bool no_room, gave_up;
    struct lines areas, maps;
    uint64_t map_start, map_end; /* of the line of maps that was read last */
    void *left[BATCH];           /* of the batch, what is elsewhere */
    int at[BATCH], to[BATCH], status[BATCH];
};

static long move_pages(pid_t pid, size_t count, void **page, const int *to, int *status, int flags)
{
    return syscall(SYS_move_pages, pid, (unsigned long)count, page, to, status, flags);
}

/* Keeps of `page` what is on a node that it is not to be on; at[] says which. */
static size_t keep_elsewhere(struct mover *mover, void **page, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    if (move_pages(mover->job->pid, count, page, NULL, mover->status, 0) < 0) {
        mover->trouble = errno;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        int node = mover->status[i]; /* negative: there is no page */

        if (node < 0 || vp_cpuset_has(&mover->job->aim.nodes, node))
            continue;
        mover->at[kept] = node;
        page[kept++] = page[i];
    }
    return kept;
}

static void publish(struct mover *mover)
{
    struct vp_memory_progress *progress = mover->job->progress;
    uint64_t total = atomic_load(&progress->total_kib);
    uint64_t done = mover->moved_kib + mover->stayed_kib;

    atomic_store(&progress->left_kib, total > done ? total - done : 0);
    atomic_store(&progress->stayed_kib, mover->stayed_kib);
    mover->gave_up = mover->stayed_kib > GIVE_UP_KIB && mover->moved_kib < mover->stayed_kib / 16;
}

/* `first`: what is asked again has been counted as moved. */
static void choose(struct mover *mover, size_t count, uint64_t page_kib, bool first)
{
    for (size_t i = 0; i < count; i++) {
        mover->to[i] = vp_memory_aim_at(&mover->job->aim, mover->have_kib, mover->at[i]);
        if (first)
            mover->have_kib[mover->to[i]] += page_kib;
    }
}

/* One call for left[]; what it says of nodes that are full, and of what ends it all. */
static void ask(struct mover *mover, size_t count, int flags)
{
    long result = move_pages(mover->job->pid, count, mover->left, mover->to, mover->status, flags);

    if (result < 0 && errno == ENOMEM)
        mover->no_room = true;
    else if (result < 0 && (errno == EPERM || errno == ESRCH || errno == EACCES || errno == ENOSYS))
        mover->trouble = errno;
    for (size_t i = 0; result == 0 && i < count; i++)
        if (mover->status[i] == -ENOMEM)
            mover->no_room = true;
}

/* Moves what of left[] is elsewhere. A call ends at the first page that cannot
 * be moved: it is made again for as long as that leaves fewer. */
static void move_batch(struct mover *mover, size_t count, const struct vp_memory_area *area)
{
    int flags = area->file ? MOVE_SHARED : MOVE_OWN;
    size_t left = keep_elsewhere(mover, mover->left, count), begun = left;

    for (int tries = 0; left > 0 && tries < TRIES && !mover->no_room && !mover->trouble;) {
        size_t before = left;

        choose(mover, left, area->page_kib, left == begun);
        ask(mover, left, flags);
        if (!mover->trouble)
            left = keep_elsewhere(mover, mover->left, left);
        tries = left < before ? 0 : tries + 1;
    }
    if (mover->trouble)
        return;
    mover->moved_kib += (begun - left) * area->page_kib;
    mover->stayed_kib += left * area->page_kib;
    publish(mover);
}

static bool ends(const struct mover *mover)
{
    return mover->trouble || mover->no_room || mover->gave_up;
}

static uint64_t pages(const struct vp_memory_area *area)
{
    uint64_t kib = 0;

    for (int node = 0; node < VP_NODES_MAX; node++)
        kib += area->nodes.kib[node];
    return kib / area->page_kib;
}

/* Terabytes of addresses for a few pages: the kernel, which sees the holes, moves these. */
static bool is_sparse(const struct vp_memory_area *area, uint64_t end)
{
    return (end - area->start) / (area->page_kib * 1024) > SPARSE * pages(area) + SPARSE_LEAST;
}

static void move_area(struct mover *mover, const struct vp_memory_area *area, uint64_t end)
{
    uint64_t step = area->page_kib * 1024, at = area->start;
    size_t most = BATCH_KIB / area->page_kib;

    most = most == 0 ? 1 : most < BATCH ? most : BATCH;
    while (at < end && !ends(mover)) {
        size_t count = 0;

        for (; count < most && at < end; at += step)
            mover->left[count++] = (void *)(uintptr_t)at;
        move_batch(mover, count, area);
    }
}

/* Where the mapping ends that begins there; its start where there is none any more. */
static uint64_t end_of(struct mover *mover, uint64_t start)
{
    while (mover->map_start < start) {
        char *line = next_line(&mover->maps), *dash;

        if (!line)
            return start;
        mover->map_start = strtoull(line, &dash, 16);
        mover->map_end = *dash == '-' ? strtoull(dash + 1, NULL, 16) : mover->map_start;
    }
    return mover->map_start == start ? mover->map_end : start;
}

static uint64_t elsewhere(const struct mover *mover, const struct vp_memory_nodes *nodes)
{
    uint64_t kib = 0;

    for (int node = 0; node < VP_NODES_MAX; node++)
        if (!vp_cpuset_has(&mover->job->aim.nodes, node))
            kib += nodes->kib[node];
    return kib;
}

/* What is elsewhere now, in KiB; have_kib is made anew. */
static uint64_t take_stock(struct mover *mover)
{
    struct vp_memory_area area;
    uint64_t total = 0;
    char *line;

    memset(mover->have_kib, 0, sizeof(mover->have_kib));
    mover->trouble = open_lines(&mover->areas, mover->proc, mover->job->pid, "numa_maps");
    if (mover->trouble)
        return 0;
    while ((line = next_line(&mover->areas))) {
        if (!vp_memory_area(line, &area) || !area.moves)
            continue;
        total += elsewhere(mover, &area.nodes);
        for (int node = 0; node < VP_NODES_MAX; node++)
            mover->have_kib[node] += area.nodes.kib[node];
    }
    close(mover->areas.fd);
    return total;
}

/* The whole process once. The kernel writes both files in the order of addresses. */
static void pass(struct mover *mover)
{
    struct vp_memory_area area;
    char *line;

    mover->map_start = mover->map_end = 0;
    mover->trouble = open_lines(&mover->areas, mover->proc, mover->job->pid, "numa_maps");
    if (mover->trouble)
        return;
    mover->trouble = open_lines(&mover->maps, mover->proc, mover->job->pid, "maps");
    while (!ends(mover) && (line = next_line(&mover->areas)))
        if (vp_memory_area(line, &area) && area.moves && elsewhere(mover, &area.nodes) > 0) {
            uint64_t end = end_of(mover, area.start);

            if (!is_sparse(&area, end))
                move_area(mover, &area, end);
        }
    close(mover->areas.fd);
    if (mover->maps.fd >= 0)
        close(mover->maps.fd);
}

/* Pages that move_pages(2) does not see: kernels 6.1 to 6.4 hide from it what automatic balancing
 * has marked. Node by node, in one call each; nobody else waits for it. */
static void migrate_rest(struct mover *mover)
{
    const struct vp_cpuset *nodes = &mover->job->aim.nodes;

    for (int from = 0; from < VP_NODES_MAX && !ends(mover); from++) {
        unsigned long was[VP_NODES_MAX / LONG_BITS] = {0}, now[VP_NODES_MAX / LONG_BITS] = {0};
        int to = vp_memory_aim_at(&mover->job->aim, mover->have_kib, from);

        if (mover->have_kib[from] == 0 || vp_cpuset_has(nodes, from))
            continue;
        was[from / LONG_BITS] = 1UL << from % LONG_BITS;
        now[to / LONG_BITS] = 1UL << to % LONG_BITS;
        if (syscall(SYS_migrate_pages, mover->job->pid, VP_NODES_MAX + 1, was, now) < 0 &&
            errno == ENOMEM)
            mover->no_room = true;
    }
}

/* What the kernel says in the end is what counts. */
static void finish(struct mover *mover)
{
    uint64_t elsewhere_kib = take_stock(mover);

    if (elsewhere_kib > mover->stayed_kib + UNSEEN_KIB && !ends(mover)) {
        migrate_rest(mover);
        if (!ends(mover))
            elsewhere_kib = take_stock(mover);
    }
    if (mover->trouble)
        return;
    atomic_store(&mover->job->progress->stayed_kib, elsewhere_kib);
    atomic_store(&mover->job->progress->left_kib, mover->no_room ? elsewhere_kib : 0);
}

static struct mover the_mover; /* of the process that moves */

/* Looks how much there is to do, and does it. */
static int begin(struct mover *mover, const char *proc, const struct vp_memory_job *job)
{
    uint64_t total;

    mover->proc = proc;
    mover->job = job;
    total = take_stock(mover);
    atomic_store(&job->progress->left_kib, total);
    atomic_store(&job->progress->total_kib, total);
    return mover->trouble;
}

static int outcome(const struct mover *mover)
{
    return mover->trouble ? mover->trouble : mover->no_room ? ENOMEM : 0;
}

int vp_memory_move(const char *proc, const struct vp_memory_job *job)
{
    struct mover *mover = &the_mover;

    memset(mover, 0, sizeof(*mover));
    if (begin(mover, proc, job) == 0 && atomic_load(&job->progress->total_kib) > 0) {
        pass(mover);
        if (!mover->trouble)
            finish(mover);
    }
    return outcome(mover);
}

/* ---- the process ---- */

static int write_groups(const struct vp_mems_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        int fd = open(job->write[i].path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, job->write[i].text, strlen(job->write[i].text)) < 0)
            return errno;
        close(fd);
    }
    return 0;
}

/* Once more after the groups are narrow: what came to the old nodes meanwhile. */
static int move_and_narrow(const struct vp_memory_job *job)
{
    struct mover *mover = &the_mover;
    int result = vp_memory_move("/proc", job);

    /* Who may not look into the guest leaves it all to the kernel. */
    if (result != 0 && !(job->narrow.count > 0 && (result == EPERM || result == EACCES)))
        return result;
    result = write_groups(&job->narrow);
    if (result != 0 || job->narrow.count == 0 || ends(mover))
        return result;
    mover->stayed_kib = 0;
    pass(mover);
    if (!mover->trouble)
        finish(mover);
    return 0;
}

/* After a fork of a program with threads: no heap, no stdio. */
static void run(const struct vp_memory_job *job, pid_t parent)
{
    int result;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EINTR);
    /* Its locks end with the enforcer. */
    syscall(SYS_close_range, 3, ~0u, 0);
    setpriority(PRIO_PROCESS, 0, NICE);
    result = write_groups(&job->wide);
    _exit(result ? result : move_and_narrow(job));
}

pid_t vp_memory_move_start(const struct vp_memory_job *job, int *fd, struct vp_error *err)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        run(job, parent);
    *fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (*fd >= 0)
        return pid;
    vp_fail_errno(err, VP_HOST, errno, "a process to move memory");
    return -1;
}
