/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/definition_kept.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/policytext.h"
#include "host/definition.h"

#define HEAD "<?virtpin-kept version=1"
#define HEAD_MAX 4096

static int path_of(const char *state_dir, const char *uuid, const char *what, char *path,
                   struct vp_error *err)
{
    int length = snprintf(path, PATH_MAX, "%s/definitions/%s%s%s", state_dir, uuid,
                          what[0] ? "." : "", what);

    if (length >= PATH_MAX)
        return vp_fail(err, VP_HOST, "the path %s is too long", state_dir);
    return 0;
}

static int make_dirs(const char *state_dir, struct vp_error *err)
{
    char path[PATH_MAX];

    if (path_of(state_dir, "", "", path, err) != 0)
        return -1;
    if (mkdir(state_dir, 0700) != 0 && errno != EEXIST)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", state_dir);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", path);
    return 0;
}

/* ---- names in the head: what is not plain is %XX ---- */

static void encode(const char *name, char *out, size_t size)
{
    size_t used = 0;

    for (; *name && used + 4 < size; name++) {
        if (isalnum((unsigned char)*name) || strchr("_.", *name))
            out[used++] = *name;
        else
            used += (size_t)snprintf(out + used, size - used, "%%%02X", (unsigned char)*name);
    }
    out[used] = '\0';
}

static void decode(const char *text, char *out, size_t size)
{
    size_t used = 0;

    while (*text && used + 1 < size) {
        unsigned byte;

        if (*text == '%' && sscanf(text, "%%%2X", &byte) == 1 && strlen(text) >= 3) {
            out[used++] = (char)byte;
            text += 3;
        } else {
            out[used++] = *text++;
        }
    }
    out[used] = '\0';
}

/* ---- reading ---- */

static int read_file(const char *path, char **bytes, size_t *length, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool whole = false;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot open %s", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= VP_XML_MAX + HEAD_MAX)
        text = calloc(1, (size_t)st.st_size + 1);
    if (text)
        whole = read(fd, text, (size_t)st.st_size) == st.st_size;
    close(fd);
    if (!whole)
        return vp_fail(err, VP_HOST, "cannot read %s whole", path);
    *length = (size_t)st.st_size;
    *bytes = VP_STEAL(text);
    return 1;
}

static void take_writes(struct vp_kept *kept, const char *value)
{
    char *end;

    for (size_t i = 0; i < VP_KEPT_WRITES && *value >= '0' && *value <= '9'; i++) {
        kept->write[i] = strtoll(value, &end, 10);
        value = *end == ',' ? end + 1 : end;
    }
}

static void take(struct vp_kept *kept, const char *key, const char *value)
{
    const struct {
        const char *key;
        char *to;
        size_t size;
    } texts[] = {{"uuid", kept->uuid, sizeof(kept->uuid)}, {"policy", kept->policy, VP_HASH_TEXT},
                 {"hash", kept->hash, VP_HASH_TEXT},       {"before", kept->before, VP_HASH_TEXT},
                 {"wrote", kept->wrote, VP_HASH_TEXT},     {"got", kept->got, VP_HASH_TEXT},
                 {"after", kept->after, VP_HASH_TEXT}};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(texts[i].key, key) == 0)
            snprintf(texts[i].to, texts[i].size, "%s", value);
    if (strcmp(key, "name") == 0)
        decode(value, kept->name, sizeof(kept->name));
    else if (strcmp(key, "since") == 0)
        kept->since_ms = strtoll(value, NULL, 10);
    else if (strcmp(key, "contested") == 0)
        kept->contested_ms = strtoll(value, NULL, 10);
    else if (strcmp(key, "writes") == 0)
        take_writes(kept, value);
}

/* Splits the head off; false if there is none or it is not ours. */
static bool take_head(struct vp_kept *kept, char *text, size_t length)
{
    char *end = memmem(text, length < HEAD_MAX ? length : HEAD_MAX, "?>\n", 3);
    char *save = NULL;

    if (!end || strncmp(text, HEAD, strlen(HEAD)) != 0)
        return false;
    *end = '\0';
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *equal = strchr(word, '=');

        if (!equal)
            continue;
        *equal = '\0';
        take(kept, word, equal + 1);
    }
    kept->length = length - (size_t)(end + 3 - text);
    kept->original = strndup(end + 3, kept->length);
    return kept->original && strlen(kept->original) == kept->length;
}

int vp_kept_load(const char *state_dir, const char *uuid, enum vp_facet facet, struct vp_kept *kept,
                 struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    char path[PATH_MAX], what[32], hash[VP_HASH_TEXT];
    size_t length;
    int found;

    *kept = (struct vp_kept){.facet = facet};
    snprintf(what, sizeof(what), "%s.xml", vp_facet_word(facet));
    if (path_of(state_dir, uuid, what, path, err) != 0)
        return -1;
    found = read_file(path, &text, &length, err);
    if (found != 1)
        return found;
    if (take_head(kept, text, length) && strcmp(kept->uuid, uuid) == 0) {
        vp_text_hash(kept->original, kept->length, hash);
        if (strcmp(hash, kept->hash) == 0)
            return 1;
    }
    vp_kept_clear(kept);
    return vp_fail(
        err, VP_HOST,
        "%s is damaged: it should hold what virtpin replaced (take it away once you have "
        "looked at it)",
        path);
}

/* ---- writing ---- */

static int write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t got = write(fd, bytes, length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        bytes += got;
        length -= (size_t)got;
    }
    return 0;
}

