/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "decide/error.h"

/* Global options come first in the table given to getopt_long, the verb's own
 * after them: the index says which is which. */
#define MOST_OPTIONS 20

static int fill(struct option *table, int at, const struct vp_option *from)
{
    for (; from->name && at < MOST_OPTIONS; from++, at++)
        table[at] = (struct option){
            .name = from->name,
            .has_arg = from->argument ? required_argument : no_argument,
            .val = at,
        };
    table[at] = (struct option){0};
    return at;
}

static void list_options(const struct option *table, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (; table->name && used < size; table++)
        used += (size_t)snprintf(text + used, size - used, "%s--%s", used ? ", " : "", table->name);
}

static int bad_option(const struct vp_ctl *ctl, const struct option *table, char **argv, int which,
                      struct vp_error *err)
{
    const char *verb = ctl->verb ? ctl->verb->name : "";
    const char *gap = ctl->verb ? " " : "";
    char valid[512];

    if (which == ':')
        return vp_fail(err, VP_INPUT, "%s asks for a value (virtpin%s%s --help)", argv[optind - 1],
                       gap, verb);
    list_options(table, valid, sizeof(valid));
    return vp_fail(err, VP_INPUT, "%s%sunknown option \"%s\"; valid here: %s", verb,
                   ctl->verb ? ": " : "", argv[optind - 1], valid);
}

static void take_global(struct vp_ctl *ctl, const char *name, const char *value)
{
    if (strcmp(name, "json") == 0)
        ctl->json = true;
    else if (strcmp(name, "help") == 0)
        ctl->help = true;
    else if (strcmp(name, "version") == 0)
        ctl->version = true;
    else if (strcmp(name, "config") == 0)
        ctl->where.config = value;
    else if (strcmp(name, "policy-dir") == 0)
        ctl->where.policy_dir = value;
    else if (strcmp(name, "topology") == 0)
        ctl->topology = value;
    else
        ctl->capabilities = value;
}

/* Options up to the first other word ("+") or all of them (""). */
static int take_options(struct vp_ctl *ctl, int argc, char **argv, const char *stop,
                        struct vp_error *err)
{
    struct option table[MOST_OPTIONS + 1];
    char leading[8];
    int global, got;

    global = fill(table, 0, vp_options);
    if (ctl->verb)
        fill(table, global, ctl->verb->option);
    snprintf(leading, sizeof(leading), "%s:", stop);
    opterr = 0;
    while ((got = getopt_long(argc, argv, leading, table, NULL)) != -1) {
        if (got == '?' || got == ':')
            return bad_option(ctl, table, argv, got, err);
        if (optarg && optarg[0] == '\0')
            return vp_fail(err, VP_INPUT, "--%s: found an empty value", table[got].name);
        if (got < global)
            take_global(ctl, table[got].name, optarg);
        else
            ctl->value[got - global] = optarg ? optarg : "";
    }
    return 0;
}

static int unknown_verb(const char *first, const char *second, struct vp_error *err)
{
    char valid[512];
    size_t used = 0, length = strlen(first);
    bool half = false;

    for (size_t i = 0; i < vp_verb_count; i++)
        half |= strncmp(vp_verbs[i].name, first, length) == 0 && vp_verbs[i].name[length] == ' ';
    for (size_t i = 0; i < vp_verb_count && used < sizeof(valid); i++) {
        const char *name = vp_verbs[i].name;

        if (!half || (strncmp(name, first, length) == 0 && name[length] == ' '))
            used += (size_t)snprintf(valid + used, sizeof(valid) - used, "%s%s", used ? ", " : "",
                                     name);
    }
    if (half && !second)
        return vp_fail(err, VP_INPUT, "\"%s\" asks for a second word; valid: %s", first, valid);
    return vp_fail(err, VP_INPUT, "unknown verb \"%s%s%s\"; valid: %s", first, half ? " " : "",
                   half ? second : "", valid);
}

/* How many words the verb's name takes, 0 if there is no such verb. */
static int find_verb(struct vp_ctl *ctl, const char *first, const char *second)
{
    char two[64];

    snprintf(two, sizeof(two), "%s %s", first, second ? second : "");
    for (size_t i = 0; i < vp_verb_count; i++) {
        bool one = strcmp(vp_verbs[i].name, first) == 0;

        if (one || strcmp(vp_verbs[i].name, two) == 0) {
            ctl->verb = &vp_verbs[i];
            return one ? 1 : 2;
        }
    }
    return 0;
}

static int check_words(const struct vp_ctl *ctl, struct vp_error *err)
{
    const struct vp_verb *verb = ctl->verb;

    if (ctl->argc < verb->least)
        return vp_fail(err, VP_INPUT, "%s: %s is missing (virtpin %s --help)", verb->name,
                       verb->words, verb->name);
    if (ctl->argc > verb->most)
        return vp_fail(err, VP_INPUT, "%s: found \"%s\", one word too many; it takes %s",
                       verb->name, ctl->argv[verb->most], verb->words[0] ? verb->words : "none");
    return 0;
}

int vp_ctl_parse(struct vp_ctl *ctl, int argc, char **argv, const char *config,
                 struct vp_error *err)
{
    int words;

    ctl->where.config = config;
    optind = 0;
    if (take_options(ctl, argc, argv, "+", err) != 0)
        return -1;
    if (optind >= argc) {
        if (ctl->help || ctl->version)
            return 0;
        return vp_fail(err, VP_INPUT, "a verb is missing (virtpin --help lists them)");
    }
    words = find_verb(ctl, argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL);
    if (words == 0)
        return unknown_verb(argv[optind], optind + 1 < argc ? argv[optind + 1] : NULL, err);
    argc -= optind + words - 1;
    argv += optind + words - 1;
    optind = 0;
    if (take_options(ctl, argc, argv, "", err) != 0)
        return -1;
    ctl->argc = argc - optind;
    ctl->argv = argv + optind;
    ctl->where.lenient_owner = ctl->where.policy_dir != NULL;
    return ctl->help || ctl->version ? 0 : check_words(ctl, err);
}

const char *vp_ctl_option(const struct vp_ctl *ctl, const char *name)
{
    const struct vp_option *option = ctl->verb->option;

    for (int i = 0; i < VP_VERB_OPTIONS && option[i].name; i++)
        if (strcmp(option[i].name, name) == 0)
            return ctl->value[i];
    return NULL;
}
