/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/confgood.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "host/conf.h"
#include "version.h"

static const char config_default[] = VP_SYSCONFDIR "/virtpin/virtpin.conf";
static const char *const dirs_default[] = {VP_PREFIX "/lib/virtpin/policy.d",
                                           VP_SYSCONFDIR "/virtpin/policy.d"};
static const char run_dir_default[] = "/run/virtpin";

enum { FILE_MAX = 16 << 20 };

unsigned vp_conf_dirs(const struct vp_conf_where *where, const char *const **dirs)
{
    *dirs = where->policy_dir ? &where->policy_dir : dirs_default;
    return where->policy_dir ? 1 : 2;
}

const char *vp_conf_config(const struct vp_conf_where *where)
{
    return where->config ? where->config : config_default;
}

/* ---- the stamp ---- */

bool vp_stamp_prefix(const struct vp_conf_where *where, char prefix[VP_STAMP_PREFIX_MAX])
{
    struct utsname name;

    if (!where->nodename && uname(&name) < 0)
        return false;
    return snprintf(prefix, VP_STAMP_PREFIX_MAX, "virtpin %s\n%s\n%s\n%s\n", VP_VERSION,
                    where->nodename ? where->nodename : name.nodename, vp_conf_config(where),
                    where->policy_dir ? where->policy_dir : "-") < VP_STAMP_PREFIX_MAX;
}

void vp_stamp_record_of(const char *path, struct vp_stamp_record *record)
{
    struct stat st;

    memset(record, 0, sizeof(*record));
    if (stat(path, &st) < 0) {
        record->ino = errno == ENOENT || errno == ENOTDIR ? 0 : UINT64_MAX;
        return;
    }
    record->dev = st.st_dev;
    record->ino = st.st_ino;
    record->size = (uint64_t)st.st_size;
    record->mtime = st.st_mtim.tv_sec;
    record->mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
    record->ctime = st.st_ctim.tv_sec;
    record->ctime_ns = (uint32_t)st.st_ctim.tv_nsec;
    record->mode = st.st_mode;
    record->uid = st.st_uid;
}

/* A file that only we or root can have written, NUL-terminated; NULL else. */
static char *read_own(const char *path, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    VP_AUTO(free) char *bytes = NULL;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_MAX &&
        (st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0) {
        bytes = malloc((size_t)st.st_size + 1);
        if (bytes && read(fd, bytes, (size_t)st.st_size + 1) != st.st_size) {
            free(bytes);
            bytes = NULL;
        }
    }
    close(fd);
    if (!bytes)
        return NULL;
    *length = (size_t)st.st_size;
    bytes[*length] = '\0';
    return VP_STEAL(bytes);
}

/* Every record's file is as it was. */
static bool records_hold(const char *at, const char *end)
{
    bool any = false;

    while (at < end) {
        struct vp_stamp_record then, now;
        const char *path = at + sizeof(then);

        if ((size_t)(end - at) <= sizeof(then))
            return false;
        memcpy(&then, at, sizeof(then));
        if (then.path_size == 0 || then.path_size > (size_t)(end - path) ||
            path[then.path_size - 1] != '\0')
            return false;
        vp_stamp_record_of(path, &now);
        now.path_size = then.path_size;
        if (memcmp(&then, &now, sizeof(then)) != 0)
            return false;
        at = path + then.path_size;
        any = true;
    }
    return any;
}

/* The hash of the set that the files still are. */
static bool stamp_holds(const struct vp_conf_where *where, const char *run_dir,
                        char hash[VP_HASH_LENGTH + 1])
{
    VP_AUTO(free) char *bytes = NULL;
    char path[4096], prefix[VP_STAMP_PREFIX_MAX];
    size_t length, head;

    if (!vp_stamp_prefix(where, prefix) ||
        snprintf(path, sizeof(path), "%s/policy.stamp", run_dir) >= (int)sizeof(path))
        return false;
    bytes = read_own(path, &length);
    head = strlen(prefix);
    if (!bytes || length < head + VP_HASH_LENGTH + 1 || memcmp(bytes, prefix, head) != 0)
        return false;
    memcpy(hash, bytes + head, VP_HASH_LENGTH);
    hash[VP_HASH_LENGTH] = '\0';
    head = (head + VP_HASH_LENGTH + 1 + 7) & ~(size_t)7;
    return head < length && records_hold(bytes + head, bytes + length);
}

/* ---- where it is ---- */

/* The value of a line "run-dir = PATH" into run_dir; false for another line. */
static bool is_run_dir(const char *line, char *run_dir, size_t size)
{
    size_t length;

    if (strncmp(line, "run-dir", 7) != 0)
        return false;
    line += 7 + strspn(line + 7, " \t");
    if (*line != '=')
        return false;
    line++;
    line += strspn(line, " \t");
    length = strcspn(line, " \t\r\n");
    snprintf(run_dir, size, "%.*s", (int)length, line);
    return true;
}

/* What virtpin.conf says of run-dir, as a hint: the stamp and the set that are
 * found there have to agree. */
static bool run_dir_hint(const char *config, char *run_dir, size_t size)
{
    VP_AUTO(free) char *text = NULL;
    size_t length;

    snprintf(run_dir, size, "%s", run_dir_default);
    text = read_own(config, &length);
    if (!text)
        return access(config, F_OK) < 0 && errno == ENOENT;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (is_run_dir(line, run_dir, size))
            break;
    }
    return true;
}

/* ---- reading what was printed ---- */

