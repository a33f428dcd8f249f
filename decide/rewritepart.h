/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REWRITEPART_H
#define VP_REWRITEPART_H

#include <libxml/tree.h>
#include <stdbool.h>

/* What belongs to the pins facet, shared by writing and reverting. */

typedef bool vp_rewrite_test(const xmlNode *node);
vp_rewrite_test vp_rewrite_is_pin;         /* vcpupin, emulatorpin, iothreadpin */
vp_rewrite_test vp_rewrite_is_mark;        /* our <applied> in <metadata> */
vp_rewrite_test vp_rewrite_is_element;     /* any */
vp_rewrite_test vp_rewrite_is_auto_memory; /* numatune's <memory placement='auto'> */

/* Our mark in the <domain>, NULL where there is none. */
xmlNode *vp_rewrite_mark(const xmlNode *root);

/* Whether our mark says that <numatune> is ours; takes that out. */
bool vp_rewrite_binds_memory(const xmlNode *root);
void vp_rewrite_unbind_memory(xmlNode *root);

/* Removes the children of `parent` (may be NULL) for which `is` holds; true if
 * there were any. */
bool vp_rewrite_remove(xmlNode *parent, vp_rewrite_test *is);

/* The same for every child of <domain> that is called `part`; one that is left
 * empty goes too, but for the first where `keep`. */
bool vp_rewrite_remove_all(xmlNode *root, const char *part, vp_rewrite_test *is, bool keep);

#endif
