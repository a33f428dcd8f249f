/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "host/conffile.h"
#include "host/confgood.h"
#include "host/confread.h"

/* where->nodename or the kernel's, into *name. */
static const char *node_name(const struct vp_conf_where *where, struct utsname *name)
{
    if (where->nodename)
        return where->nodename;
    return uname(name) == 0 ? name->nodename : "";
}

static void read_files(const struct vp_conf_where *where, struct vp_draft *draft,
                       struct vp_findings *findings)
{
    bool lenient = where->lenient_owner;
    const char *const *dirs;
    unsigned count = vp_conf_dirs(where, &dirs);

    vp_conf_read_one(draft, vp_conf_config(where), where->config != NULL, lenient, findings);
    vp_conf_read_dirs(draft, dirs, count, where->policy_dir != NULL, lenient, findings);
}

/* The first error-grade finding as the error object. */
static int fail_with_first(const struct vp_findings *findings, struct vp_error *err)
{
    char line[VP_ERROR_TEXT];

    for (size_t i = 0; i < findings->count; i++)
        if (findings->item[i].grade == VP_ERROR)
            return vp_fail(err, VP_INPUT, "%s",
                           vp_finding_line(&findings->item[i], line, sizeof(line)));
    return vp_fail(err, VP_HOST, "out of memory");
}

static int finish(struct vp_draft *draft, const char *nodename, struct vp_policy_set **set,
                  struct vp_findings *findings, struct vp_error *err)
{
    int result = vp_draft_finish(draft, nodename, set, findings);

    vp_findings_sort(findings);
    return result == 0 ? 0 : fail_with_first(findings, err);
}

int vp_conf_load(const struct vp_conf_where *where, struct vp_policy_set **set,
                 struct vp_findings *findings, struct vp_error *err)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new();
    struct utsname name;

    *set = NULL;
    if (!draft)
        return vp_fail(err, VP_HOST, "out of memory");
    read_files(where, draft, findings);
    if (finish(draft, node_name(where, &name), set, findings, err) < 0)
        return -1;
    vp_policy_warn_ties(*set, findings);
    return 0;
}

enum vp_verdict vp_conf_on_error(const struct vp_conf_where *where)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new();
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    enum vp_verdict verdict = VP_VERDICT_UNSET;
    struct utsname name;

    if (!draft)
        return verdict;
    vp_conf_read_one(draft, vp_conf_config(where), where->config != NULL, where->lenient_owner,
                     &findings);
    if (vp_draft_finish(draft, node_name(where, &name), &set, &findings) == 0)
        verdict = set->host.on_error;
    vp_findings_clear(&findings);
    return verdict;
}

/* ---- the good set ---- */

static int good_path(const char *run_dir, char *path, size_t size, struct vp_error *err)
{
    if (snprintf(path, size, "%s/policy.good", run_dir) < (int)size)
        return 0;
    return vp_fail(err, VP_INPUT, "run-dir: %.80s... is too long", run_dir);
}

/* policy.good starts with a comment that holds the hash of what follows, so
 * that a hook need not compute it again. */
static const char head[] = VP_GOOD_HEAD;
enum { HASH_LENGTH = VP_HASH_LENGTH, HEAD_LENGTH = VP_GOOD_HEAD_LENGTH };

/* Every hook comes by here: what is there already is only compared, and gives
 * the hash. */
static bool is_there(const char *path, struct vp_policy_set *set)
{
    struct vp_findings none = {0};
    struct vp_file file = {0};
    struct vp_error err;
    size_t length = strlen(set->text);
    bool same =
        vp_conf_read_file(AT_FDCWD, path, path, false, &file, &none, &err) == VP_FILE_READ &&
        file.size == HEAD_LENGTH + length && memcmp(file.bytes, head, sizeof(head) - 1) == 0 &&
        memcmp(file.bytes + HEAD_LENGTH, set->text, length) == 0;

    if (same) {
        memcpy(set->hash, file.bytes + sizeof(head) - 1, HASH_LENGTH);
        set->hash[HASH_LENGTH] = '\0';
    }
    free(file.bytes);
    vp_findings_clear(&none);
    return same;
}

static int write_good(const char *path, const struct vp_policy_set *set, struct vp_error *err)
{
    VP_AUTO(free) char *bytes = NULL;
    int size = asprintf(&bytes, "%s%s\n%s", head, set->hash, set->text);

    if (size < 0) {
        bytes = NULL;
        return vp_fail(err, VP_HOST, "out of memory");
    }
    return vp_conf_write_file(path, bytes, (size_t)size, 0600, err);
}

static int keep_good(struct vp_policy_set *set, struct vp_error *err)
{
    const char *run_dir = set->host.run_dir;
    char path[4096];

    if (good_path(run_dir, path, sizeof(path), err) < 0) {
        vp_policy_set_hash(set);
        return -1;
    }
    if (is_there(path, set))
        return 0;
    vp_policy_set_hash(set);
    if (mkdir(run_dir, 0700) < 0 && errno != EEXIST)
        return vp_fail_errno(err, VP_HOST, errno, "%s", run_dir);
    return write_good(path, set, err);
}

static int read_good(const char *run_dir, const char *nodename, struct vp_policy_set **set,
                     struct vp_error *err)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_file file = {0};
    char path[4096];
    int result = -1;

    if (!draft)
        return vp_fail(err, VP_HOST, "out of memory");
    if (good_path(run_dir, path, sizeof(path), err) < 0)
        return -1;
    if (vp_conf_read_file(AT_FDCWD, path, path, false, &file, &findings, err) == VP_FILE_READ) {
        vp_conf_read_text(draft, path, file.bytes, file.size, &findings);
        result = finish(draft, nodename, set, &findings, err);
    }
    free(file.bytes);
    vp_findings_clear(&findings);
    return result;
}

/* The files are broken: *err holds the first reason, which stays in front. */
static int fall_back(const char *run_dir, const char *nodename, struct vp_policy_set **set,
                     bool *stale, struct vp_error *err)
{
    struct vp_error first, why;

    if (read_good(run_dir, nodename, set, &why) == 0) {
        *stale = true;
        return 0;
    }
    if (!err)
        return -1;
    first = *err;
    return vp_fail(err, first.code, "%.480s; no earlier good set: %.480s", first.text, why.text);
}

int vp_conf_in_force(const struct vp_conf_where *where, struct vp_policy_set **set, bool *stale,
                     struct vp_findings *findings, struct vp_error *err)
{
    VP_AUTO(vp_draft) struct vp_draft *draft = vp_draft_new();
    struct utsname name;
    const char *nodename = node_name(where, &name);
    struct timespec began;
    struct vp_error why;

    *set = NULL;
    *stale = false;
    clock_gettime(CLOCK_REALTIME_COARSE, &began);
    if (!draft)
        return vp_fail(err, VP_HOST, "out of memory");
    vp_draft_without_hash(draft);
    read_files(where, draft, findings);
    if (finish(draft, nodename, set, findings, err) < 0)
        return fall_back(vp_draft_run_dir(draft, nodename), nodename, set, stale, err);
    if (keep_good(*set, &why) == 0)
        vp_conf_remember(where, *set, &began);
    else
        vp_findings_note(findings, VP_WARNING, "the good policies are not kept: %s", why.text);
    return 0;
}
