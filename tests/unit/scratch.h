/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TEST_SCRATCH_H
#define VP_TEST_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/* A template for mkdtemp(3) below $TMPDIR, which the runner removes also after
 * a test that failed. mkdtemp fails, and with it the test, if `path` is too
 * short for it. */
static inline void vp_scratch(char *path, size_t size, const char *name)
{
    const char *base = getenv("TMPDIR");

    if ((size_t)snprintf(path, size, "%s/%s.XXXXXX", base ? base : "/tmp", name) >= size)
        path[0] = '\0';
}

#endif