struct reading {
    struct vp_draft *draft;
    const char *file, *only;
    struct vp_findings findings;
    char *key, *value; /* not handed over yet: lines may go on at its end */
    char *value_end;
    int line, key_line;
};

static void hand_over(struct reading *reading)
{
    if (reading->key)
        vp_draft_key(reading->draft, reading->file, reading->key_line, reading->key, reading->value,
                     &reading->findings);
    reading->key = NULL;
}

/* A line as vp_text_put_key and its like print them; false if it is none. */
static bool take_line(struct reading *reading, char *line, char *end)
{
    char *equals;

    if (line[0] == '\t') {
        if (!reading->key)
            return false;
        *reading->value_end++ = ' ';
        memmove(reading->value_end, line + 1, (size_t)(end - line));
        reading->value_end += end - line - 1;
        return true;
    }
    hand_over(reading);
    if (line[0] == '\0' || line[0] == '#')
        return true;
    if (line[0] == '[') {
        if (end[-1] != ']')
            return false;
        end[-1] = '\0';
        vp_draft_section(reading->draft, reading->file, reading->line, line + 1,
                         &reading->findings);
        return true;
    }
    equals = strstr(line, " = ");
    if (!equals)
        return false;
    *equals = '\0';
    reading->key = line;
    reading->value = equals + 3;
    reading->value_end = end;
    reading->key_line = reading->line;
    return true;
}

enum { GLOBS_MAX = 256, VALUE_MAX = 8192 };

/* Whether the match-name of the policy at `section` (up to `end`) rules the
 * guest out. */
static bool ruled_out(const char *section, const char *end, const char *name)
{
    static const char key[] = "\nmatch-name = ";
    const char *at = memmem(section, (size_t)(end - section), key, sizeof(key) - 1);
    char value[VALUE_MAX], *save = NULL;
    char *glob[GLOBS_MAX];
    struct vp_strings globs = {.item = glob};
    const char *stop;

    if (!at)
        return false;
    at += sizeof(key) - 1;
    for (stop = strchr(at, '\n'); stop && stop[1] == '\t';)
        stop = strchr(stop + 1, '\n');
    if (!stop || stop - at >= VALUE_MAX)
        return false;
    memcpy(value, at, (size_t)(stop - at));
    value[stop - at] = '\0';
    for (char *word = strtok_r(value, " \n\t", &save); word;
         word = strtok_r(NULL, " \n\t", &save)) {
        if (globs.count == GLOBS_MAX)
            return false;
        glob[globs.count++] = word;
    }
    return !vp_name_globs_hold(&globs, name);
}

/* Past the policies from `text` on that cannot be the guest's. */
static char *pass_over(struct reading *reading, char *text)
{
    while (reading->only && strncmp(text, "[policy ", 8) == 0) {
        char *next = strstr(text, "\n[");
        char *end = next ? next + 1 : text + strlen(text);

        if (!ruled_out(text, end, reading->only))
            break;
        for (; text < end; text++)
            reading->line += *text == '\n';
    }
    return text;
}

static bool take_text(struct reading *reading, char *text)
{
    bool good = true;

    while (good && *(text = pass_over(reading, text)) != '\0') {
        char *end = strchr(text, '\n');

        if (!end)
            return false;
        *end = '\0';
        reading->line++;
        good = take_line(reading, text, end);
        text = end + 1;
    }
    hand_over(reading);
    return good;
}

static struct vp_policy_set *parse_good(const char *path, char *text, const char *nodename,
                                        const char *only)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new_known();
    struct reading reading = {.draft = draft, .file = path, .only = only, .line = 1};
    struct vp_policy_set *set = NULL;

    if (draft && take_text(&reading, text) &&
        vp_draft_finish(draft, nodename, &set, &reading.findings) < 0)
        set = NULL;
    vp_findings_clear(&reading.findings);
    return set;
}

bool vp_conf_known(const struct vp_conf_where *where, const char *only, struct vp_policy_set **set)
{
    VP_AUTO(free) char *bytes = NULL;
    VP_AUTO(free) char *text = NULL;
    struct vp_policy_set *made;
    char run_dir[4000], path[4096], hash[VP_HASH_LENGTH + 1];
    struct utsname name;
    size_t length;

    *set = NULL;
    if (where->lenient_owner || uname(&name) < 0 ||
        !run_dir_hint(vp_conf_config(where), run_dir, sizeof(run_dir)) ||
        !stamp_holds(where, run_dir, hash))
        return false;
    snprintf(path, sizeof(path), "%s/policy.good", run_dir);
    bytes = read_own(path, &length);
    if (!bytes || length < VP_GOOD_HEAD_LENGTH || strlen(bytes) != length ||
        strncmp(bytes, VP_GOOD_HEAD, sizeof(VP_GOOD_HEAD) - 1) != 0 ||
        strncmp(bytes + sizeof(VP_GOOD_HEAD) - 1, hash, VP_HASH_LENGTH) != 0)
        return false;
    text = strdup(bytes + VP_GOOD_HEAD_LENGTH);
    made = text ? parse_good(path, bytes + VP_GOOD_HEAD_LENGTH,
                             where->nodename ? where->nodename : name.nodename, only)
                : NULL;
    if (!made || strcmp(made->host.run_dir, run_dir) != 0) {
        vp_policy_set_free(made);
        return false;
    }
    free(made->text);
    made->text = VP_STEAL(text);
    memcpy(made->hash, hash, sizeof(hash));
    *set = made;
    return true;
}
