/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/capabilities.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/domcaps.h"
#include "host/engine.h"
#include "host/virt.h"

/* A file names features of host-model only, so that one which it does not name
 * may be known all the same: this is a hint, for slips of the pen. */
static void note_features(const struct vp_domcaps *caps, const struct vp_policy *policy,
                          const char *path)
{
    const struct vp_strings *features = &policy->cpu.features;
    char text[512];

    for (size_t i = 0; i < features->count; i++) {
        const char *name = features->item[i] + 1, *near;

        if (vp_domcaps_names_feature(caps, name))
            continue;
        vp_domcaps_no_feature(caps, NULL, name, text);
        near = strstr(text, ", nearest: ");
        if (near)
            fprintf(stderr, "virtpin: %s does not name CPU feature %s%s\n", path, name, near);
    }
}

static int ask_file(const char *path, const struct vp_policy *policy, struct vp_policy *one,
                    char why[512], struct vp_error *err)
{
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;
    VP_AUTO(free) char *text = NULL;
    size_t length;

    if (vp_ctl_read(path, &text, &length, err) != 0)
        return -1;
    if (vp_domcaps_parse(text, length, &caps, err) != 0)
        return vp_wrap(err, "%s", path);
    if (vp_domcaps_choose(caps, policy, one, why))
        why[0] = '\0';
    note_features(caps, policy, path);
    return 0;
}

static void note_once(const char *text, const char *why)
{
    static bool said;

    if (!said)
        fprintf(stderr, "virtpin: %s%s%s\n", text, why[0] ? ": " : "", why);
    said = true;
}

/* 0 answered, -1 not. */
static int ask_libvirt(struct vp_engine *engine, const struct vp_domain *domain, xmlDoc *doc,
                       const struct vp_policy *policy, struct vp_policy *one, char why[512],
                       struct vp_error *err)
{
    VP_AUTO(virConnectPtr) virConnectPtr connection = vp_ctl_connect(engine->set->host.uri, err);
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *node = vp_xml_child(vp_xml_child(root, "devices"), "emulator");
    VP_AUTO(free) char *emulator = node ? vp_xml_text(node) : NULL;
    int usable;

    if (!connection)
        return -1;
    usable = vp_domcaps_usable(engine, connection, domain, emulator, policy, one, why, err);
    if (usable == 1)
        why[0] = '\0';
    return usable < 0 ? -1 : 0;
}

int vp_ctl_capable(const struct vp_ctl *ctl, struct vp_engine *engine,
                   const struct vp_domain *domain, xmlDoc *doc, const struct vp_policy *policy,
                   struct vp_policy *one, char why[512], struct vp_error *err)
{
    struct vp_error ignored = {0};

    *one = *policy;
    why[0] = '\0';
    if (ctl->capabilities)
        return ask_file(ctl->capabilities, policy, one, why, err);
    if (ctl->topology) {
        *one = vp_policy_for_host(policy, 0, VP_VENDOR_UNKNOWN);
        note_once("no host was asked what CPUs it can run (--capabilities FILE)", "");
        return 0;
    }
    if (ask_libvirt(engine, domain, doc, policy, one, why, &ignored) != 0) {
        note_once("not known what CPUs this host can run", ignored.text);
        why[0] = '\0';
        *one = *policy;
    }
    return 0;
}

static char *host_text(const struct vp_ctl *ctl, struct vp_engine *engine,
                       const struct vp_domain *domain, xmlDoc *doc)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *node = vp_xml_child(vp_xml_child(root, "devices"), "emulator");
    VP_AUTO(free) char *emulator = node ? vp_xml_text(node) : NULL;
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    char *text = NULL;
    size_t length;

    if (ctl->capabilities)
        return vp_ctl_read(ctl->capabilities, &text, &length, NULL) == 0 ? text : NULL;
    if (ctl->topology)
        return NULL;
    connection = vp_ctl_connect(engine->set->host.uri, NULL);
    return connection ? vp_domcaps_ask(engine, connection, domain, emulator, NULL) : NULL;
}

char *vp_ctl_host_model(const struct vp_ctl *ctl, struct vp_engine *engine,
                        const struct vp_domain *domain, xmlDoc *doc)
{
    VP_AUTO(free) char *text = host_text(ctl, engine, domain, doc);
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;

    if (!text || vp_domcaps_parse(text, strlen(text), &caps, NULL) != 0)
        return NULL;
    return vp_domcaps_host_model(caps);
}
