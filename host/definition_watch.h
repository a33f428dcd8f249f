/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITION_WATCH_H
#define VP_DEFINITION_WATCH_H

#include <stdbool.h>
#include <stddef.h>

/* Where libvirt keeps definitions (compiled into it). */
#ifndef VP_LIBVIRT_ETC_DIR
#define VP_LIBVIRT_ETC_DIR "/etc/libvirt/qemu"
#endif

/* What happens to a guest's file DIR/NAME.xml while we define: a thread opens
 * every file that is put there, so that a definition that ours replaced at
 * once is still there to be read. libvirt writes NAME.xml.new and renames it
 * (src/util/virfile.c, virFileRewrite), and unlinks at undefine. */
struct vp_watch;

/* NULL where the directory cannot be watched (libvirt is elsewhere). */
struct vp_watch *vp_watch_begin(const char *dir, const char *name);
/* Waits until what has happened so far was seen, and stops looking. */
void vp_watch_stop(struct vp_watch *watch);
void vp_watch_free(struct vp_watch *watch);

enum vp_watch_event { VP_WATCH_WRITTEN, VP_WATCH_REMOVED };
/* Events in order. For WRITTEN *text is the file as it was put there, without
 * libvirt's comment at the top (owned by the watch), NULL if it was replaced
 * too soon. False past the last. */
bool vp_watch_event(const struct vp_watch *watch, size_t at, enum vp_watch_event *event,
                    const char **text);

#endif
