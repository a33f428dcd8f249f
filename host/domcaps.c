/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/domcaps.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/policytext.h"
#include "host/definition.h"
#include "host/engine.h"
#include "host/virt.h"

struct vp_domcaps {
    xmlDoc *doc;
    xmlNode *cpu; /* <cpu>, NULL if it has none */
};

int vp_domcaps_parse(const char *bytes, size_t length, struct vp_domcaps **caps,
                     struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(bytes, length, err);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;

    *caps = NULL;
    if (!doc)
        return vp_wrap(err, "domain capabilities");
    if (!root || !vp_xml_is(root, "domainCapabilities"))
        return vp_fail(
            err, VP_INPUT,
            "domain capabilities: found <%s>, legal is <domainCapabilities> (what `virsh "
            "domcapabilities` prints)",
            root ? (const char *)root->name : "");
    *caps = calloc(1, sizeof(**caps));
    if (!*caps)
        return vp_fail(err, VP_HOST, "out of memory");
    (*caps)->cpu = vp_xml_child(root, "cpu");
    (*caps)->doc = VP_STEAL(doc);
    return 0;
}

void vp_domcaps_free(struct vp_domcaps *caps)
{
    if (!caps)
        return;
    xmlFreeDoc(caps->doc);
    free(caps);
}

static bool says_no(const xmlNode *node, const char *attribute)
{
    const char *value = vp_xml_attr(node, attribute);

    return value && strcmp(value, "no") == 0;
}

static const xmlNode *find_mode(const struct vp_domcaps *caps, const char *name)
{
    const xmlNode *mode = caps->cpu ? vp_xml_child(caps->cpu, "mode") : NULL;

    for (; mode; mode = vp_xml_again(mode)) {
        const char *has = vp_xml_attr(mode, "name");

        if (has && strcmp(has, name) == 0)
            return mode;
    }
    return NULL;
}

/* "; usable here: a, b, c" at the end of why, as many as there is room for. */
static void add_usable(const xmlNode *custom, char why[512])
{
    size_t used = strlen(why);
    unsigned listed = 0;

    for (const xmlNode *model = vp_xml_child(custom, "model"); model && used < 440;
         model = vp_xml_again(model)) {
        VP_AUTO(free) char *name = vp_xml_text(model);
        const char *usable = vp_xml_attr(model, "usable");

        if (!name || !usable || strcmp(usable, "yes") != 0 || strlen(name) > 40)
            continue;
        used += (size_t)snprintf(why + used, 512 - used, "%s%s",
                                 listed++ ? ", " : "; usable here: ", name);
    }
}

static bool model_allowed(const xmlNode *custom, const char *wanted, char why[512])
{
    for (const xmlNode *model = vp_xml_child(custom, "model"); model; model = vp_xml_again(model)) {
        VP_AUTO(free) char *name = vp_xml_text(model);

        if (!name || strcmp(name, wanted) != 0)
            continue;
        if (!says_no(model, "usable"))
            return true;
        snprintf(why, 512, "this host cannot run CPU model %s", wanted);
        add_usable(custom, why);
        return false;
    }
    snprintf(why, 512, "libvirt here knows no CPU model %s", wanted);
    add_usable(custom, why);
    return false;
}

bool vp_domcaps_allows(const struct vp_domcaps *caps, const struct vp_policy *policy, char why[512])
{
    const char *word = vp_cpu_mode_word(policy->cpu_mode);
    const xmlNode *mode;

    if (policy->cpu_mode == VP_CPU_KEEP)
        return true;
    mode = find_mode(caps, word);
    if (mode && says_no(mode, "supported")) {
        snprintf(why, 512, "this host cannot give such a guest a CPU of mode %s", word);
        return false;
    }
    if (!mode || policy->cpu_mode != VP_CPU_CUSTOM || policy->cpu_models.count == 0)
        return true;
    return model_allowed(mode, policy->cpu_models.item[0], why);
}

/* ---- this host's, asked of libvirt and kept for those who may not ask ---- */

static int cache_path(const struct vp_engine *engine, const struct vp_domain *domain,
                      const char *emulator, char *path, size_t size, struct vp_error *err)
{
    char key[1024], hash[72], dir[512];

    snprintf(dir, sizeof(dir), "%s/domcaps", engine->set->host.run_dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", dir);
    snprintf(key, sizeof(key), "%s\n%s\n%s\n%s", emulator ? emulator : "",
             domain->arch ? domain->arch : "", domain->machine ? domain->machine : "",
             domain->type ? domain->type : "");
    vp_text_hash(key, strlen(key), hash);
    snprintf(path, size, "%s/%.16s.xml", dir, hash + strlen("sha256:"));
    return 0;
}

/* A failure costs nobody anything but the cache. */
static void write_cache(const char *path, const char *text)
{
    char fresh[600];
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

int vp_domcaps_usable(struct vp_engine *engine, virConnectPtr connection,
                      const struct vp_domain *domain, const char *emulator,
                      const struct vp_policy *policy, char why[512], struct vp_error *err)
{
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;
    VP_AUTO(free) char *text = NULL;
    char path[600] = "";

    if (policy->cpu_mode == VP_CPU_KEEP)
        return 1;
    text = virConnectGetDomainCapabilities(connection, emulator, domain->arch, domain->machine,
                                           domain->type, 0);
    if (!text)
        vp_virt_fail(err, "what CPUs this host can run (%s, %s, %s)",
                     domain->type ? domain->type : "?", domain->arch ? domain->arch : "?",
                     domain->machine ? domain->machine : "?");
    if (cache_path(engine, domain, emulator, path, sizeof(path), NULL) == 0) {
        if (text)
            write_cache(path, text);
        else
            text = read_cache(path);
    }
    if (!text || vp_domcaps_parse(text, strlen(text), &caps, err) != 0)
        return -1;
    return vp_domcaps_allows(caps, policy, why);
}
