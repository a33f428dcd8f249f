/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/connect.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/definition_watch.h"
#include "host/engine.h"

#define GIVE_UP_S 20

virConnectPtr vp_ctl_connect(const char *uri, struct vp_error *err)
{
    static char doing[256];
    virConnectPtr connection;

    snprintf(doing, sizeof(doing), "waiting for libvirt at %.200s", uri);
    vp_waiting(doing, GIVE_UP_S);
    connection = vp_virt_open(uri, err);
    vp_waited();
    if (!connection) {
        size_t used = strlen(err->text);

        snprintf(err->text + used, sizeof(err->text) - used,
                 " (systemctl status libvirtd virtqemud)");
    }
    return connection;
}

virDomainPtr vp_ctl_domain(virConnectPtr connection, const char *name, struct vp_error *err)
{
    virDomainPtr domain = vp_virt_domain(connection, name, err);

    if (!domain && err->code == VP_GONE)
        vp_fail(err, VP_REFUSED, "libvirt here has no guest \"%s\" (virsh list --all)", name);
    return domain;
}

static int from_file(const char *name, char **xml, size_t *length, struct vp_error *err)
{
    char path[PATH_MAX];

    if (strchr(name, '/') || strlen(name) > 200)
        return vp_fail(err, VP_INPUT, "no guest \"%s\"", name);
    snprintf(path, sizeof(path), "%s/%s.xml", VP_LIBVIRT_ETC_DIR, name);
    return vp_ctl_read(path, xml, length, err);
}

int vp_ctl_definition(struct vp_engine *engine, const char *name, char **xml, size_t *length,
                      struct vp_error *err)
{
    VP_AUTO(virConnectPtr) virConnectPtr connection = vp_ctl_connect(engine->set->host.uri, err);
    VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
    struct vp_error ignored;

    if (!connection)
        return from_file(name, xml, length, &ignored) == 0 ? 0 : -1;
    domain = vp_ctl_domain(connection, name, err);
    if (!domain && err->code == VP_REFUSED)
        err->code = VP_INPUT;
    if (!domain)
        return -1;
    *xml = virDomainGetXMLDesc(domain,
                               virDomainIsPersistent(domain) == 1 ? VIR_DOMAIN_XML_INACTIVE : 0);
    if (!*xml)
        return vp_virt_fail(err, "reading the definition of %s", name);
    *length = strlen(*xml);
    return 0;
}

int vp_ctl_name_or_all(const struct vp_ctl *ctl, bool *all, struct vp_error *err)
{
    *all = vp_ctl_option(ctl, "all") != NULL;
    if (*all && ctl->argc > 0)
        return vp_fail(err, VP_INPUT, "%s: found \"%s\" beside --all; it takes one of them",
                       ctl->verb->name, ctl->argv[0]);
    if (!*all && ctl->argc == 0)
        return vp_fail(err, VP_INPUT, "%s: NAME or --all is missing (virtpin %s --help)",
                       ctl->verb->name, ctl->verb->name);
    return 0;
}

int vp_ctl_open_libvirt(struct vp_ctl *ctl, struct vp_engine *engine, virConnectPtr *connection,
                        struct vp_error *err)
{
    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "%s acts on this host: --topology is of no use here",
                       ctl->verb->name);
    if (vp_ctl_engine(ctl, engine, err) != 0 || vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    *connection = vp_ctl_connect(engine->set->host.uri, err);
    return *connection ? 0 : -1;
}
