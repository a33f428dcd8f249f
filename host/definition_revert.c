/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "decide/policytext.h"
#include "host/definition.h"
#include "host/definition_kept.h"
#include "host/definition_redefine.h"
#include "host/engine.h"
#include "host/virt.h"

struct undo {
    const char *state_dir;
    char uuid[VIR_UUID_STRING_BUFLEN];
    struct vp_kept kept[VP_FACETS];
    bool has[VP_FACETS];
    char wanted[VP_FACETS][VP_HASH_TEXT]; /* the facets as they should read back */
    bool undone[VP_FACETS];               /* this attempt puts that one back */
};

static int load_kept(struct undo *undo, bool *any, struct vp_error *err)
{
    *any = false;
    for (int i = 0; i < VP_FACETS; i++) {
        int found =
            vp_kept_load(undo->state_dir, undo->uuid, (enum vp_facet)i, &undo->kept[i], err);

        if (found < 0)
            return -1;
        undo->has[i] = found == 1;
        *any |= undo->has[i];
    }
    return 0;
}

/* Facets that somebody changed since are no longer ours to put back. */
static bool find_ours(struct undo *undo, const struct vp_domain *now)
{
    bool any = false;

    for (int i = 0; i < VP_FACETS; i++) {
        char print[VP_HASH_TEXT];

        vp_facet_print(now, (enum vp_facet)i, print);
        undo->undone[i] = undo->has[i] && vp_kept_is_ours(&undo->kept[i], print);
        any |= undo->undone[i];
    }
    return any;
}

/* The one original of all facets if nothing at all changed since we wrote:
 * then its very bytes are defined. NULL otherwise. */
static const struct vp_kept *whole_original(const struct undo *undo, const char *xml, size_t length)
{
    const struct vp_kept *first = NULL;
    char hash[VP_HASH_TEXT];

    vp_text_hash(xml, length, hash);
    for (int i = 0; i < VP_FACETS; i++) {
        const struct vp_kept *kept = &undo->kept[i];

        if (!undo->undone[i])
            continue;
        if (strcmp(kept->after, hash) != 0 || (first && strcmp(first->hash, kept->hash) != 0))
            return NULL;
        first = first ? first : kept;
    }
    return first;
}

static int revert_facet(xmlNode *root, const struct vp_kept *kept, bool *changed,
                        struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *original = vp_xml_parse(kept->original, kept->length, err);

    if (!original)
        return vp_wrap(err, "the kept %s of %s", vp_facet_word(kept->facet), kept->name);
    return vp_rewrite_revert(root, xmlDocGetRootElement(original), &kept->facet, 1, changed, err);
}

static int revert_facets(struct undo *undo, xmlDoc *doc, const char *xml, size_t length,
                         char **text, size_t *text_length, struct vp_error *err)
{
    bool any = false;

    for (int i = 0; i < VP_FACETS; i++) {
        bool changed = false;

        if (undo->undone[i] &&
            revert_facet(xmlDocGetRootElement(doc), &undo->kept[i], &changed, err) != 0)
            return -1;
        any |= changed;
    }
    if (!any)
        return 0;
    return vp_xml_print(doc, true, xml, length, text, text_length, err) == 0 ? 1 : -1;
}

static int make(void *context, const char *xml, size_t length, char **text, size_t *text_length,
                struct vp_error *err)
{
    struct undo *undo = context;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(xml, length, err);
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;
    VP_AUTO(vp_domain) struct vp_domain *then = NULL;
    const struct vp_kept *whole;
    int made = 1;

    if (!doc || vp_domain_read(xmlDocGetRootElement(doc), &now, err) != 0)
        return -1;
    if (!find_ours(undo, now))
        return 0;
    whole = whole_original(undo, xml, length);
    if (whole) {
        *text = strdup(whole->original);
        *text_length = whole->length;
        if (!*text)
            return vp_fail(err, VP_HOST, "out of memory");
    } else {
        made = revert_facets(undo, doc, xml, length, text, text_length, err);
    }
    if (made != 1 || vp_domain_parse(*text, *text_length, &then, err) != 0)
        return made == 1 ? -1 : made;
    for (int i = 0; i < VP_FACETS; i++)
        vp_facet_print(then, (enum vp_facet)i, undo->wanted[i]);
    return 1;
}

static int check(void *context, const char *xml, size_t length, struct vp_error *err)
{
    const struct undo *undo = context;
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;

    if (vp_domain_parse(xml, length, &now, err) != 0)
        return -1;
    for (int i = 0; i < VP_FACETS; i++) {
        char print[VP_HASH_TEXT];

        vp_facet_print(now, (enum vp_facet)i, print);
        if (undo->undone[i] && strcmp(print, undo->wanted[i]) != 0)
            return 0;
    }
    return 1;
}

static const struct vp_redefine_ops ops = {.make = make, .check = check};

int vp_definition_leave(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err)
{
    VP_AUTO(free) char *xml = vp_definition_read(domain, err);
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;
    char hash[VP_HASH_TEXT], policy[VP_HASH_TEXT];
    char uuid[VIR_UUID_STRING_BUFLEN];
    struct vp_choice choice;

    if (!xml)
        return err->code == VP_GONE ? 0 : -1;
    if (virDomainGetUUIDString(domain, uuid) != 0)
        return vp_virt_fail(err, "the uuid of a guest");
    if (vp_domain_parse(xml, strlen(xml), &now, err) != 0)
        return -1;
    vp_engine_choose(engine, now, &choice);
    if (!choice.policy)
        return 0;
    vp_text_hash(xml, strlen(xml), hash);
    vp_policy_print_of(choice.policy, policy);
    return vp_reverted_save(engine->set->host.state_dir, uuid, hash, policy, err);
}

static int finish(struct undo *undo, virDomainPtr domain, enum vp_redefined redefined,
                  bool *reverted, struct vp_error *err)
{
    switch (redefined) {
    case VP_REDEFINED_GONE:
        return vp_fail(err, VP_GONE, "guest %s was undefined", virDomainGetName(domain));
    case VP_REDEFINED_CONTESTED:
        return vp_fail(err, VP_BUSY, "the definition of %s changes all the time",
                       virDomainGetName(domain));
    case VP_REDEFINED_FAILED:
        return -1;
    case VP_REDEFINED_DONE:
        *reverted = true;
        break;
    case VP_REDEFINED_NOTHING:
        break;
    }
    for (int i = 0; i < VP_FACETS; i++)
        if (vp_kept_remove(undo->state_dir, undo->uuid, (enum vp_facet)i, err) != 0)
            return -1;
    return 0;
}

int vp_definition_revert(struct vp_engine *engine, virDomainPtr domain, bool *reverted,
                         struct vp_error *err)
{
    struct undo undo = {.state_dir = engine->set->host.state_dir};
    struct vp_error own = {0};
    int lock, result = -1;
    bool any = false;

    *reverted = false;
    if (!err)
        err = &own;
    if (virDomainGetUUIDString(domain, undo.uuid) != 0)
        return vp_virt_fail(err, "the uuid of a guest");
    lock = vp_definition_lock(undo.state_dir, undo.uuid, err);
    if (lock < 0)
        return -1;
    if (load_kept(&undo, &any, err) == 0)
        result =
            any ? finish(&undo, domain, vp_redefine(domain, &ops, &undo, err), reverted, err) : 0;
    /* Under the lock: the enforcer hears of our define and looks at once. */
    if (result == 0 && *reverted)
        result = vp_definition_leave(engine, domain, err);
    for (int i = 0; i < VP_FACETS; i++)
        vp_kept_clear(&undo.kept[i]);
    close(lock);
    return result;
}
