/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITIONWATCH_H
#define VP_DEFINITIONWATCH_H

struct vp_enforcer;

/* libvirt's definitions on disk, by inotify: `virsh setvcpus --config`, pins
 * set with --config and the like change them without any event (libvirt 9.0 to
 * 12.3). The libvirt side is asked to look; nothing is written here. At the start
 * and at each sweep: watches the directory once libvirt has made it (again);
 * where it cannot, looks whether a file changed. */
void vp_definitionwatch_check(struct vp_enforcer *enforcer);

#endif
