/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITION_KEPT_H
#define VP_DEFINITION_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/domain.h"
#include "decide/rewrite.h"

struct vp_error;

/* What definitions held before virtpin wrote to them: one file a guest and
 * facet, STATE-DIR/definitions/UUID.FACET.xml, 0600 because of secrets. It is
 * the original itself, valid XML that `virsh define` takes, behind one
 * processing instruction with the facts below. */

#define VP_HASH_TEXT 72
#define VP_KEPT_WRITES 16

struct vp_kept {
    enum vp_facet facet;
    char uuid[VP_UUID_TEXT];
    char name[256];
    char policy[VP_HASH_TEXT];     /* vp_policy_print_of the policy that was applied */
    char hash[VP_HASH_TEXT];       /* of the original's bytes */
    char before[VP_HASH_TEXT];     /* vp_facet_print of the original */
    char wrote[VP_HASH_TEXT];      /* of what was to be defined */
    char got[VP_HASH_TEXT];        /* of what libvirt made of it; "" not known yet */
    char after[VP_HASH_TEXT];      /* hash of the whole definition as read back; "" */
    int64_t since_ms;              /* when the original was kept */
    int64_t write[VP_KEPT_WRITES]; /* the last times it was written, newest first, 0 none */
    int64_t contested_ms;          /* not written again before; 0 */
    char *original;                /* owned */
    size_t length;
};

/* 1 found, 0 not, -1 damaged or unreadable (VP_HOST, naming the file). */
int vp_kept_load(const char *state_dir, const char *uuid, enum vp_facet facet, struct vp_kept *kept,
                 struct vp_error *err);
/* Writes, syncs, renames; makes the directories (0700). */
int vp_kept_save(const char *state_dir, const struct vp_kept *kept, struct vp_error *err);
int vp_kept_remove(const char *state_dir, const char *uuid, enum vp_facet facet,
                   struct vp_error *err);
void vp_kept_clear(struct vp_kept *kept);
/* Every guest of which an original is kept, by uuid; the name is what it was
 * called then, "" where the file cannot be read. The caller frees *guest. */
struct vp_kept_guest {
    char uuid[VP_UUID_TEXT];
    char name[256];
};
int vp_kept_list(const char *state_dir, struct vp_kept_guest **guest, size_t *count,
                 struct vp_error *err);
/* Notes that the facet was written at that time. */
void vp_kept_written(struct vp_kept *kept, int64_t now_ms);

/* What the facet of a domain says, as a hash; other parts do not matter. */
void vp_facet_print(const struct vp_domain *domain, enum vp_facet facet, char print[VP_HASH_TEXT]);
/* What a policy wants of definitions, as a hash. */
void vp_policy_print_of(const struct vp_policy *policy, char print[VP_HASH_TEXT]);

/* True if the facet, as `print` says it is now, is what virtpin wrote. */
bool vp_kept_is_ours(const struct vp_kept *kept, const char *print);

/* ---- the mark that a definition was reverted on purpose ---- */
int vp_reverted_save(const char *state_dir, const char *uuid, const char *definition_hash,
                     const char *policy_print, struct vp_error *err);
bool vp_reverted_holds(const char *state_dir, const char *uuid, const char *definition_hash,
                       const char *policy_print);
void vp_reverted_remove(const char *state_dir, const char *uuid);

/* One writer for each guest on this host: locks until the descriptor is
 * closed. -1 on failure. */
int vp_definition_lock(const char *state_dir, const char *uuid, struct vp_error *err);

#endif
