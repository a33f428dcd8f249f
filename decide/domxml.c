/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/domxml.h"

#include <ctype.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"

bool vp_xml_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && !node->ns &&
           strcmp((const char *)node->name, name) == 0;
}

bool vp_xml_is_ns(const xmlNode *node, const char *uri, const char *name)
{
    return node->type == XML_ELEMENT_NODE && node->ns && node->ns->href &&
           strcmp((const char *)node->ns->href, uri) == 0 &&
           strcmp((const char *)node->name, name) == 0;
}

xmlNode *vp_xml_child(const xmlNode *parent, const char *name)
{
    if (!parent)
        return NULL;
    for (xmlNode *child = parent->children; child; child = child->next)
        if (vp_xml_is(child, name))
            return child;
    return NULL;
}

xmlNode *vp_xml_again(const xmlNode *node)
{
    for (xmlNode *next = node->next; next; next = next->next)
        if (vp_xml_is(next, (const char *)node->name))
            return next;
    return NULL;
}

/* Without a DTD there are no entity references in a value, so it is one text
 * node or none. */
static const char *attr_value(const xmlAttr *attr)
{
    if (!attr->children || !attr->children->content)
        return "";
    return (const char *)attr->children->content;
}

const char *vp_xml_attr(const xmlNode *node, const char *name)
{
    if (!node)
        return NULL;
    for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
        if (!attr->ns && strcmp((const char *)attr->name, name) == 0)
            return attr_value(attr);
    return NULL;
}

int vp_xml_attr_copy(const xmlNode *node, const char *name, char **copy, struct vp_error *err)
{
    const char *value = vp_xml_attr(node, name);

    *copy = NULL;
    if (value && !(*copy = strdup(value)))
        return vp_xml_no_memory(err);
    return 0;
}

char *vp_xml_text(const xmlNode *node)
{
    const xmlNode *only = node->children;
    xmlChar *content;
    char *copy;

    if (!only)
        return strdup("");
    if (only->type == XML_TEXT_NODE && !only->next)
        return strdup((const char *)only->content);
    content = xmlNodeGetContent(node);
    if (!content)
        return NULL;
    copy = strdup((const char *)content);
    xmlFree(content);
    return copy;
}

int vp_xml_no_memory(struct vp_error *err)
{
    return vp_fail(err, VP_HOST, "out of memory while handling domain XML");
}

int vp_xml_clean(struct vp_error *err)
{
    char *at = err ? err->text : NULL;

    while (at && *at != '\0') {
        int size = (int)strnlen(at, 4);

        if (xmlGetUTF8Char((const unsigned char *)at, &size) < 0) {
            *at = '?';
            size = 1;
        }
        if ((unsigned char)*at < ' ' || *at == '\x7f')
            *at = ' ';
        at += size;
    }
    return -1;
}

/* ---- parsing ---- */

/* What the parser found first; libxml2's own reporting ends here, so that
 * nothing of it ever reaches stderr. */
struct complaint {
    int line;
    bool doctype;
    char text[256];
};

static void on_error(void *context, xmlErrorPtr error)
{
    xmlParserCtxtPtr parser = context;
    struct complaint *complaint = parser->_private;

    if (complaint->text[0] != '\0' || error->level < XML_ERR_ERROR || !error->message)
        return;
    complaint->line = error->line;
    strncpy(complaint->text, error->message, sizeof(complaint->text) - 1);
    complaint->text[strcspn(complaint->text, "\n")] = '\0';
}

static void on_doctype(void *context, const xmlChar *name, const xmlChar *external,
                       const xmlChar *system)
{
    xmlParserCtxtPtr parser = context;
    struct complaint *complaint = parser->_private;

    (void)name;
    (void)external;
    (void)system;
    complaint->doctype = true;
    complaint->line = parser->input ? parser->input->line : 1;
    /* Before any entity of the DTD is read: an entity bomb costs nothing. */
    xmlStopParser(parser);
}

/* encoding= of the XML declaration, if there is one, must be UTF-8 or its
 * subset: iconv's hundreds of encodings are no business of a hook. */
