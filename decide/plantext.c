/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan as the ledger keeps it: lines that an operator can read with sqlite3. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "decide/tuning.h"

#define FIRST_LINE "virtpin plan 1"

static const char *const by_word[] = {"none", "match", "metadata"};
static const char *const want_word[] = {"nothing", "pool", "set", "both"};

static void print_set(FILE *out, const char *word, const struct vp_cpuset *set)
{
    char text[VP_CPUSET_TEXT];

    if (vp_cpuset_empty(set))
        return;
    vp_cpuset_print(set, text, sizeof(text));
    fprintf(out, "%s %s\n", word, text);
}

static void print_want(FILE *out, const struct vp_want *want)
{
    char text[VP_CPUSET_TEXT];

    vp_cpuset_print(&want->cpus, text, sizeof(text));
    fprintf(out, "want %s %u %s%s%s\n", vp_role_word(want->role), want->index,
            want_word[want->kind], text[0] != '\0' ? " " : "", text);
}

/* Lines as vp_tuning_say has them: "quota 50000". */
static void print_tuning(FILE *out, const struct vp_tuning *tuning)
{
    for (int i = 0; i < VP_TUNE_KEYS; i++) {
        char text[64];

        if (!vp_tuning_asks(tuning, (enum vp_tuning_key)i))
            continue;
        vp_tuning_say(tuning, (enum vp_tuning_key)i, text, sizeof(text));
        fprintf(out, "%s\n", text);
    }
}

char *vp_plan_print(const struct vp_plan *plan)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    fprintf(out, FIRST_LINE "\npolicy %s\nhash %s\nmode %s\nplacement %s\nby %s\n",
            plan->policy ? plan->policy : "-", plan->policy_hash[0] ? plan->policy_hash : "-",
            vp_mode_word(plan->mode), vp_placement_word(plan->placement), by_word[plan->chosen_by]);
    for (size_t i = 0; i < plan->want_count; i++)
        print_want(out, &plan->want[i]);
    for (size_t i = 0; i < plan->memory_count; i++)
        fprintf(out, "memory %d %" PRIu64 "\n", plan->memory[i].node, plan->memory[i].kib);
    if (plan->page_kib > 0)
        fprintf(out, "page %" PRIu64 "\n", plan->page_kib);
    if (plan->numatune != VP_MEMORY_KEEP)
        fprintf(out, "numatune %s\n", vp_memory_word(plan->numatune));
    if (plan->pool)
        fprintf(out, "pool %s\n", plan->pool);
    if (plan->reserve)
        fputs("reserve always\n", out);
    for (size_t i = 0; i < plan->home_count; i++)
        fprintf(out, "home %s %u %d\n", vp_role_word(plan->home[i].role), plan->home[i].index,
                plan->home[i].cpu);
    print_set(out, "vcpu", &plan->vcpu_cpus);
    print_set(out, "emulator", &plan->emulator_cpus);
    print_set(out, "iothread", &plan->iothread_cpus);
    print_set(out, "vhost", &plan->vhost_cpus);
    print_set(out, "idle", &plan->idle_cpus);
    print_set(out, "fixed", &plan->fixed_cpus);
    print_set(out, "nodes", &plan->nodes);
    print_tuning(out, &plan->tuning);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int bad(struct vp_error *err, const char *line)
{
    return vp_fail(err, VP_INPUT, "the ledger's plan has the line \"%.100s\"", line);
}

static int parse_role(const char *word, enum vp_role *role)
{
    for (int i = VP_ROLE_VCPU; i <= VP_ROLE_HELPER; i++)
        if (strcmp(word, vp_role_word((enum vp_role)i)) == 0) {
            *role = (enum vp_role)i;
            return 0;
        }
    return -1;
}

/* The word at *rest, parted by one blank; *rest is what follows, NULL at the end. */
static char *next_word(char **rest)
{
    char *word = *rest;
    char *blank = word ? strchr(word, ' ') : NULL;

    if (blank)
        *blank++ = '\0';
    *rest = blank;
    return word;
}

