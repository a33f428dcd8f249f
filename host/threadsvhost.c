/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost threads before Linux 6.4: the kernel's, children of kthreadd. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/cgroupfile.h"
#include "host/threads_priv.h"

/* A host of 8192 CPUs has some hundred thousand kernel threads. */
#define CHILDREN_MAX (1u << 20)

static unsigned known(const struct vp_threads *threads)
{
    unsigned count = 0;

    for (size_t i = 0; i < threads->count; i++)
        count += threads->item[i].role == VP_ROLE_VHOST;
    return count;
}

static bool is_named(const char *proc, pid_t tid, const char *name)
{
    char path[320], comm[64];

    snprintf(path, sizeof(path), "%s/%d/comm", proc, (int)tid);
    return vp_file_read_line(AT_FDCWD, path, comm, sizeof(comm)) > 0 && strcmp(comm, name) == 0;
}

/* Each name costs a file: those of ids above the guest's come first, where its
 * threads are unless the ids have come round. */
static int add_named(const char *proc, const char *children, bool above, unsigned expected,
                     struct vp_threads *threads)
{
    char name[32];

    snprintf(name, sizeof(name), "vhost-%d", (int)threads->pid);
    for (const char *at = children; *at && known(threads) < expected;) {
        char *end;
        long tid = strtol(at, &end, 10);

        if (end == at)
            break;
        at = end + strspn(end, " \n");
        if (tid <= 0 || (tid > threads->pid) != above || !is_named(proc, (pid_t)tid, name) ||
            vp_threads_has(threads, (pid_t)tid))
            continue;
        if (vp_threads_add(threads, VP_ROLE_VHOST, 0, (pid_t)tid) < 0)
            return -1;
    }
    return 0;
}

static bool before_6_4(const char *proc)
{
    char path[320], text[128];
    unsigned major, minor;

    snprintf(path, sizeof(path), "%s/sys/kernel/osrelease", proc);
    return vp_file_read_line(AT_FDCWD, path, text, sizeof(text)) > 0 &&
           sscanf(text, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 4));
}

int vp_threads_add_vhosts(const char *proc, unsigned expected, struct vp_threads *threads,
                          struct vp_error *err)
{
    VP_AUTO(free) char *children = NULL;
    char path[320];

    if (known(threads) >= expected || !before_6_4(proc))
        return 0;
    children = malloc(CHILDREN_MAX);
    if (!children)
        return vp_fail(err, VP_HOST, "out of memory");
    snprintf(path, sizeof(path), "%s/2/task/2/children", proc);
    /* a kernel without this file keeps its old vhost threads to itself */
    if (vp_file_read(AT_FDCWD, path, children, CHILDREN_MAX) <= 0)
        return 0;
    if (add_named(proc, children, true, expected, threads) < 0 ||
        add_named(proc, children, false, expected, threads) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return 0;
}
