/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints a manual page with its tables of keys as this version has them.
 * usage: mkman PAGE */
#include <stdio.h>

#include "decide/policytext.h"
#include "packaging/mantable.h"

static int read_page(const char *path, struct vp_text *page)
{
    FILE *file = fopen(path, "r");
    char block[4096];
    size_t got;
    int bad;

    if (!file)
        return -1;
    while ((got = fread(block, 1, sizeof(block), file)) > 0)
        vp_text_put(page, block, got);
    bad = ferror(file) || page->failed;
    fclose(file);
    return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
    struct vp_text page = {0}, out = {0};
    int status = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: mkman PAGE\n");
        return 2;
    }
    if (read_page(argv[1], &page) < 0)
        perror(argv[1]);
    else if (!vp_man_fill(page.bytes ? page.bytes : "", &out))
        fprintf(stderr, "%s: no table of keys, or one that is not closed or names no section\n",
                argv[1]);
    else
        status = fputs(out.bytes, stdout) < 0 || fflush(stdout) != 0;
    vp_text_free(&out);
    vp_text_free(&page);
    return status;
}
