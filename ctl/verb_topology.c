/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"
#include "host/discover.h"

static json_object *node_json(const struct vp_topology *host, size_t at)
{
    json_object *object = vp_json_object();

    vp_json_int(object, "node", host->node[at].os);
    vp_json_cpus(object, "cpus", &host->node[at].cpus);
    if (host->memory_known)
        vp_json_int(object, "memory_kib", (int64_t)host->node[at].memory_kib);
    else
        vp_json_null(object, "memory_kib");
    return object;
}

static json_object *pu_json(const struct vp_topology *host, const struct vp_pu *pu)
{
    json_object *object = vp_json_object();

    vp_json_int(object, "cpu", pu->cpu);
    vp_json_int(object, "core", pu->core);
    vp_json_int(object, "l3", pu->l3);
    vp_json_int(object, "node", host->node[pu->node].os);
    vp_json_int(object, "package", pu->package);
    vp_json_int(object, "kind", pu->kind);
    return object;
}

static void print_json(const struct vp_topology *host)
{
    json_object *object = vp_json_new("virtpin.topology/1");
    json_object *nodes = vp_json_array(), *l3s = vp_json_array();
    json_object *cores = vp_json_array(), *pus = vp_json_array();

    vp_json_cpus(object, "online", &host->online);
    vp_json_cpus(object, "offline", &host->offline);
    vp_json_cpus(object, "isolated", &host->isolated);
    vp_json_bool(object, "smt", host->smt);
    vp_json_int(object, "packages", (int64_t)host->package_count);
    vp_json_int(object, "kinds", (int64_t)host->kind_count);
    for (size_t i = 0; i < host->node_count; i++)
        vp_json_push(nodes, node_json(host, i));
    for (size_t i = 0; i < host->l3_count; i++) {
        char *text = vp_cpuset_format(&host->l3[i]);

        vp_json_push(l3s, json_object_new_string(text ? text : ""));
        free(text);
    }
    for (size_t i = 0; i < host->core_count; i++) {
        char *text = vp_cpuset_format(&host->core[i]);

        vp_json_push(cores, json_object_new_string(text ? text : ""));
        free(text);
    }
    for (size_t i = 0; i < host->count; i++)
        vp_json_push(pus, pu_json(host, &host->pu[i]));
    vp_json_add(object, "nodes", nodes);
    vp_json_add(object, "l3", l3s);
    vp_json_add(object, "cores", cores);
    vp_json_add(object, "cpus", pus);
    vp_json_print(object);
}

static void print_set(const char *what, const struct vp_cpuset *cpus)
{
    char *text;

    if (vp_cpuset_empty(cpus))
        return;
    text = vp_cpuset_format(cpus);
    printf("%s: %s\n", what, text ? text : "");
    free(text);
}

static void print_memory(struct vp_table *table, const struct vp_topology *host, size_t node)
{
    char text[64] = "";

    if (host->memory_known)
        snprintf(text, sizeof(text), "%.1f GiB",
                 (double)host->node[node].memory_kib / (1024.0 * 1024.0));
    vp_table_cell(table, VP_PLAIN, text);
}

static void count(unsigned long n, const char *one, const char *many, const char *after)
{
    printf("%lu %s%s", n, n == 1 ? one : many, after);
}

static void print_text(const struct vp_topology *host)
{
    static const char *const node_heading[] = {"NODE", "MEMORY", "CPUS"};
    static const char *const core_heading[] = {"PACKAGE", "NODE", "L3", "CORE", "KIND", "CPUS"};
    struct vp_table table;
    char text[32];

    count(host->count, "CPU", "CPUs", ": ");
    count(host->package_count, "package", "packages", ", ");
    count(host->node_count, "NUMA node", "NUMA nodes", ", ");
    count(host->l3_count, "L3 domain", "L3 domains", ", ");
    count(host->core_count, "core", "cores", host->smt ? ", with SMT\n" : ", without SMT\n");
    print_set("offline", &host->offline);
    print_set("isolated", &host->isolated);
    vp_table_begin(&table, 3, node_heading);
    for (size_t i = 0; i < host->node_count; i++) {
        snprintf(text, sizeof(text), "%d", host->node[i].os);
        vp_table_cell(&table, VP_PLAIN, text);
        print_memory(&table, host, i);
        vp_table_cell_cpus(&table, &host->node[i].cpus);
    }
    vp_table_end(&table, 0);
    vp_table_begin(&table, 6, core_heading);
    for (size_t i = 0; i < host->core_count; i++) {
        const struct vp_pu *pu = vp_topology_pu(host, vp_cpuset_next(&host->core[i], -1));
        const int shown[] = {pu->package, host->node[pu->node].os, pu->l3, pu->core, pu->kind};

        for (size_t j = 0; j < 5; j++) {
            snprintf(text, sizeof(text), "%d", shown[j]);
            vp_table_cell(&table, VP_PLAIN, text);
        }
        vp_table_cell_cpus(&table, &host->core[i]);
    }
    vp_table_end(&table, 0);
}

int vp_verb_topology(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_topology) struct vp_topology *host = NULL;

    if (vp_discover(ctl->topology, &host, err) != 0)
        return -1;
    if (ctl->json)
        print_json(host);
    else
        print_text(host);
    return VP_EXIT_GOOD;
}
