/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/ledger.h"

/* The launcher only ever appends a short line, which needs no lock and no
 * waiting; the reader remembers how far it has read. */

/* "INODE OFFSET" of what was read last. */
#define READ_KEY "hook-runs"
/* From this length on a new file is begun. */
#define LONG_BYTES 65536

struct place {
    uint64_t inode;
    off_t offset;
};

static void count_line(const char *line, struct vp_counters *counters)
{
    char operation[16], result[16];
    uint64_t us;

    if (sscanf(line, "%15s %" SCNu64 " %15s", operation, &us, result) != 3)
        return;
    for (unsigned i = 0; i < VP_HOOK_OPERATIONS; i++) {
        if (strcmp(operation, vp_hook_operation(i)) != 0)
            continue;
        for (unsigned j = 0; j < VP_HOOK_RESULTS; j++) {
            if (strcmp(result, vp_hook_result_word((enum vp_hook_result)j)) != 0)
                continue;
            counters->hook[i].result[j]++;
            vp_histogram_add(&counters->hook[i].time, us);
        }
    }
}

/* Whole lines from the offset on; what is half written is left for later. */
static off_t count_lines(int fd, off_t offset, struct vp_counters *counters)
{
    char text[4096];
    ssize_t length;

    while ((length = pread(fd, text, sizeof(text) - 1, offset)) > 0) {
        char *at = text, *end;

        text[length] = '\0';
        while ((end = strchr(at, '\n'))) {
            *end = '\0';
            count_line(at, counters);
            at = end + 1;
        }
        if (at == text)
            break;
        offset += at - text;
    }
    return offset;
}

/* Counts what is new in one file, and where its end was. */
static void read_runs(const char *run_dir, const char *name, struct place *place,
                      struct vp_counters *counters)
{
    char path[PATH_MAX];
    struct stat st;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", run_dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        off_t from = st.st_ino == place->inode && place->offset <= st.st_size ? place->offset : 0;

        *place = (struct place){st.st_ino, count_lines(fd, from, counters)};
    }
    close(fd);
}

static int read_place(struct vp_ledger *ledger, struct place *place, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    long long offset = 0;

    *place = (struct place){0};
    if (vp_ledger_meta_get(ledger, READ_KEY, &text, err) < 0)
        return -1;
    if (text && sscanf(text, "%" SCNu64 " %lld", &place->inode, &offset) == 2 && offset >= 0)
        place->offset = (off_t)offset;
    return 0;
}

/* A file that was put aside is read to its end, then the one in use. */
static void read_both(const char *run_dir, struct place *place, struct vp_counters *counters)
{
    read_runs(run_dir, "hook-runs.old", place, counters);
    read_runs(run_dir, "hook-runs", place, counters);
}

int vp_hook_runs_peek(struct vp_ledger *ledger, const char *run_dir, struct vp_counters *counters,
                      struct vp_error *err)
{
    struct place place;

    if (read_place(ledger, &place, err) < 0)
        return -1;
    read_both(run_dir, &place, counters);
    return 0;
}

static int keep(struct vp_ledger *ledger, const struct place *place,
                const struct vp_counters *fresh, struct vp_error *err)
{
    char text[64];

    snprintf(text, sizeof(text), "%" PRIu64 " %lld", place->inode, (long long)place->offset);
    if (vp_ledger_begin(ledger, err) < 0)
        return -1;
    if (vp_counters_add(ledger, fresh, err) < 0 ||
        vp_ledger_meta_set(ledger, READ_KEY, text, err) < 0 || vp_ledger_commit(ledger, err) < 0) {
        vp_ledger_rollback(ledger);
        return -1;
    }
    return 0;
}

/* A long file is put aside; a launcher that has it open still writes into it,
 * which the next call reads before it goes. */
static void turn_over(const char *run_dir, const struct place *place)
{
    char path[PATH_MAX], old[PATH_MAX];

    snprintf(path, sizeof(path), "%s/hook-runs", run_dir);
    snprintf(old, sizeof(old), "%s/hook-runs.old", run_dir);
    if (place->offset >= LONG_BYTES && rename(path, old) < 0)
        return; /* it is longer next time */
}

int vp_hook_runs_take(struct vp_ledger *ledger, const char *run_dir, struct vp_counters *counters,
                      struct vp_error *err)
{
    struct vp_counters fresh = {0};
    struct place before, place;
    char old[PATH_MAX];

    if (read_place(ledger, &before, err) < 0)
        return -1;
    place = before;
    read_both(run_dir, &place, &fresh);
    if (place.inode == before.inode && place.offset == before.offset)
        return 0;
    /* before the counts are kept: a run that is lost is better than one counted twice */
    snprintf(old, sizeof(old), "%s/hook-runs.old", run_dir);
    if (unlink(old) < 0 && errno != ENOENT)
        return vp_fail_errno(err, VP_HOST, errno, "cannot remove %s", old);
    if (keep(ledger, &place, &fresh, err) < 0)
        return -1;
    vp_counters_sum(counters, &fresh);
    turn_over(run_dir, &place);
    return 0;
}
