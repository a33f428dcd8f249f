/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REWRITEAGENT_H
#define VP_REWRITEAGENT_H

#include <libxml/tree.h>
#include <stdbool.h>

struct vp_error;

/* The channel by which libvirt talks to the QEMU guest agent: a <channel> with
 * <target type='virtio' name='org.qemu.guest_agent.0'/>
 * (docs/formatdomain.rst, "Channel"). */

/* The one of <devices> (may be NULL); NULL if there is none. */
xmlNode *vp_agent_channel(const xmlNode *devices);

/* Adds it behind the channels and what stands before them in libvirt's order. */
int vp_agent_write(xmlNode *root, struct vp_error *err);

/* Takes it out again if the original has none; puts it back if today's has
 * none. The controllers that libvirt added for it stay: others may use them. */
int vp_agent_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err);

#endif
