/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/definition_redefine.h"

#include <libvirt/virterror.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewriteagent.h"
#include "host/definition_watch.h"
#include "host/virt.h"

#define ATTEMPTS 8

/* What else belongs to the guest stays, as the user's own undefine left it;
 * KEEP_TPM is of libvirt 8.9.0. */
#if LIBVIR_VERSION_NUMBER >= 8009000
#define UNDEFINE_FLAGS (VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_TPM)
#else
#define UNDEFINE_FLAGS VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
#endif

char *vp_definition_read(virDomainPtr domain, struct vp_error *err)
{
    const char *name = virDomainGetName(domain);
    char *xml;

    /* A domain that is running and was undefined still answers, with what it
     * runs by: that is no definition. */
    if (virDomainIsPersistent(domain) == 0) {
        vp_fail(err, VP_GONE, "guest %s has no definition", name);
        return NULL;
    }
    xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
    if (!xml)
        vp_virt_fail(err, "reading the definition of %s", name);
    return xml;
}

/* ---- whose is a definition that was seen on disk ---- */

static void drop(xmlNode *root, const char *name)
{
    xmlNode *node;

    while ((node = vp_xml_child(root, name)) != NULL) {
        xmlUnlinkNode(node);
        xmlFreeNode(node);
    }
}

static bool is_channel_bus(const xmlNode *node)
{
    const char *type = vp_xml_is(node, "controller") ? vp_xml_attr(node, "type") : NULL;

    return type && (strcmp(type, "virtio-serial") == 0 || strcmp(type, "pci") == 0);
}

/* The agent's channel, and the controllers that libvirt adds for it. */
static void drop_channel(xmlNode *devices)
{
    xmlNode *channel = vp_agent_channel(devices), *next;

    if (channel) {
        xmlUnlinkNode(channel);
        xmlFreeNode(channel);
    }
    for (xmlNode *node = devices ? devices->children : NULL; node; node = next) {
        next = node->next;
        if (!is_channel_bus(node))
            continue;
        xmlUnlinkNode(node);
        xmlFreeNode(node);
    }
}

/* A definition without what virtpin may change; NULL if it cannot be read. */
static xmlChar *outside(const char *xml)
{
    static const char *const ours[] = {"cpu", "vcpu", "vcpus", "cputune", "numatune", "metadata"};
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(xml, strlen(xml), NULL);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlChar *text = NULL;
    int length;

    if (!root)
        return NULL;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        drop(root, ours[i]);
    drop_channel(vp_xml_child(root, "devices"));
    xmlDocDumpMemory(doc, &text, &length);
    return text;
}

static size_t skip_blanks(const xmlChar *text, size_t at)
{
    while (text[at] == ' ' || text[at] == '\n' || text[at] == '\t')
        at++;
    return at;
}

/* Equal but for white space, which unlinking leaves in odd places. */
static bool same_outside(const char *a, const char *b)
{
    xmlChar *left = outside(a), *right = outside(b);
    size_t i = 0, j = 0;
    bool same = left && right;

    while (same) {
        i = skip_blanks(left, i);
        j = skip_blanks(right, j);
        if (left[i] != right[j])
            same = false;
        else if (left[i] == '\0')
            break;
        i++;
        j++;
    }
    xmlFree(left);
    xmlFree(right);
    return same;
}

/* ---- what happened meanwhile ---- */

struct attempt {
    virDomainPtr domain;
    virConnectPtr connection;
    const char *name;
    const struct vp_redefine_ops *ops;
    void *context;
    char *lost; /* somebody's definition that we replaced: to be taken as the base; owned */
};

static bool is_ours(const struct attempt *attempt, const char *text, const char *ours)
{
    return same_outside(text, ours) &&
           attempt->ops->check(attempt->context, text, strlen(text), NULL) == 1;
}

/* True if the definition was removed before ours came, and nobody else has
 * defined it since. In doubt false: a ghost can be undefined by hand, a
 * definition that somebody made cannot be made again. */
static bool made_a_ghost(const struct attempt *attempt, const struct vp_watch *watch,
                         const char *ours)
{
    size_t removed_at = 0, written_since = 0;
    enum vp_watch_event event;
    bool removed = false;
    const char *text;

    for (size_t i = 0; vp_watch_event(watch, i, &event, &text); i++) {
        if (event == VP_WATCH_REMOVED) {
            removed = true;
            removed_at = i;
        }
        written_since = event == VP_WATCH_REMOVED ? 0 : written_since + 1;
    }
    if (!removed || written_since != 1)
        return false;
    for (size_t i = 0; i < removed_at && vp_watch_event(watch, i, &event, &text); i++)
        if (event == VP_WATCH_WRITTEN && (!text || is_ours(attempt, text, ours)))
            return false;
    return true;
}

static size_t count_written(const struct vp_watch *watch)
{
    enum vp_watch_event event;
    const char *text;
    size_t count = 0;

    for (size_t i = 0; vp_watch_event(watch, i, &event, &text); i++)
        count += event == VP_WATCH_WRITTEN;
    return count;
}