static int check_encoding(const char *bytes, size_t length, struct vp_error *err)
{
    static const char *const legal[] = {"UTF-8", "UTF8", "US-ASCII", "ASCII"};
    const char *end, *at;
    size_t size;

    if (length < 5 || memcmp(bytes, "<?xml", 5) != 0)
        return 0;
    end = memmem(bytes, length, "?>", 2);
    at = end ? memmem(bytes, (size_t)(end - bytes), "encoding", 8) : NULL;
    if (!at)
        return 0;
    for (at += 8; at < end && (isspace((unsigned char)*at) || *at == '='); at++)
        ;
    if (at < end)
        at++;
    for (size = 0; at + size < end && at[size] != '"' && at[size] != '\''; size++)
        ;
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
        if (strlen(legal[i]) == size && strncasecmp(legal[i], at, size) == 0)
            return 0;
    return vp_fail(err, VP_INPUT, "line 1: encoding: found \"%.*s\", legal is UTF-8",
                   (int)(size > 40 ? 40 : size), at);
}

static int check_bytes(const char *bytes, size_t length, struct vp_error *err)
{
    size_t bom = length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *nul;

    if (length > VP_XML_MAX)
        return vp_fail(err, VP_INPUT, "found %zu bytes of XML, legal are at most %u", length,
                       VP_XML_MAX);
    if (length == bom)
        return vp_fail(err, VP_INPUT, "found nothing where domain XML should be");
    nul = memchr(bytes, '\0', length);
    if (nul)
        return vp_fail(err, VP_INPUT, "found a NUL at byte %zu, legal is XML text in UTF-8",
                       (size_t)(nul - bytes));
    /* Also keeps libxml2 from guessing UTF-16 or EBCDIC by the first bytes. */
    if (bytes[bom] != '<' && !isspace((unsigned char)bytes[bom]))
        return vp_fail(err, VP_INPUT, "line 1: found \"%.*s\", legal is XML text in UTF-8",
                       (int)(length - bom > 20 ? 20 : length - bom), bytes + bom);
    if (check_encoding(bytes + bom, length - bom, err) < 0)
        return -1;
    return vp_xml_guard(bytes, length, err);
}

xmlDoc *vp_xml_parse(const char *bytes, size_t length, struct vp_error *err)
{
    /* No XML_PARSE_HUGE: libxml2's limits on depth (256), names and text hold. */
    const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                        XML_PARSE_COMPACT | XML_PARSE_BIG_LINES;
    struct complaint complaint = {0};
    xmlParserCtxtPtr parser;
    xmlDoc *doc;

    if (check_bytes(bytes, length, err) < 0) {
        vp_xml_clean(err);
        return NULL;
    }
    parser = xmlNewParserCtxt();
    if (!parser) {
        vp_xml_no_memory(err);
        return NULL;
    }
    parser->_private = &complaint;
    parser->sax->serror = on_error;
    parser->sax->internalSubset = on_doctype;
    doc = xmlCtxtReadMemory(parser, bytes, (int)length, NULL, NULL, options);
    xmlFreeParserCtxt(parser);
    if (complaint.doctype) {
        vp_fail(err, VP_INPUT, "line %d: found a DOCTYPE, domain XML has none", complaint.line);
    } else if (!doc) {
        vp_fail(err, VP_INPUT, "line %d: not well-formed XML: %s", complaint.line,
                complaint.text[0] != '\0' ? complaint.text : "unreadable");
    } else {
        return doc;
    }
    xmlFreeDoc(doc);
    vp_xml_clean(err);
    return NULL;
}

/* ---- values ---- */

/* `text` without the blanks around it: *length is what is left. */
static const char *trim(const char *text, size_t *length)
{
    static const char blanks[] = " \t\r\n";

    text += strspn(text, blanks);
    *length = strlen(text);
    while (*length > 0 && strchr(blanks, text[*length - 1]))
        --*length;
    return text;
}

static bool read_digits(const char *text, size_t length, uint64_t *value)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        if (__builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(text[i] - '0'), &sum))
            return false;
    }
    *value = sum;
    return length > 0;
}

