/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "host/definition_kept.h"

/* UUID.FACET.xml: the uuid, and which facet; false for every other name. */
static bool kept_name(const char *file, char uuid[VP_UUID_TEXT], enum vp_facet *facet)
{
    char what[32];

    if (strlen(file) < VP_UUID_TEXT || file[VP_UUID_TEXT - 1] != '.')
        return false;
    for (int i = 0; i < VP_FACETS; i++) {
        snprintf(what, sizeof(what), "%s.xml", vp_facet_word((enum vp_facet)i));
        *facet = (enum vp_facet)i;
        if (strcmp(file + VP_UUID_TEXT, what) == 0) {
            memcpy(uuid, file, VP_UUID_TEXT - 1);
            uuid[VP_UUID_TEXT - 1] = '\0';
            return true;
        }
    }
    return false;
}

static int add_kept(const char *state_dir, const char *uuid, enum vp_facet facet,
                    struct vp_kept_guest **guest, size_t *count, struct vp_error *err)
{
    struct vp_kept_guest *one = NULL;
    struct vp_kept kept;

    for (size_t i = 0; i < *count && !one; i++)
        if (strcmp((*guest)[i].uuid, uuid) == 0)
            one = &(*guest)[i];
    if (!one) {
        one = realloc(*guest, (*count + 1) * sizeof(*one));
        if (!one)
            return vp_fail(err, VP_HOST, "out of memory");
        *guest = one;
        one += (*count)++;
        *one = (struct vp_kept_guest){0};
        snprintf(one->uuid, sizeof(one->uuid), "%s", uuid);
    }
    if (vp_kept_load(state_dir, uuid, facet, &kept, NULL) == 1)
        snprintf(one->name, sizeof(one->name), "%s", kept.name);
    vp_kept_clear(&kept);
    return 0;
}

static int by_uuid(const void *a, const void *b)
{
    return strcmp(((const struct vp_kept_guest *)a)->uuid, ((const struct vp_kept_guest *)b)->uuid);
}

int vp_kept_list(const char *state_dir, struct vp_kept_guest **guest, size_t *count,
                 struct vp_error *err)
{
    char path[PATH_MAX], uuid[VP_UUID_TEXT];
    const struct dirent *entry;
    enum vp_facet facet;
    int result = 0;
    DIR *dir;

    *guest = NULL;
    *count = 0;
    snprintf(path, sizeof(path), "%.4000s/definitions", state_dir);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : vp_fail_errno(err, VP_HOST, errno, "cannot read %s", path);
    while (result == 0 && (entry = readdir(dir)))
        if (kept_name(entry->d_name, uuid, &facet))
            result = add_kept(state_dir, uuid, facet, guest, count, err);
    closedir(dir);
    if (result != 0) {
        free(*guest);
        *guest = NULL;
        *count = 0;
    } else if (*count > 0) {
        qsort(*guest, *count, sizeof(**guest), by_uuid);
    }
    return result;
}
