/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RUN-DIR/policy.stamp is written by whoever has read the files. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy.h"
#include "decide/policytext.h"
#include "host/conf.h"
#include "host/conffile.h"
#include "host/confgood.h"

/* A kernel's times are those of its last tick, at most 10 ms ago. */
#define TICK_NS 10000000

/* Whether the file was last changed so long before that a change after `began`
 * would show. */
static bool settled(const struct vp_stamp_record *record, const struct timespec *began)
{
    int64_t change = record->ctime * 1000000000 + record->ctime_ns;

    return record->ino == 0 || change + TICK_NS < began->tv_sec * 1000000000LL + began->tv_nsec;
}

static bool add_path(struct vp_text *text, const char *path, const struct timespec *began)
{
    static const char nuls[8] = "";
    struct vp_stamp_record record;
    size_t length = strlen(path);

    vp_stamp_record_of(path, &record);
    if (record.ino == UINT64_MAX || !settled(&record, began))
        return false;
    record.path_size = (uint32_t)((length + 8) & ~(size_t)7);
    vp_text_put(text, (const char *)&record, sizeof(record));
    vp_text_put(text, path, length);
    vp_text_put(text, nuls, record.path_size - length);
    return true;
}

static bool add_dir(struct vp_text *text, const char *path, const struct timespec *began)
{
    DIR *dir = opendir(path);
    bool good = add_path(text, path, began);
    struct dirent *entry;
    char file[4096];

    while (dir && good && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || length <= 5 ||
            strcmp(entry->d_name + length - 5, ".conf") != 0)
            continue;
        good = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file) &&
               add_path(text, file, began);
    }
    if (dir)
        closedir(dir);
    return good;
}

static bool add_config(struct vp_text *text, const char *path, const struct timespec *began)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];

    if (snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1,
                 slash ? path : ".") >= (int)sizeof(dir))
        return false;
    return add_path(text, path, began) && add_path(text, dir, began);
}

void vp_conf_remember(const struct vp_conf_where *where, const struct vp_policy_set *set,
                      const struct timespec *began)
{
    static const char nuls[8] = "";
    struct vp_text text = {0};
    char prefix[VP_STAMP_PREFIX_MAX], path[4096];
    const char *const *dirs;
    unsigned count = vp_conf_dirs(where, &dirs);
    bool good;

    if (where->lenient_owner || !vp_stamp_prefix(where, prefix) ||
        snprintf(path, sizeof(path), "%s/policy.stamp", set->host.run_dir) >= (int)sizeof(path))
        return;
    vp_text_puts(&text, prefix);
    vp_text_puts(&text, set->hash);
    vp_text_putc(&text, '\n');
    vp_text_put(&text, nuls, (8 - text.length % 8) % 8);
    good = add_config(&text, vp_conf_config(where), began);
    for (unsigned i = 0; good && i < count; i++)
        good = add_dir(&text, dirs[i], began);
    if (good && !text.failed)
        vp_conf_write_file(path, text.bytes, text.length, 0600, NULL);
    vp_text_free(&text);
}