static int parse_want(struct vp_plan *plan, char *rest, const char *line, struct vp_error *err)
{
    struct vp_want want = {0};
    struct vp_want *grown;
    const char *role = next_word(&rest), *index = next_word(&rest), *kind = next_word(&rest);
    char *end;
    unsigned long number;

    if (!kind || index[0] < '0' || index[0] > '9' || parse_role(role, &want.role) < 0)
        return bad(err, line);
    number = strtoul(index, &end, 10);
    if (*end != '\0' || number > INT_MAX)
        return bad(err, line);
    want.index = (unsigned)number;
    for (want.kind = VP_WANT_NOTHING; strcmp(kind, want_word[want.kind]) != 0; want.kind++)
        if (want.kind == VP_WANT_BOTH)
            return bad(err, line);
    if (rest && vp_cpuset_parse(&want.cpus, rest, err) < 0)
        return -1;
    /* grown by the power of two: plans have up to thousands of vCPUs */
    if ((plan->want_count & (plan->want_count - 1)) == 0) {
        size_t room = plan->want_count == 0 ? 1 : plan->want_count * 2;

        grown = realloc(plan->want, room * sizeof(*grown));
        if (!grown)
            return vp_fail(err, VP_HOST, "out of memory");
        plan->want = grown;
    }
    plan->want[plan->want_count++] = want;
    return 0;
}

static int parse_memory(struct vp_plan *plan, const char *rest, const char *line,
                        struct vp_error *err)
{
    struct vp_node_memory *grown;
    struct vp_node_memory one;
    char end;

    if (sscanf(rest, "%d %" SCNu64 "%c", &one.node, &one.kib, &end) != 2 || one.node < 0)
        return bad(err, line);
    grown = reallocarray(plan->memory, plan->memory_count + 1, sizeof(*grown));
    if (!grown)
        return vp_fail(err, VP_HOST, "out of memory");
    plan->memory = grown;
    grown[plan->memory_count++] = one;
    return 0;
}

static int parse_home(struct vp_plan *plan, char *rest, const char *line, struct vp_error *err)
{
    struct vp_home one;
    struct vp_home *grown;
    const char *role = next_word(&rest);
    char end;

    if (!rest || parse_role(role, &one.role) < 0 ||
        sscanf(rest, "%u %d%c", &one.index, &one.cpu, &end) != 2 || one.cpu < 0 ||
        one.cpu >= VP_CPU_MAX)
        return bad(err, line);
    grown = reallocarray(plan->home, plan->home_count + 1, sizeof(*grown));
    if (!grown)
        return vp_fail(err, VP_HOST, "out of memory");
    plan->home = grown;
    grown[plan->home_count++] = one;
    return 0;
}

/* 1: the line is none of these. */
static int parse_memory_words(struct vp_plan *plan, const char *word, const char *rest,
                              const char *line, struct vp_error *err)
{
    if (strcmp(word, "memory") == 0)
        return parse_memory(plan, rest, line, err);
    if (strcmp(word, "page") == 0)
        return sscanf(rest, "%" SCNu64, &plan->page_kib) == 1 ? 0 : bad(err, line);
    if (strcmp(word, "numatune") == 0) {
        for (int i = VP_MEMORY_KEEP; i <= VP_MEMORY_PREFERRED; i++)
            if (strcmp(rest, vp_memory_word((enum vp_memory)i)) == 0) {
                plan->numatune = (enum vp_memory)i;
                return 0;
            }
        return bad(err, line);
    }
    return 1;
}