static void sync_dir(const char *path)
{
    char dir[PATH_MAX];
    int fd;

    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Head and body into path, so that after a power cut the old or the new stands. */
static int replace(const char *path, const char *head, const char *body, size_t length,
                   struct vp_error *err)
{
    char fresh[PATH_MAX + 16];
    int fd, number;

    snprintf(fresh, sizeof(fresh), "%s.new", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", fresh);
    if (write_whole(fd, head, strlen(head)) == 0 && write_whole(fd, body, length) == 0 &&
        fchmod(fd, 0600) == 0 && fsync(fd) == 0 && rename(fresh, path) == 0) {
        close(fd);
        sync_dir(path);
        return 0;
    }
    number = errno;
    close(fd);
    unlink(fresh);
    return vp_fail_errno(err, VP_HOST, number, "cannot write %s", path);
}

static void print_head(const struct vp_kept *kept, char head[HEAD_MAX])
{
    char name[1024];
    size_t used;

    encode(kept->name, name, sizeof(name));
    used = (size_t)snprintf(head, HEAD_MAX,
                            HEAD " uuid=%s name=%s facet=%s policy=%s hash=%s before=%s wrote=%s "
                                 "got=%s after=%s since=%" PRId64 " contested=%" PRId64 " writes=",
                            kept->uuid, name, vp_facet_word(kept->facet), kept->policy, kept->hash,
                            kept->before, kept->wrote, kept->got, kept->after, kept->since_ms,
                            kept->contested_ms);
    for (size_t i = 0; i < VP_KEPT_WRITES && kept->write[i] > 0; i++)
        used += (size_t)snprintf(head + used, HEAD_MAX - used, "%s%" PRId64, i ? "," : "",
                                 kept->write[i]);
    snprintf(head + used, HEAD_MAX - used, " ?>\n");
}

int vp_kept_save(const char *state_dir, const struct vp_kept *kept, struct vp_error *err)
{
    char path[PATH_MAX], what[32], head[HEAD_MAX];

    snprintf(what, sizeof(what), "%s.xml", vp_facet_word(kept->facet));
    if (make_dirs(state_dir, err) != 0 || path_of(state_dir, kept->uuid, what, path, err) != 0)
        return -1;
    print_head(kept, head);
    return replace(path, head, kept->original, kept->length, err);
}

int vp_kept_remove(const char *state_dir, const char *uuid, enum vp_facet facet,
                   struct vp_error *err)
{
    char path[PATH_MAX], what[32];

    snprintf(what, sizeof(what), "%s.xml", vp_facet_word(facet));
    if (path_of(state_dir, uuid, what, path, err) != 0)
        return -1;
    if (unlink(path) != 0 && errno != ENOENT)
        return vp_fail_errno(err, VP_HOST, errno, "cannot remove %s", path);
    return 0;
}

void vp_kept_written(struct vp_kept *kept, int64_t now_ms)
{
    memmove(&kept->write[1], &kept->write[0], (VP_KEPT_WRITES - 1) * sizeof(kept->write[0]));
    kept->write[0] = now_ms;
}

void vp_kept_clear(struct vp_kept *kept)
{
    free(kept->original);
    *kept = (struct vp_kept){0};
}

bool vp_kept_is_ours(const struct vp_kept *kept, const char *print)
{
    if (strcmp(print, kept->wrote) == 0)
        return true;
    if (kept->got[0])
        return strcmp(print, kept->got) == 0;
    /* Killed between define and read-back: libvirt may have made another form
     * of it, but it is not what stood there before. */
    return strcmp(print, kept->before) != 0;
}

/* ---- reverted ---- */

int vp_reverted_save(const char *state_dir, const char *uuid, const char *definition_hash,
                     const char *policy_print, struct vp_error *err)
{
    char path[PATH_MAX], text[256];

    snprintf(text, sizeof(text), "definition=%s\npolicy=%s\n", definition_hash, policy_print);
    if (make_dirs(state_dir, err) != 0 || path_of(state_dir, uuid, "reverted", path, err) != 0)
        return -1;
    return replace(path, text, "", 0, err);
}

bool vp_reverted_holds(const char *state_dir, const char *uuid, const char *definition_hash,
                       const char *policy_print)
{
    VP_AUTO(free) char *text = NULL;
    char path[PATH_MAX], wanted[256];
    size_t length;

    if (path_of(state_dir, uuid, "reverted", path, NULL) != 0 ||
        read_file(path, &text, &length, NULL) != 1)
        return false;
    snprintf(wanted, sizeof(wanted), "definition=%s\npolicy=%s\n", definition_hash, policy_print);
    return strcmp(text, wanted) == 0;
}

void vp_reverted_remove(const char *state_dir, const char *uuid)
{
    char path[PATH_MAX];

    if (path_of(state_dir, uuid, "reverted", path, NULL) == 0)
        unlink(path);
}

void vp_definition_forget(const char *state_dir, const char *uuid)
{
    for (int facet = 0; facet < VP_FACETS; facet++)
        vp_kept_remove(state_dir, uuid, (enum vp_facet)facet, NULL);
    vp_reverted_remove(state_dir, uuid);
}

/* ---- one writer a guest ---- */

/* A byte of one file stands for a guest: nothing is left behind by locks. Open
 * file description locks: threads of the enforcer exclude one another too. */
int vp_definition_lock(const char *state_dir, const char *uuid, struct vp_error *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    uint32_t place = 2166136261u;
    char path[PATH_MAX];
    int fd;

    if (make_dirs(state_dir, err) != 0 || path_of(state_dir, "lock", "", path, err) != 0)
        return -1;
    for (const char *at = uuid; *at; at++)
        place = (place ^ (unsigned char)*at) * 16777619u;
    lock.l_start = place & 0x7fffffff;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot open %s", path);
    while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
        int number = errno;

        if (number == EINTR)
            continue;
        close(fd);
        return vp_fail_errno(err, VP_HOST, number, "cannot lock %s", path);
    }
    return fd;
}
