/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_WATCHDIR_H
#define VP_WATCHDIR_H

#include <stdint.h>
#include <sys/inotify.h>
#include <systemd/sd-event.h>

#include "enforcer/sight.h"

struct vp_enforcer;

/* Directories by inotify, of which the kernel gives a user so many instances
 * and watches and no more: what is not to be had is said and tried again at
 * each sweep, and until then the sweep looks. */

/* Makes *fd where it is -1, and adds it to the loop. 0 or -errno. */
int vp_watchdir_open(struct vp_enforcer *enforcer, int *fd, sd_event_io_handler_t on_event);

/* The watch's number, or -errno; one that is there already keeps its number. A
 * directory that is not there is 0: no failure. */
int vp_watchdir_add(int fd, const char *dir, uint32_t mask);

/* How a check went: 0, or the -errno of what failed and where. Status and
 * journal say it, and that it is over. */
void vp_watchdir_said(struct vp_enforcer *enforcer, enum vp_sight_of what, int result,
                      const char *dir);

/* Reads all that is there: `take` is called for each event. 1 if events were
 * lost, else 0. */
int vp_watchdir_read(int fd, void (*take)(void *data, const struct inotify_event *event),
                     void *data);

/* A number that changes when a file in `dir` whose name ends so does, or comes
 * or goes: what the sweep asks where there is no watch. */
uint64_t vp_watchdir_sum(const char *dir, const char *end);

#endif