/* The last definition of somebody else's that ours has replaced, NULL if there
 * is none. `now` is ours. */
static const char *overwritten(const struct vp_watch *watch, const char *ours, const char *now)
{
    const char *lost = NULL, *text;
    enum vp_watch_event event;

    for (size_t i = 0; vp_watch_event(watch, i, &event, &text); i++) {
        if (event == VP_WATCH_REMOVED)
            lost = NULL;
        else if (text && strcmp(text, now) != 0 && !same_outside(text, ours))
            lost = text;
    }
    return lost;
}

/* The user's undefine came first: what we defined after it has to go again. */
static int undo_ghost(const struct attempt *attempt, struct vp_error *err)
{
    if (virDomainUndefineFlags(attempt->domain, UNDEFINE_FLAGS) == 0 ||
        virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return 0;
    return vp_virt_fail(err, "%s was undefined while it was rewritten; undefining it again",
                        attempt->name);
}

/* ---- one attempt ---- */

static enum vp_redefined failed(const struct vp_error *err)
{
    return err->code == VP_GONE ? VP_REDEFINED_GONE : VP_REDEFINED_FAILED;
}

static enum vp_redefined done(const struct attempt *attempt, const char *now, struct vp_error *err)
{
    if (attempt->ops->done && attempt->ops->done(attempt->context, now, strlen(now), err) != 0)
        return VP_REDEFINED_FAILED;
    return VP_REDEFINED_DONE;
}

/* After our define. CONTESTED here means: try again. */
static enum vp_redefined look_back(struct attempt *attempt, struct vp_watch *watch,
                                   const char *ours, struct vp_error *err)
{
    VP_AUTO(free) char *now = NULL;
    const char *lost;
    int checked;

    now = vp_definition_read(attempt->domain, err);
    vp_watch_stop(watch);
    if (!now)
        return failed(err);
    if (made_a_ghost(attempt, watch, ours))
        return undo_ghost(attempt, err) == 0 ? VP_REDEFINED_GONE : VP_REDEFINED_FAILED;
    /* Alone on the file, what is other than meant is libvirt's own doing. */
    if (count_written(watch) == 1)
        return done(attempt, now, err);
    checked =
        same_outside(now, ours) ? attempt->ops->check(attempt->context, now, strlen(now), err) : 0;
    if (checked < 0)
        return VP_REDEFINED_FAILED;
    if (checked == 0)
        return VP_REDEFINED_CONTESTED;
    lost = overwritten(watch, ours, now);
    if (!lost)
        return done(attempt, now, err);
    attempt->lost = strdup(lost);
    return VP_REDEFINED_CONTESTED;
}

static void abandon(const struct attempt *attempt)
{
    if (attempt->ops->abandon)
        attempt->ops->abandon(attempt->context);
}

static enum vp_redefined define(struct attempt *attempt, const char *base, const char *text,
                                struct vp_error *err)
{
    VP_AUTO(free) char *again = NULL;
    struct vp_watch *watch = vp_watch_begin(VP_LIBVIRT_ETC_DIR, attempt->name);
    enum vp_redefined result;
    virDomainPtr defined;

    again = vp_definition_read(attempt->domain, err);
    if (!again || strcmp(again, base) != 0) {
        vp_watch_free(watch);
        abandon(attempt);
        return again ? VP_REDEFINED_CONTESTED : failed(err);
    }
    defined = virDomainDefineXMLFlags(attempt->connection, text, 0);
    if (defined) {
        virDomainFree(defined);
        result = look_back(attempt, watch, text, err);
    } else {
        vp_virt_fail(err, "libvirt does not take the definition of %s", attempt->name);
        abandon(attempt);
        result = VP_REDEFINED_FAILED;
    }
    vp_watch_free(watch);
    return result;
}

static enum vp_redefined try_once(struct attempt *attempt, struct vp_error *err)
{
    VP_AUTO(free) char *now = vp_definition_read(attempt->domain, err);
    VP_AUTO(free) char *text = NULL, *base = VP_STEAL(attempt->lost);
    size_t length;
    int made;

    if (!now)
        return failed(err);
    made = attempt->ops->make(attempt->context, base ? base : now, strlen(base ? base : now), &text,
                              &length, err);
    if (made < 0)
        return VP_REDEFINED_FAILED;
    if (made == 0 && !base)
        return VP_REDEFINED_NOTHING;
    /* What was lost is put back even where there is nothing to change in it. */
    return define(attempt, now, made == 0 ? base : text, err);
}

enum vp_redefined vp_redefine(virDomainPtr domain, const struct vp_redefine_ops *ops, void *context,
                              struct vp_error *err)
{
    struct attempt attempt = {.domain = domain,
                              .connection = virDomainGetConnect(domain),
                              .name = virDomainGetName(domain),
                              .ops = ops,
                              .context = context};
    struct vp_error own;
    enum vp_redefined result = VP_REDEFINED_CONTESTED;

    if (!err)
        err = &own;
    for (int i = 0; i < ATTEMPTS && result == VP_REDEFINED_CONTESTED; i++)
        result = try_once(&attempt, err);
    free(attempt.lost);
    return result;
}
