/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITIONWATCH_H
#define VP_DEFINITIONWATCH_H

#include <stdint.h>

#include "decide/domain.h"

struct vp_enforcer;

/* Definitions whose file somebody else than libvirt has written: libvirtd reads
 * them when it is told to (SIGHUP), and sends no event of those that it had
 * already. */
struct vp_restored {
    struct {
        char uuid[VP_UUID_TEXT];
        int64_t until_ms; /* looked at in each sweep until then */
    } item[16];
    uint32_t own_cookie; /* of a rename that is libvirt's own */
};

/* libvirt's definitions on disk, by inotify: `virsh setvcpus --config`, pins
 * set with --config and the like change them without any event (libvirt 9.0 to
 * 12.3). The libvirt side is asked to look; nothing is written here. At the start
 * and at each sweep: watches the directory once libvirt has made it (again);
 * where it cannot, looks whether a file changed. */
void vp_definitionwatch_check(struct vp_enforcer *enforcer);

#endif
