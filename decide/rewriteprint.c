/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/xmlsave.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewrite.h"

static void xmlBufferFree_cleanup(xmlBufferPtr *buffer)
{
    xmlBufferFree(*buffer);
}

/* The input's byte order mark, XML declaration and the blanks behind it: they
 * are not in the tree, and are kept as they were. */
static size_t prolog(const char *input, size_t length)
{
    size_t size = length >= 3 && memcmp(input, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *end;

    if (length - size < 6 || memcmp(input + size, "<?xml", 5) != 0 ||
        !strchr(" \t\r\n", input[size + 5]))
        return size;
    end = memmem(input + size, length - size, "?>", 2);
    if (!end)
        return size;
    for (size = (size_t)(end - input) + 2; size < length && strchr(" \t\r\n", input[size]); size++)
        ;
    return size;
}

static int join(const char *head, size_t head_length, const char *body, size_t body_length,
                char **out, size_t *length, struct vp_error *err)
{
    char *text = malloc(head_length + body_length + 1);

    if (!text)
        return vp_xml_no_memory(err);
    if (head_length > 0)
        memcpy(text, head, head_length);
    if (body_length > 0)
        memcpy(text + head_length, body, body_length);
    text[head_length + body_length] = '\0';
    *out = text;
    *length = head_length + body_length;
    return 0;
}

int vp_xml_print(xmlDoc *doc, bool changed, const char *input, size_t input_length, char **out,
                 size_t *length, struct vp_error *err)
{
    VP_AUTO(xmlBufferFree) xmlBufferPtr buffer = NULL;
    xmlSaveCtxtPtr save;

    if (!changed)
        return join(input, input_length, "", 0, out, length, err);
    buffer = xmlBufferCreate();
    if (!buffer)
        return vp_xml_no_memory(err);
    /* UTF-8 said here keeps letters from becoming character references. */
    save = xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL | XML_SAVE_AS_XML);
    if (!save)
        return vp_xml_no_memory(err);
    if (xmlSaveDoc(save, doc) < 0) {
        xmlSaveClose(save);
        return vp_xml_no_memory(err);
    }
    if (xmlSaveClose(save) < 0)
        return vp_xml_no_memory(err);
    return join(input, prolog(input, input_length), (const char *)xmlBufferContent(buffer),
                (size_t)xmlBufferLength(buffer), out, length, err);
}
