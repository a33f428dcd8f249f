/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONNECT_H
#define VP_CONNECT_H

#include <libvirt/libvirt.h>
#include <stdbool.h>

#include "host/virt.h"

struct vp_ctl;
struct vp_engine;
struct vp_error;

/* Connects; says so when it takes longer than a second, and ends the program
 * with status 3 after 20 s: a stopped daemon accepts and never answers. */
virConnectPtr vp_ctl_connect(const char *uri, struct vp_error *err);

/* A guest that the operator named: VP_REFUSED where there is none. */
virDomainPtr vp_ctl_domain(virConnectPtr connection, const char *name, struct vp_error *err);

/* The definition of a guest (else, of a transient one, what it runs by), for
 * reading only: without secrets. Where libvirt cannot be reached, its file in
 * /etc/libvirt/qemu. The caller frees *xml. */
int vp_ctl_definition(struct vp_engine *engine, const char *name, char **xml, size_t *length,
                      struct vp_error *err);

/* For verbs that act on this host's guests: engine, ledger (if there is one)
 * and connection; the caller closes them, after a failure too. */
int vp_ctl_open_libvirt(struct vp_ctl *ctl, struct vp_engine *engine, virConnectPtr *connection,
                        struct vp_error *err);

/* Of "NAME or --all" just one: VP_INPUT else. */
int vp_ctl_name_or_all(const struct vp_ctl *ctl, bool *all, struct vp_error *err);

#endif
