/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"

/* The text of a topology:
 *   virtpin-topology 1
 *   memory known|unknown
 *   node OS KIB [COUNTxKIB ...]   one line for each node, in index order, and
 *                                 its pools of huge pages
 *   cpu CPU CORE L3 NODE PACKAGE KIND    ascending by CPU
 *   offline LIST
 *   isolated LIST
 *   end
 * The hook reads it on every call, hence no format that needs a library. */

#define VERSION_LINE "virtpin-topology 1\n"

static void print_node(FILE *out, const struct vp_node *node)
{
    fprintf(out, "node %d %" PRIu64, node->os, node->memory_kib);
    for (int i = 0; i < VP_HUGE_SIZES && node->huge[i].size_kib > 0; i++)
        fprintf(out, " %" PRIu64 "x%" PRIu64, node->huge[i].count, node->huge[i].size_kib);
    fprintf(out, "\n");
}

char *vp_topology_print(const struct vp_topology *topology)
{
    VP_AUTO(free) char *offline = vp_cpuset_format(&topology->offline);
    VP_AUTO(free) char *isolated = vp_cpuset_format(&topology->isolated);
    char *text = NULL;
    size_t length;
    FILE *out;
    bool bad;

    if (!offline || !isolated)
        return NULL;
    out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fprintf(out, VERSION_LINE "memory %s\n", topology->memory_known ? "known" : "unknown");
    for (size_t i = 0; i < topology->node_count; i++)
        print_node(out, &topology->node[i]);
    for (size_t i = 0; i < topology->count; i++) {
        const struct vp_pu *pu = &topology->pu[i];

        fprintf(out, "cpu %d %d %d %d %d %d\n", pu->cpu, pu->core, pu->l3, pu->node, pu->package,
                pu->kind);
    }
    fprintf(out, "offline %s\nisolated %s\nend\n", offline, isolated);
    bad = ferror(out) != 0;
    if (fclose(out) != 0 || bad) {
        free(text);
        return NULL;
    }
    return text;
}

/* Moves *at behind `word` if it stands there. */
static bool take(const char **at, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*at, word, length) != 0)
        return false;
    *at += length;
    return true;
}

/* A number as printf writes it: no sign, no leading zero, at most `max`. */
static bool take_number(const char **at, uint64_t max, uint64_t *value)
{
    const char *text = *at;
    uint64_t result = 0;

    if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (result > (max - digit) / 10)
            return false;
        result = result * 10 + digit;
    }
    *at = text;
    *value = result;
    return true;
}

static bool take_indices(const char **at, int *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value;

        if (!take(at, " ") || !take_number(at, VP_CPU_MAX - 1, &value))
            return false;
        *fields[i] = (int)value;
    }
    return true;
}

static size_t count_lines(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        count++;
    return count;
}

static bool take_node(const char **at, struct vp_node *node)
{
    int *const fields[] = {&node->os};

    if (!take(at, "node") || !take_indices(at, fields, 1) || !take(at, " ") ||
        !take_number(at, UINT64_MAX, &node->memory_kib))
        return false;
    for (int i = 0; i < VP_HUGE_SIZES && take(at, " "); i++)
        if (!take_number(at, UINT64_MAX, &node->huge[i].count) || !take(at, "x") ||
            !take_number(at, UINT64_MAX, &node->huge[i].size_kib) || node->huge[i].size_kib == 0)
            return false;
    return take(at, "\n");
}

static bool take_cpu(const char **at, struct vp_pu *pu)
{
    int *const fields[] = {&pu->cpu, &pu->core, &pu->l3, &pu->node, &pu->package, &pu->kind};

    return take(at, "cpu") && take_indices(at, fields, 6) && take(at, "\n");
}

/* A list as vp_cpuset_print writes it, to the end of the line. */
static bool take_list(const char **at, const char *word, struct vp_cpuset *set)
{
    char text[VP_CPUSET_TEXT];
    size_t length;

    if (!take(at, word))
        return false;
    length = strcspn(*at, "\n");
    if ((*at)[length] != '\n' || vp_cpuset_parse_kernel(set, *at, NULL) < 0)
        return false;
    if (length > 0 &&
        (vp_cpuset_print(set, text, sizeof(text)) != length || memcmp(text, *at, length) != 0))
        return false;
    *at += length + 1;
    return true;
}

static bool take_all(const char **at, struct vp_topology *topology)
{
    if (!take(at, VERSION_LINE) || !take(at, "memory "))
        return false;
    topology->memory_known = take(at, "known\n");
    if (!topology->memory_known && !take(at, "unknown\n"))
        return false;
    for (size_t i = 0; i < topology->node_count; i++)
        if (!take_node(at, &topology->node[i]))
            return false;
    for (size_t i = 0; i < topology->count; i++) {
        if (!take_cpu(at, &topology->pu[i]))
            return false;
        if (i > 0 && topology->pu[i].cpu <= topology->pu[i - 1].cpu)
            return false;
    }
    return take_list(at, "offline ", &topology->offline) &&
           take_list(at, "isolated ", &topology->isolated) && take(at, "end\n") && **at == '\0';
}

static int bad_line(const char *text, const char *at, struct vp_error *err)
{
    int line = 1;

    for (const char *c = text; c < at; c++)
        line += *c == '\n';
    return vp_fail(err, VP_INPUT,
                   "topology text, line %d: found \"%.*s\", not what is written there", line,
                   (int)strcspn(at, "\n") > 80 ? 80 : (int)strcspn(at, "\n"), at);
}

int vp_topology_parse(const char *text, struct vp_topology **topology, struct vp_error *err)
{
    VP_AUTO(vp_topology) struct vp_topology *draft = vp_topology_new();
    const char *at = text;

    if (!draft)
        return vp_fail(err, VP_HOST, "no memory");
    draft->node_count = count_lines(text, "\nnode ");
    draft->count = count_lines(text, "\ncpu ");
    if (draft->node_count > VP_CPU_MAX || draft->count > VP_CPU_MAX)
        return vp_fail(err, VP_INPUT, "topology text: more than %d CPUs or nodes", VP_CPU_MAX);
    draft->node = calloc(draft->node_count + 1, sizeof(*draft->node));
    draft->pu = calloc(draft->count + 1, sizeof(*draft->pu));
    if (!draft->node || !draft->pu)
        return vp_fail(err, VP_HOST, "no memory for a host of %zu CPUs", draft->count);
    if (!take_all(&at, draft))
        return bad_line(text, at, err);
    if (vp_topology_build(draft, err) < 0)
        return vp_wrap(err, "topology text");
    *topology = VP_STEAL(draft);
    return 0;
}
