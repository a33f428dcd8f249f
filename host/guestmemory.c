/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/guestmemory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"

#define PAGE_KIB 4

static const char *word_after(const char *line, const char *name)
{
    const char *found = strstr(line, name);

    return found && (found == line || found[-1] == ' ') ? found + strlen(name) : NULL;
}

/* "N0=512": the node and its pages; false for any other word. */
static bool node_pages(const char *word, unsigned long *node, unsigned long long *pages)
{
    char *end;

    if (word[0] != 'N' || word[1] < '0' || word[1] > '9')
        return false;
    *node = strtoul(word + 1, &end, 10);
    if (*end != '=' || end[1] < '0' || end[1] > '9')
        return false;
    *pages = strtoull(end + 1, NULL, 10);
    return *node < VP_NODES_MAX;
}

static unsigned long long page_kib(const char *line)
{
    const char *size = word_after(line, "kernelpagesize_kB=");

    return size ? strtoull(size, NULL, 10) : PAGE_KIB;
}

void vp_memory_add_line(const char *line, struct vp_memory_nodes *nodes)
{
    unsigned long long kib = page_kib(line);

    for (const char *word = line; word; word = strchr(word, ' ')) {
        unsigned long node;
        unsigned long long pages;

        word += strspn(word, " ");
        if (node_pages(word, &node, &pages))
            nodes->kib[node] += pages * kib;
    }
}

bool vp_memory_area(const char *line, struct vp_memory_area *area)
{
    char *end;

    *area = (struct vp_memory_area){0};
    area->start = strtoull(line, &end, 16);
    area->page_kib = page_kib(line);
    if (end == line || *end != ' ' || area->page_kib == 0)
        return false;
    area->file = word_after(line, "file=") != NULL;
    area->moves = !area->file || word_after(line, "dirty=") || word_after(line, "huge ");
    vp_memory_add_line(line, &area->nodes);
    return true;
}

int vp_memory_read(const char *proc, pid_t pid, struct vp_memory_nodes *nodes, struct vp_error *err)
{
    VP_AUTO(free) char *line = NULL;
    size_t room = 0;
    char path[300];
    FILE *file;
    int result = 0;

    *nodes = (struct vp_memory_nodes){0};
    snprintf(path, sizeof(path), "%s/%d/numa_maps", proc, (int)pid);
    file = fopen(path, "re");
    if (!file && (errno == ENOENT || errno == ESRCH))
        return vp_fail(err, VP_GONE, "process %d has ended, or this kernel has no %s", (int)pid,
                       path);
    if (!file)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    while (getline(&line, &room, file) > 0)
        vp_memory_add_line(line, nodes);
    if (ferror(file))
        result = vp_fail_errno(err, VP_GONE, errno, "%s", path);
    fclose(file);
    return result;
}
