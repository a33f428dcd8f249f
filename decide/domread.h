/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOMREAD_H
#define VP_DOMREAD_H

#include <libxml/tree.h>

struct vp_domain;
struct vp_error;

/* The parts of vp_domain_read, one for each region of the XML. Each reads the
 * element `node` into *domain and returns 0, or -1 with a VP_INPUT error. */
int vp_domain_read_cpu(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);
/* <features>: the switches that belong to the guest's CPU. node may be NULL. */
int vp_domain_read_features(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);
int vp_domain_read_vcpu(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);
int vp_domain_read_vcpus(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);
int vp_domain_read_cputune(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);
/* Shares, period, quota and schedulers of one <cputune>. */
int vp_domain_read_tuning(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);

/* <numatune>, which may be NULL. */
int vp_domain_read_numatune(const xmlNode *node, struct vp_domain *domain, struct vp_error *err);

/* <iothreads> and <iothreadids>, either of which may be NULL. */
int vp_domain_read_iothreads(const xmlNode *iothreads, const xmlNode *ids, struct vp_domain *domain,
                             struct vp_error *err);

/* <devices> and <memoryBacking>, either of which may be NULL. */
int vp_domain_read_devices(const xmlNode *devices, struct vp_domain *domain, struct vp_error *err);
int vp_domain_read_backing(const xmlNode *backing, struct vp_domain *domain, struct vp_error *err);

void vp_domain_clear_devices(struct vp_domain *domain);
void vp_domain_clear_cpu(struct vp_domain *domain);

#endif
