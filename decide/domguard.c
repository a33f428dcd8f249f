/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "decide/domxml.h"
#include "decide/error.h"

/* libxml2 (2.9 to 2.12) compares each attribute of an element with all before
 * it, and looks for a prefix through all namespaces in scope. 16 MiB made for
 * it would take hours, and 16 MiB of "<a/>" half a gigabyte. A quick count
 * tells such documents apart: 64 KiB cannot hold enough to hurt, and domains
 * are smaller. */
#define SMALL ((size_t)64 << 10)
#define WORK_MAX UINT64_C(100000000) /* well below a second */
#define PIECES_MAX UINT64_C(500000)  /* of about 200 bytes each in memory */

struct count {
    uint64_t tags, attributes, namespaces; /* tags: comments and the like too */
    uint64_t squares;                      /* sum of attributes squared, each element for itself */
};

/* The end of what `opener` began at `at`, NULL if it has none. */
static const char *skip(const char *at, const char *end, const char *closer)
{
    size_t size = strlen(closer);
    const char *found = memmem(at, (size_t)(end - at), closer, size);

    return found ? found + size : NULL;
}

/* Counts one start tag's attributes; returns what follows, NULL at the end. */
static const char *count_tag(const char *at, const char *end, struct count *count)
{
    uint64_t attributes = 0;

    while (at < end && *at != '>') {
        const char *quote;

        if (*at == '"' || *at == '\'') {
            quote = memchr(at + 1, *at, (size_t)(end - at - 1));
            if (!quote)
                return NULL;
            attributes++;
            at = quote;
        } else if (*at == 'x' && end - at > 5 && memcmp(at, "xmlns", 5) == 0) {
            count->namespaces++;
        }
        at++;
    }
    count->attributes += attributes;
    count->squares += attributes * attributes;
    return at < end ? at + 1 : NULL;
}

static const char *count_next(const char *at, const char *end, struct count *count)
{
    size_t left;

    at = memchr(at, '<', (size_t)(end - at));
    if (!at)
        return NULL;
    left = (size_t)(end - at);
    count->tags++;
    if (left >= 4 && memcmp(at, "<!--", 4) == 0)
        return skip(at + 4, end, "-->");
    if (left >= 9 && memcmp(at, "<![CDATA[", 9) == 0)
        return skip(at + 9, end, "]]>");
    if (left >= 2 && at[1] == '?')
        return skip(at + 2, end, "?>");
    if (left >= 2 && at[1] == '!')
        return NULL; /* a DOCTYPE: refused by the parser, which reads no further */
    return count_tag(at + 1, end, count);
}

int vp_xml_guard(const char *bytes, size_t length, struct vp_error *err)
{
    const char *at = bytes, *end = bytes + length;
    struct count count = {0};
    uint64_t lookups;

    if (length <= SMALL)
        return 0;
    while (at)
        at = count_next(at, end, &count);
    /* 256 is the deepest nesting that libxml2 accepts. */
    lookups = (count.tags + count.attributes) * (count.namespaces + 256);
    if (count.namespaces == 0)
        lookups = 0;
    if (count.tags + count.attributes <= PIECES_MAX && count.squares <= WORK_MAX &&
        lookups <= WORK_MAX)
        return 0;
    return vp_fail(err, VP_INPUT,
                   "found %llu attributes and %llu namespaces in %llu tags: more than any "
                   "domain has",
                   (unsigned long long)count.attributes, (unsigned long long)count.namespaces,
                   (unsigned long long)count.tags);
}
