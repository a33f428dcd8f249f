/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_RELOAD_H
#define VP_RELOAD_H

struct vp_engine;
struct vp_enforcer;
struct vp_error;
struct vp_findings;

/* Policies and the host's shape, read anew while running. */

/* A second after the last call, so that an editor or a package can finish. */
void vp_reload_soon(struct vp_enforcer *enforcer);

/* At once (SIGHUP): parses all, checks all, then swaps; broken files leave the
 * set in force and the journal says where they are broken. */
void vp_reload_now(struct vp_enforcer *enforcer);

/* After the first look at the ledger: policies may have changed while no enforcer
 * ran; guests that were placed under another set are planned anew. */
void vp_reload_missed(struct vp_enforcer *enforcer);

/* Makes the timer of vp_reload_soon. */
int vp_reload_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* A CPU went offline or came back: the shape is discovered anew. */
void vp_reload_online(struct vp_enforcer *enforcer);

/* The hierarchy with the cpuset controller, missing so far, was mounted. */
void vp_reload_cgroups(struct vp_enforcer *enforcer);

/* Puts findings of loading into the journal; with an engine's, whether the good
 * set took the place of broken files. */
void vp_reload_findings(const struct vp_findings *findings);
void vp_reload_say(const struct vp_engine *engine);

#endif
