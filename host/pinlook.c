/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "host/pin.h"
#include "host/pinthread.h"

void vp_seen_clear(struct vp_seen_list *list)
{
    free(list->item);
    *list = (struct vp_seen_list){0};
}

/* A thread of the same group that has been read: vCPUs and I/O threads have
 * each their own, QEMU's many workers are in the emulator's. */
static const struct vp_seen *of_group(const struct vp_seen_list *seen, const struct vp_seen *one)
{
    if (!one->has_cpuset || one->role == VP_ROLE_VCPU || one->role == VP_ROLE_IOTHREAD)
        return NULL;
    for (size_t i = 0; i < seen->count; i++)
        if (seen->item[i].has_cpuset && strcmp(seen->item[i].group, one->group) == 0)
            return &seen->item[i];
    return NULL;
}

int vp_pin_look(const struct vp_cgroups *cgroups, const struct vp_threads *threads,
                const char *guest_root, struct vp_seen_list *seen, struct vp_error *err)
{
    struct vp_pin_eye eye;
    int failed = 0;

    *seen = (struct vp_seen_list){0};
    seen->item = malloc((threads->count ? threads->count : 1) * sizeof(*seen->item));
    if (!seen->item)
        return vp_fail(err, VP_HOST, "out of memory");
    vp_pin_eye_open(&eye, cgroups, threads->pid, guest_root);
    for (size_t i = 0; i < threads->count && failed == 0; i++) {
        struct vp_seen *one = &seen->item[seen->count];
        int result;

        memset(one, 0, sizeof(*one));
        result = vp_pin_locate(&eye, &threads->item[i], one);
        if (result == 0)
            result = vp_pin_read(&eye, one, of_group(seen, one));
        if (result == 0)
            seen->count++;
        else if (result != -ESRCH)
            failed = vp_fail_errno(err, VP_HOST, -result, "looking at thread %d%s%s", (int)one->tid,
                                   one->group[0] ? " in " : "", one->group);
    }
    vp_pin_eye_close(&eye);
    if (failed < 0)
        vp_seen_clear(seen);
    return failed;
}
