/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFGOOD_H
#define VP_CONFGOOD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct vp_conf_where;
struct vp_error;
struct vp_policy_set;

/* The good set without the files that it came of: RUN-DIR/policy.stamp says of
 * which files RUN-DIR/policy.good was made. While every one of them is as it
 * was (device, inode, size, times, owner, mode), and so are the directories,
 * nothing need be read, checked or printed again. For the hook; needs neither
 * inih nor libmd. */

/* The first line of policy.good, ending in the set's hash. */
#define VP_GOOD_HEAD "# policies in force, written by virtpin: "
enum { VP_HASH_LENGTH = 71, VP_GOOD_HEAD_LENGTH = sizeof(VP_GOOD_HEAD) - 1 + VP_HASH_LENGTH + 1 };

/* where->policy_dir, or the usual two; the count. */
unsigned vp_conf_dirs(const struct vp_conf_where *where, const char *const **dirs);
const char *vp_conf_config(const struct vp_conf_where *where);

/* True if the set is as it was, *set is then the caller's. False: the files
 * have to be read (or *set could not be made); nothing is reported. `only` not
 * NULL: *set may be without policies whose match-name does not hold for a guest
 * of that name; text and hash are of the whole set all the same. */
bool vp_conf_known(const struct vp_conf_where *where, const char *only, struct vp_policy_set **set);

/* Writes policy.stamp for a set that was read from the files after `began`
 * (CLOCK_REALTIME_COARSE) and is in policy.good. A file that changed since, or
 * so short before that its time would not tell, makes no stamp. */
void vp_conf_remember(const struct vp_conf_where *where, const struct vp_policy_set *set,
                      const struct timespec *began);

/* ---- the file, for confgood.c and confstamp.c ---- */

/* "virtpin VERSION\nNODENAME\nCONFIG\nPOLICY-DIR or -\n", then the hash and a
 * newline, NULs up to a multiple of 8; then for each path a record, the path
 * and NULs up to a multiple of 8. NULL without memory, or if it is too long. */
enum { VP_STAMP_PREFIX_MAX = 16384 };
bool vp_stamp_prefix(const struct vp_conf_where *where, char prefix[VP_STAMP_PREFIX_MAX]);

struct vp_stamp_record {
    uint64_t dev, ino, size; /* ino 0: there is no such file */
    int64_t mtime, ctime;
    uint32_t mtime_ns, ctime_ns;
    uint32_t mode, uid;
    uint32_t path_size; /* with its NULs: a multiple of 8 */
    uint32_t reserved;
};
void vp_stamp_record_of(const char *path, struct vp_stamp_record *record);

#endif