static int parse_words(struct vp_plan *plan, const char *word, const char *rest, const char *line,
                       struct vp_error *err)
{
    if (strcmp(word, "policy") == 0) {
        free(plan->policy);
        plan->policy = strdup(rest);
        return plan->policy ? 0 : vp_fail(err, VP_HOST, "out of memory");
    }
    if (strcmp(word, "pool") == 0) {
        free(plan->pool);
        plan->pool = strdup(rest);
        return plan->pool ? 0 : vp_fail(err, VP_HOST, "out of memory");
    }
    if (strcmp(word, "reserve") == 0) {
        plan->reserve = strcmp(rest, "always") == 0;
        return 0;
    }
    if (strcmp(word, "hash") == 0) {
        if (strcmp(rest, "-") != 0)
            snprintf(plan->policy_hash, sizeof(plan->policy_hash), "%s", rest);
        return 0;
    }
    if (strcmp(word, "mode") == 0) {
        for (int i = VP_MODE_AUDIT; i <= VP_MODE_OFF; i++)
            if (strcmp(rest, vp_mode_word((enum vp_mode)i)) == 0) {
                plan->mode = (enum vp_mode)i;
                return 0;
            }
        return bad(err, line);
    }
    if (strcmp(word, "placement") == 0) {
        for (int i = VP_PLACE_NONE; i <= VP_PLACE_FIXED; i++)
            if (strcmp(rest, vp_placement_word((enum vp_placement)i)) == 0) {
                plan->placement = (enum vp_placement)i;
                return 0;
            }
        return bad(err, line);
    }
    if (strcmp(word, "by") == 0) {
        for (int i = VP_CHOSEN_NONE; i <= VP_CHOSEN_METADATA; i++)
            if (strcmp(rest, by_word[i]) == 0) {
                plan->chosen_by = (enum vp_chosen_by)i;
                return 0;
            }
        return bad(err, line);
    }
    return 1; /* not one of these */
}

static struct vp_cpuset *set_of(struct vp_plan *plan, const char *word)
{
    if (strcmp(word, "vcpu") == 0)
        return &plan->vcpu_cpus;
    if (strcmp(word, "emulator") == 0)
        return &plan->emulator_cpus;
    if (strcmp(word, "iothread") == 0)
        return &plan->iothread_cpus;
    if (strcmp(word, "vhost") == 0)
        return &plan->vhost_cpus;
    if (strcmp(word, "idle") == 0)
        return &plan->idle_cpus;
    if (strcmp(word, "fixed") == 0)
        return &plan->fixed_cpus;
    if (strcmp(word, "nodes") == 0)
        return &plan->nodes;
    return NULL;
}

static int parse_line(struct vp_plan *plan, char *line, struct vp_error *err)
{
    char *rest = strchr(line, ' ');
    struct vp_cpuset *set;
    int result;

    if (!rest)
        return bad(err, line);
    *rest++ = '\0';
    if (strcmp(line, "want") == 0)
        return parse_want(plan, rest, line, err);
    if (strcmp(line, "home") == 0)
        return parse_home(plan, rest, line, err);
    result = parse_words(plan, line, rest, line, err);
    if (result > 0)
        result = parse_memory_words(plan, line, rest, line, err);
    if (result <= 0)
        return result;
    result = vp_tuning_parse(&plan->tuning, line, rest);
    if (result <= 0)
        return result == 0 ? 0 : bad(err, line);
    set = set_of(plan, line);
    return set ? vp_cpuset_parse(set, rest, err) : 0;
}

int vp_plan_parse(const char *text, struct vp_plan **plan, struct vp_error *err)
{
    VP_AUTO(free) char *copy = strdup(text);
    VP_AUTO(vp_plan) struct vp_plan *draft = calloc(1, sizeof(*draft));
    char *save = NULL;
    char *line;

    if (!copy || !draft)
        return vp_fail(err, VP_HOST, "out of memory");
    line = strtok_r(copy, "\n", &save);
    if (!line || strcmp(line, FIRST_LINE) != 0)
        return bad(err, line ? line : "");
    while ((line = strtok_r(NULL, "\n", &save)))
        if (parse_line(draft, line, err) < 0)
            return -1;
    if (!draft->policy)
        return vp_fail(err, VP_INPUT, "the ledger's plan names no policy");
    *plan = VP_STEAL(draft);
    return 0;
}
