/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/definition_kept.h"
#include "host/definition_redefine.h"
#include "host/engine.h"
#include "host/virt.h"

/* Our pins and mark out of a definition, for good. */

static int make(void *context, const char *xml, size_t length, char **text, size_t *text_length,
                struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(xml, length, err);
    bool changed = false;

    (void)context;
    if (!doc || vp_rewrite_strip(xmlDocGetRootElement(doc), &changed, err) != 0)
        return -1;
    if (!changed)
        return 0;
    return vp_xml_print(doc, true, xml, length, text, text_length, err) == 0 ? 1 : -1;
}

static int check(void *context, const char *xml, size_t length, struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;

    (void)context;
    if (vp_domain_parse(xml, length, &now, err) != 0)
        return -1;
    return now->applied_policy == NULL;
}

static const struct vp_redefine_ops ops = {.make = make, .check = check};

int vp_definition_strip(struct vp_engine *engine, virDomainPtr domain, bool *stripped,
                        struct vp_error *err)
{
    const char *state_dir = engine->set->host.state_dir;
    char uuid[VIR_UUID_STRING_BUFLEN];
    enum vp_redefined redefined;
    int lock, result = 0;

    *stripped = false;
    if (virDomainGetUUIDString(domain, uuid) != 0)
        return vp_virt_fail(err, "the uuid of a guest");
    lock = vp_definition_lock(state_dir, uuid, err);
    if (lock < 0)
        return -1;
    redefined = vp_redefine(domain, &ops, NULL, err);
    if (redefined == VP_REDEFINED_CONTESTED)
        vp_fail(err, VP_BUSY, "the definition of %s changes all the time",
                virDomainGetName(domain));
    if (redefined == VP_REDEFINED_FAILED || redefined == VP_REDEFINED_CONTESTED)
        result = -1;
    *stripped = redefined == VP_REDEFINED_DONE;
    if (*stripped)
        result = vp_kept_remove(state_dir, uuid, VP_FACET_PINS, err);
    if (*stripped && result == 0)
        result = vp_definition_leave(engine, domain, err);
    close(lock);
    return result;
}
