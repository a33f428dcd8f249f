/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DOMXML_H
#define VP_DOMXML_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vp_error;

/* Walking libvirt's XML without XPath, for the readers and rewriters in
 * decide/ only. Elements are those without a namespace unless a URI is named,
 * as in libvirt's own XPath expressions. */

#define VP_NS_GUEST "urn:virtpin:guest:1"
#define VP_NS_APPLIED "urn:virtpin:applied:1"
#define VP_NS_LIBOSINFO "http://libosinfo.org/xmlns/libvirt/domain/1.0"

/* Is `node` the element `name` without a namespace? */
bool vp_xml_is(const xmlNode *node, const char *name);
/* The same, in the namespace `uri`. */
bool vp_xml_is_ns(const xmlNode *node, const char *uri, const char *name);

/* The first child element of that name, NULL if there is none or `parent` is NULL. */
xmlNode *vp_xml_child(const xmlNode *parent, const char *name);
/* The next sibling element of the same name and namespace. */
xmlNode *vp_xml_again(const xmlNode *node);

/* The value of an attribute without a namespace: points into the tree; NULL
 * where the element has no such attribute (or is NULL itself). */
const char *vp_xml_attr(const xmlNode *node, const char *name);
/* A copy of it in *copy (NULL where there is none); the caller frees. */
int vp_xml_attr_copy(const xmlNode *node, const char *name, char **copy, struct vp_error *err);

/* The element's whole text; the caller frees; NULL without memory. */
char *vp_xml_text(const xmlNode *node);

/* Makes sure that the document is not one of those on which libxml2 itself
 * needs time that grows with the square of the length: very many attributes
 * in one element, or very many namespaces in a long document. VP_INPUT. */
int vp_xml_guard(const char *bytes, size_t length, struct vp_error *err);

/* Reads a decimal number low..high from text, blanks around it allowed.
 * VP_INPUT: "line N: WHAT: found \"x\", legal 1 to 8192". */
int vp_xml_number(const xmlNode *node, const char *what, const char *text, uint64_t low,
                  uint64_t high, uint64_t *value, struct vp_error *err);
/* The same from an attribute; absent: *value stays as it is. */
int vp_xml_attr_number(const xmlNode *node, const char *name, uint64_t low, uint64_t high,
                       uint64_t *value, struct vp_error *err);
/* The same from an attribute, as a CPU list; blanks as libvirt allows them. */
struct vp_cpuset;
int vp_xml_attr_cpuset(const xmlNode *node, const char *name, struct vp_cpuset *set,
                       struct vp_error *err);
/* A size with libvirt's unit= word (KiB where `unit` is NULL), rounded up to
 * KiB as libvirt does. */
int vp_xml_size_kib(const xmlNode *node, const char *what, const char *text, const char *unit,
                    uint64_t *kib, struct vp_error *err);

/* Makes an error's text fit to print: what it quotes may hold control
 * characters, or a letter cut in half. Returns -1. */
int vp_xml_clean(struct vp_error *err);

/* "out of memory" as an error object: VP_HOST. */
int vp_xml_no_memory(struct vp_error *err);

#endif
