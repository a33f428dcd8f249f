/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/domcaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/policy.h"
#include "decide/policykeys.h"
#include "decide/policytext.h"

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

/* ---- names that are nearly right ---- */

struct nearest {
    const char *word;
    unsigned best;
    char *buf;
    size_t size, used;
    char last[48]; /* host-model's model stands among custom's, too */
};

static void consider(struct nearest *nearest, const char *name)
{
    unsigned far = vp_word_distance(nearest->word, name);

    if (far > nearest->best || strlen(name) > 40 || strcmp(nearest->last, name) == 0)
        return;
    snprintf(nearest->last, sizeof(nearest->last), "%s", name);
    if (far < nearest->best)
        nearest->used = 0;
    nearest->best = far;
    if (nearest->used + strlen(name) + 3 < nearest->size)
        nearest->used +=
            (size_t)snprintf(nearest->buf + nearest->used, nearest->size - nearest->used, "%s%s",
                             nearest->used > 0 ? ", " : "", name);
}

/* The models (by their text) or features (by name=) of all modes. */
static void find_nearest(const struct vp_domcaps *caps, const char *element,
                         struct nearest *nearest)
{
    const xmlNode *mode = caps->cpu ? vp_xml_child(caps->cpu, "mode") : NULL;

    for (; mode; mode = vp_xml_again(mode)) {
        for (const xmlNode *node = vp_xml_child(mode, element); node; node = vp_xml_again(node)) {
            VP_AUTO(free) char *text = vp_xml_text(node);
            const char *name = vp_xml_attr(node, "name");

            if (name || text)
                consider(nearest, name ? name : text);
        }
    }
}

bool vp_domcaps_names_feature(const struct vp_domcaps *caps, const char *name)
{
    const xmlNode *mode = caps->cpu ? vp_xml_child(caps->cpu, "mode") : NULL;

    for (; mode; mode = vp_xml_again(mode))
        for (const xmlNode *node = vp_xml_child(mode, "feature"); node; node = vp_xml_again(node)) {
            const char *has = vp_xml_attr(node, "name");

            if (has && strcmp(has, name) == 0)
                return true;
        }
    return false;
}

void vp_domcaps_no_feature(const struct vp_domcaps *caps, const xmlNode *more, const char *name,
                           char why[512])
{
    char near[200] = "";
    struct nearest nearest = {name, (unsigned)strlen(name) / 3 + 1, near, sizeof(near), 0, ""};

    find_nearest(caps, "feature", &nearest);
    for (const xmlNode *node = vp_xml_child(more, "feature"); node; node = vp_xml_again(node)) {
        const char *has = vp_xml_attr(node, "name");

        if (has && !vp_domcaps_names_feature(caps, has))
            consider(&nearest, has);
    }
    snprintf(why, 512, "libvirt here knows no CPU feature %s%s%s", name,
             near[0] != '\0' ? ", nearest: " : "", near);
}

/* ---- which model ---- */

enum standing { UNKNOWN, UNUSABLE, USABLE };

static enum standing standing_of(const xmlNode *custom, const char *wanted)
{
    for (const xmlNode *model = vp_xml_child(custom, "model"); model; model = vp_xml_again(model)) {
        VP_AUTO(free) char *name = vp_xml_text(model);

        if (name && strcmp(name, wanted) == 0)
            return says_no(model, "usable") ? UNUSABLE : USABLE;
    }
    return UNKNOWN;
}

static void say_none(const struct vp_domcaps *caps, const xmlNode *custom,
                     const struct vp_strings *models, char why[512])
{
    size_t used = 0;

    if (models->count > 1)
        used = (size_t)snprintf(why, 512, "this host can run none of the policy's CPU models: ");
    for (size_t i = 0; i < models->count && used < 300; i++) {
        const char *name = models->item[i];
        char near[100] = "";
        struct nearest nearest = {name, (unsigned)strlen(name) / 3 + 1, near, sizeof(near), 0, ""};

        if (standing_of(custom, name) == UNUSABLE) {
            used += (size_t)snprintf(why + used, 512 - used,
                                     models->count > 1 ? "%s%.60s"
                                                       : "%sthis host cannot run CPU model %.60s",
                                     i > 0 ? ", " : "", name);
            continue;
        }
        find_nearest(caps, "model", &nearest);
        used +=
            (size_t)snprintf(why + used, 512 - used,
                             models->count > 1 ? "%s%.60s (libvirt here knows no such model%s%s)"
                                               : "%slibvirt here knows no CPU model %.60s%s%s",
                             i > 0 ? ", " : "", name, near[0] != '\0' ? ", nearest: " : "", near);
    }
    add_usable(custom, why);
}

