/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFFILE_H
#define VP_CONFFILE_H

#include <stdbool.h>
#include <stddef.h>

struct vp_draft;
struct vp_error;
struct vp_findings;

/* The files of the configuration: which there are and whether they are safe
 * to believe (owned by root or the caller, not writable for group or others). */

enum vp_file_state { VP_FILE_READ, VP_FILE_ABSENT, VP_FILE_BAD };

/* The most that one file may have. */
#define VP_CONF_FILE_MAX (1024 * 1024)

/* A buffer for one file after the other; free bytes. */
struct vp_file {
    char *bytes; /* not NUL-terminated */
    size_t size, room;
};

/* Reads the regular file `name` (below the directory dirfd, or AT_FDCWD) into
 * *file. path is what messages call it. With `lenient` an unsafe owner or mode
 * is a warning. VP_FILE_BAD: *err (VP_INPUT or VP_HOST) says why. */
enum vp_file_state vp_conf_read_file(int dirfd, const char *name, const char *path, bool lenient,
                                     struct vp_file *file, struct vp_findings *findings,
                                     struct vp_error *err);

/* Reads every *.conf of the directories into the draft, in byte order of their
 * names; a name that a later directory has too is taken from there. Directories
 * that are missing are passed over unless `must_exist`. All that is wrong
 * becomes findings. */
void vp_conf_read_dirs(struct vp_draft *draft, const char *const *dirs, size_t count,
                       bool must_exist, bool lenient, struct vp_findings *findings);

/* Reads one file and its directory's mode likewise. */
void vp_conf_read_one(struct vp_draft *draft, const char *path, bool must_exist, bool lenient,
                      struct vp_findings *findings);

/* Writes a file by a temporary name beside it and rename, mode as given. */
int vp_conf_write_file(const char *path, const char *bytes, size_t size, unsigned mode,
                       struct vp_error *err);

#endif