int vp_xml_number(const xmlNode *node, const char *what, const char *text, uint64_t low,
                  uint64_t high, uint64_t *value, struct vp_error *err)
{
    uint64_t number = 0;
    size_t length;
    const char *digits = trim(text, &length);

    if (!read_digits(digits, length, &number) || number < low || number > high)
        return vp_fail(err, VP_INPUT, "line %ld: %s: found \"%.40s\", legal %llu to %llu",
                       xmlGetLineNo(node), what, text, (unsigned long long)low,
                       (unsigned long long)high);
    *value = number;
    return 0;
}

int vp_xml_attr_number(const xmlNode *node, const char *name, uint64_t low, uint64_t high,
                       uint64_t *value, struct vp_error *err)
{
    const char *text = vp_xml_attr(node, name);
    char what[80];

    if (!text)
        return 0;
    snprintf(what, sizeof(what), "<%.30s %.30s=>", (const char *)node->name, name);
    return vp_xml_number(node, what, text, low, high, value, err);
}

/* libvirt skips blanks beside commas and dashes (virBitmapParse), never
 * between digits. */
static char *without_blanks(const char *text)
{
    char *copy = strdup(text);
    size_t used = 0;

    for (size_t i = 0; copy && text[i] != '\0'; i++) {
        size_t next = i + strspn(text + i, " \t\r\n");

        if (next > i && used > 0 && isdigit((unsigned char)copy[used - 1]) &&
            isdigit((unsigned char)text[next])) {
            copy[used++] = ' '; /* "1 3" stays wrong */
        }
        i = next;
        copy[used++] = text[i];
        if (text[i] == '\0')
            return copy;
    }
    if (copy)
        copy[used] = '\0';
    return copy;
}

int vp_xml_attr_cpuset(const xmlNode *node, const char *name, struct vp_cpuset *set,
                       struct vp_error *err)
{
    const char *text = vp_xml_attr(node, name);
    VP_AUTO(free) char *packed = NULL;

    if (!text)
        return vp_fail(err, VP_INPUT, "line %ld: <%.30s>: found no %s=, legal is a CPU list",
                       xmlGetLineNo(node), (const char *)node->name, name);
    if (strpbrk(text, " \t\r\n")) {
        packed = without_blanks(text);
        if (!packed)
            return vp_xml_no_memory(err);
        text = packed;
    }
    if (vp_cpuset_parse(set, text, err) < 0)
        return vp_wrap(err, "line %ld: <%.30s %s=>", xmlGetLineNo(node), (const char *)node->name,
                       name);
    return 0;
}

/* Bytes of a unit word, 0 if it is none: libvirt's virScaleInteger, "K" and
 * "KiB" are 1024, "KB" is 1000, case does not matter. */
static uint64_t unit_bytes(const char *unit)
{
    static const char prefixes[] = "kmgtpe";
    const char *prefix;
    uint64_t base, bytes = 1;

    if (strcasecmp(unit, "b") == 0 || strcasecmp(unit, "bytes") == 0)
        return 1;
    prefix = unit[0] != '\0' ? strchr(prefixes, tolower((unsigned char)unit[0])) : NULL;
    if (!prefix)
        return 0;
    if (unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0)
        base = 1024;
    else if (strcasecmp(unit + 1, "B") == 0)
        base = 1000;
    else
        return 0;
    for (const char *step = prefixes; step <= prefix; step++)
        bytes *= base; /* at most 1024 to the 6th: fits */
    return bytes;
}

int vp_xml_size_kib(const xmlNode *node, const char *what, const char *text, const char *unit,
                    uint64_t *kib, struct vp_error *err)
{
    uint64_t scale = unit_bytes(unit ? unit : "KiB");
    uint64_t number, bytes;
    size_t length;
    const char *digits = trim(text, &length);

    if (scale == 0)
        return vp_fail(err, VP_INPUT,
                       "line %ld: %s: found unit \"%.20s\", legal b, KB, KiB, MB, MiB, GB, GiB, "
                       "TB, TiB",
                       xmlGetLineNo(node), what, unit);
    if (!read_digits(digits, length, &number) || __builtin_mul_overflow(number, scale, &bytes))
        return vp_fail(err, VP_INPUT, "line %ld: %s: found \"%.40s\", legal is a size below 16 EiB",
                       xmlGetLineNo(node), what, text);
    *kib = bytes / 1024 + (bytes % 1024 != 0);
    return 0;
}
