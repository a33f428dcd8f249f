/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REWRITETREE_H
#define VP_REWRITETREE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

struct vp_error;

/* Elements put into and taken out of a tree with the white space that belongs
 * to them: an insertion and the removal of what was inserted leave the tree
 * as it was. All allocation failures are VP_HOST errors; the tree is then of
 * no use but to be freed. */

/* Puts `element` (unlinked) into `parent` behind `after` (a child, NULL: as
 * the first), indented as its neighbours are. The tree owns it from then on. */
int vp_tree_insert(xmlNode *parent, xmlNode *after, xmlNode *element, struct vp_error *err);

/* The last child of `parent` whose name is one of `names` (NULL-terminated);
 * NULL if there is none. */
xmlNode *vp_tree_last_of(const xmlNode *parent, const char *const *names);

/* Unlinks and frees an element and the white space before it; a parent left
 * without elements and comments becomes empty. */
void vp_tree_remove(xmlNode *element);

/* Removes `node` if it has no attributes and nothing but white space is left in
 * it. NULL is allowed. */
void vp_tree_remove_empty(xmlNode *node);

/* A new element without a namespace; NULL without memory. */
xmlNode *vp_tree_element(xmlDoc *doc, const char *name);

/* Makes `text` all that stands in `node`. */
int vp_tree_text(xmlNode *node, const char *text, struct vp_error *err);

/* Makes attribute `name` be `value` (NULL: absent). *changed is set to true
 * if it was not so before, and left alone otherwise. */
int vp_tree_set(xmlNode *node, const char *name, const char *value, bool *changed,
                struct vp_error *err);

/* The <domain>'s child of that name, made at its place in libvirt's order
 * where it is missing. NULL without memory. */
xmlNode *vp_tree_part(xmlNode *root, const char *name, struct vp_error *err);

/* Are both the same to the last attribute and blank? NULL equals NULL only. */
bool vp_tree_equal(xmlNode *a, xmlNode *b);

#endif
