/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/strangers.h"

/* Who has not run for so long is no longer news. */
#define RECENT_MS (5 * 60 * 1000LL)

const char *vp_stranger_word(enum vp_stranger_kind kind)
{
    static const char *const words[] = {"host", "guest", "kernel"};

    return words[kind];
}

static int busiest_first(const void *left, const void *right)
{
    const struct vp_stranger *a = left, *b = right;

    return (a->ran_ms < b->ran_ms) - (a->ran_ms > b->ran_ms);
}

/* Blanks in names would end a field: the names come last, one to a line. */
static void write_one(const struct vp_stranger *one, FILE *file)
{
    fprintf(file, "stranger %s %d %d %d %" PRIu64 " %" PRId64 " %" PRId64 " %ld\ncomm %s\n",
            vp_stranger_word(one->kind), one->cpu, (int)one->pid, (int)one->tid, one->ran_ms,
            one->first_ms, one->last_ms, one->uid, one->comm);
    if (one->unit[0])
        fprintf(file, "unit %s\n", one->unit);
    if (one->guest[0])
        fprintf(file, "guest %s\n", one->guest);
    if (one->owner[0])
        fprintf(file, "owner %s\n", one->owner);
}

int vp_strangers_write(const struct vp_strangers *strangers, FILE *file, int64_t now_ms)
{
    struct vp_stranger *list = calloc(strangers->count + 1, sizeof(*list));
    size_t count = 0;

    if (!list)
        return -1;
    for (size_t i = 0; i < strangers->count; i++)
        if (strangers->item[i].ran_ms > 0 && now_ms - strangers->item[i].last_ms < RECENT_MS)
            list[count++] = strangers->item[i];
    qsort(list, count, sizeof(*list), busiest_first);
    fprintf(file, "total %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            strangers->total_ms[VP_STRANGER_HOST], strangers->total_ms[VP_STRANGER_GUEST],
            strangers->total_ms[VP_STRANGER_KERNEL]);
    for (size_t i = 0; i < count; i++)
        write_one(&list[i], file);
    free(list);
    return 0;
}

static int read_one(struct vp_strangers *strangers, const char *line)
{
    struct vp_stranger one = {.uid = -1}, *grown;
    char word[16];

    if (sscanf(line, "stranger %15s %d %d %d %" SCNu64 " %" SCNd64 " %" SCNd64 " %ld", word,
               &one.cpu, &one.pid, &one.tid, &one.ran_ms, &one.first_ms, &one.last_ms,
               &one.uid) != 8)
        return 0;
    for (int kind = 0; kind < VP_STRANGER_KINDS; kind++)
        if (strcmp(word, vp_stranger_word((enum vp_stranger_kind)kind)) == 0)
            one.kind = (enum vp_stranger_kind)kind;
    grown = reallocarray(strangers->item, strangers->count + 1, sizeof(*grown));
    if (!grown)
        return -1;
    strangers->item = grown;
    grown[strangers->count++] = one;
    return 0;
}

static void read_name(struct vp_strangers *strangers, const char *line)
{
    struct vp_stranger *last = strangers->count ? &strangers->item[strangers->count - 1] : NULL;

    if (!last)
        return;
    if (strncmp(line, "comm ", 5) == 0)
        snprintf(last->comm, sizeof(last->comm), "%.31s", line + 5);
    else if (strncmp(line, "unit ", 5) == 0)
        snprintf(last->unit, sizeof(last->unit), "%.127s", line + 5);
    else if (strncmp(line, "guest ", 6) == 0)
        snprintf(last->guest, sizeof(last->guest), "%.127s", line + 6);
    else if (strncmp(line, "owner ", 6) == 0)
        snprintf(last->owner, sizeof(last->owner), "%.127s", line + 6);
}

int vp_strangers_read(struct vp_strangers *strangers, const char *run_dir)
{
    char path[4096], line[512];
    uint64_t *total = strangers->total_ms;
    FILE *file;
    int result = 0;

    *strangers = (struct vp_strangers){0};
    snprintf(path, sizeof(path), "%s/strangers", run_dir);
    file = fopen(path, "re");
    while (file && result == 0 && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "stranger ", 9) == 0)
            result = read_one(strangers, line);
        else if (sscanf(line, "total %" SCNu64 " %" SCNu64 " %" SCNu64, &total[0], &total[1],
                        &total[2]) != 3)
            read_name(strangers, line);
    }
    if (file)
        fclose(file);
    return result;
}
