/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "host/domcaps.h"
#include "host/engine.h"

/* Files of their own for each emulator, arch, machine and type: libvirt's
 * answers depend on these. The hook reads them: no libvirt here. */

static void add(uint64_t *hash, const char *word)
{
    for (; word && *word != '\0'; word++)
        *hash = (*hash ^ (unsigned char)*word) * UINT64_C(1099511628211);
    *hash = (*hash ^ '\n') * UINT64_C(1099511628211);
}

static void make_path(const struct vp_engine *engine, const struct vp_domain *domain,
                      const char *emulator, char *path, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    add(&hash, emulator);
    add(&hash, domain->arch);
    add(&hash, domain->machine);
    add(&hash, domain->type);
    snprintf(path, size, "%s/domcaps/%016" PRIx64 ".xml", engine->set->host.run_dir, hash);
}

/* A failure costs nobody anything but the cache. */
static void write_cache(const char *path, const char *text)
{
    char fresh[640];
    size_t length = strlen(text);
    int fd;

    snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)gettid());
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write(fd, text, length) != (ssize_t)length || rename(fresh, path) != 0)
        unlink(fresh);
    close(fd);
}

static char *read_cache(const char *path)
{
    VP_AUTO(free) char *text = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < VP_XML_MAX)
        text = calloc(1, (size_t)st.st_size + 1);
    if (text && read(fd, text, (size_t)st.st_size) != st.st_size) {
        free(text);
        text = NULL;
    }
    close(fd);
    return VP_STEAL(text);
}

void vp_domcaps_keep(const struct vp_engine *engine, const struct vp_domain *domain,
                     const char *emulator, const char *text)
{
    char path[600], dir[512];

    snprintf(dir, sizeof(dir), "%s/domcaps", engine->set->host.run_dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return;
    make_path(engine, domain, emulator, path, sizeof(path));
    write_cache(path, text);
}

char *vp_domcaps_kept(const struct vp_engine *engine, const struct vp_domain *domain,
                      const char *emulator)
{
    char path[600];

    make_path(engine, domain, emulator, path, sizeof(path));
    return read_cache(path);
}

bool vp_policy_asks_host(const struct vp_policy *policy)
{
    return policy->cpu.nested != VP_SWITCH_KEEP ||
           (policy->cpu_mode == VP_CPU_CUSTOM && policy->cpu_models.count > 1);
}

void vp_domcaps_known(const struct vp_engine *engine, const struct vp_domain *domain, xmlNode *root,
                      const struct vp_policy *policy, struct vp_policy *one)
{
    const xmlNode *node = vp_xml_child(vp_xml_child(root, "devices"), "emulator");
    VP_AUTO(free) char *emulator = node ? vp_xml_text(node) : NULL;
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;
    VP_AUTO(free) char *text = NULL;
    char why[512];

    *one = *policy;
    if (!vp_policy_asks_host(policy))
        return;
    text = vp_domcaps_kept(engine, domain, emulator);
    if (!text || vp_domcaps_parse(text, strlen(text), &caps, NULL) != 0)
        return;
    vp_domcaps_choose(caps, policy, one, why);
}