enum vp_cpu_vendor vp_domcaps_vendor(const struct vp_domcaps *caps)
{
    const xmlNode *mode = find_mode(caps, "host-model");
    const xmlNode *vendor = mode ? vp_xml_child(mode, "vendor") : NULL;
    VP_AUTO(free) char *text = vendor ? vp_xml_text(vendor) : NULL;

    if (!text)
        return VP_VENDOR_UNKNOWN;
    if (strcmp(text, "Intel") == 0)
        return VP_VENDOR_INTEL;
    return strcmp(text, "AMD") == 0 || strcmp(text, "Hygon") == 0 ? VP_VENDOR_AMD
                                                                  : VP_VENDOR_UNKNOWN;
}

bool vp_domcaps_choose(const struct vp_domcaps *caps, const struct vp_policy *policy,
                       struct vp_policy *one, char why[512])
{
    const char *word = vp_cpu_mode_word(policy->cpu_mode);
    enum vp_cpu_vendor vendor = vp_domcaps_vendor(caps);
    const xmlNode *mode;

    *one = vp_policy_for_host(policy, -1, vendor);
    if (policy->cpu_mode == VP_CPU_KEEP)
        return true;
    mode = find_mode(caps, word);
    if (mode && says_no(mode, "supported")) {
        snprintf(why, 512, "this host cannot give such a guest a CPU of mode %s", word);
        return false;
    }
    if (!mode || policy->cpu_mode != VP_CPU_CUSTOM || policy->cpu_models.count == 0)
        return true;
    for (size_t i = 0; i < policy->cpu_models.count; i++)
        if (standing_of(mode, policy->cpu_models.item[i]) == USABLE) {
            *one = vp_policy_for_host(policy, (int)i, vendor);
            return true;
        }
    say_none(caps, mode, &policy->cpu_models, why);
    return false;
}

bool vp_domcaps_allows(const struct vp_domcaps *caps, const struct vp_policy *policy, char why[512])
{
    struct vp_policy one;

    return vp_domcaps_choose(caps, policy, &one, why);
}

char *vp_domcaps_model(const struct vp_domcaps *caps)
{
    const xmlNode *mode = find_mode(caps, "host-model");
    const xmlNode *model = mode ? vp_xml_child(mode, "model") : NULL;

    return model ? vp_xml_text(model) : NULL;
}

char *vp_domcaps_host_model(const struct vp_domcaps *caps)
{
    const xmlNode *mode = find_mode(caps, "host-model");
    const xmlNode *vendor = mode ? vp_xml_child(mode, "vendor") : NULL;
    VP_AUTO(free) char *model = vp_domcaps_model(caps);
    VP_AUTO(free) char *maker = vendor ? vp_xml_text(vendor) : NULL;
    const char *separator = ",";
    struct vp_text text = {0};

    if (!model)
        return NULL;
    vp_text_puts(&text, model);
    if (maker) {
        vp_text_puts(&text, " of ");
        vp_text_puts(&text, maker);
    }
    for (const xmlNode *node = vp_xml_child(mode, "feature"); node; node = vp_xml_again(node)) {
        const char *name = vp_xml_attr(node, "name"), *policy = vp_xml_attr(node, "policy");

        if (!name)
            continue;
        vp_text_puts(&text, separator);
        vp_text_puts(&text, policy && strcmp(policy, "disable") == 0 ? " -" : " +");
        vp_text_puts(&text, name);
        separator = "";
    }
    if (text.failed)
        vp_text_free(&text);
    return text.bytes;
}
