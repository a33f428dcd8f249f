/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define INDENT 32

static void print_line(const char *left, const char *help)
{
    int used = printf("  %s", left);

    if (used >= INDENT) {
        printf("\n");
        used = 0;
    }
    printf("%*s%s\n", INDENT - used, "", help);
}

static void print_options(const struct vp_option *option)
{
    char left[128];

    for (; option->name; option++) {
        snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        print_line(left, option->help);
    }
}

void vp_usage(void)
{
    char left[128];

    printf("usage: virtpin [OPTIONS] VERB [WORDS] [OPTIONS]\n\nverbs:\n");
    for (size_t i = 0; i < vp_verb_count; i++) {
        const struct vp_verb *verb = &vp_verbs[i];

        snprintf(left, sizeof(left), "%s%s%s", verb->name, verb->words[0] ? " " : "", verb->words);
        print_line(left, verb->help);
    }
    printf("\noptions of every verb:\n");
    print_options(vp_options);
    printf("\nexit: 0 good, 1 a finding, 2 wrong use or unreadable input, 3 this host failed\n"
           "`virtpin VERB --help` says more about one verb.\n");
}

void vp_usage_verb(const struct vp_verb *verb)
{
    bool own = verb->option[0].name;

    printf("usage: virtpin %s%s%s%s\n\n%s\n", verb->name, verb->words[0] ? " " : "", verb->words,
           " [OPTIONS]", verb->help);
    if (verb->more)
        printf("\n%s\n", verb->more);
    if (own) {
        printf("\noptions:\n");
        print_options(verb->option);
    }
    printf("\noptions of every verb:\n");
    print_options(vp_options);
    if (verb->exit1)
        printf("\nexit 1 when %s\n", verb->exit1);
}
