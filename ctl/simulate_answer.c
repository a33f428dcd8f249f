/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of `simulate`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/simulate.h"
#include "decide/error.h"

static void add_shared(const struct vp_sim *sim, json_object *answer)
{
    struct vp_cpuset pool;

    vp_pools(&sim->set->host, sim->topology, &sim->sum, 1, &pool);
    vp_json_cpus(answer, "shared", &pool);
}

static void add_times(json_object *answer, const struct vp_sim_times *times)
{
    char text[32];

    if (!times->told)
        return;
    snprintf(text, sizeof(text), "%.1f", times->micros);
    vp_json_add(answer, "micros", json_object_new_double_s(times->micros, text));
}

/* Where a thread runs; null: nothing is wanted of it. */
static void add_thread(json_object *threads, const char *key, const struct vp_want *want,
                       const struct vp_cpuset *pool)
{
    struct vp_cpuset cpus;

    if (!want || want->kind == VP_WANT_NOTHING) {
        vp_json_null(threads, key);
        return;
    }
    vp_want_resolve(want, pool, &cpus);
    vp_json_cpus(threads, key, &cpus);
}

static json_object *threads_of(const struct vp_plan *plan, enum vp_role role,
                               const struct vp_cpuset *pool)
{
    json_object *threads = vp_json_object();
    char key[16];

    for (size_t i = 0; i < plan->want_count; i++) {
        if (plan->want[i].role != role)
            continue;
        snprintf(key, sizeof(key), "%u", plan->want[i].index);
        add_thread(threads, key, &plan->want[i], pool);
    }
    return threads;
}

static json_object *nodes_of(const struct vp_plan *plan)
{
    json_object *nodes = vp_json_array();

    for (int n = vp_cpuset_next(&plan->nodes, -1); n >= 0; n = vp_cpuset_next(&plan->nodes, n))
        vp_json_push(nodes, json_object_new_int(n));
    return nodes;
}

/* The node that all CPUs of a cell's vCPUs are on, -1 if it is not one. */
static int node_of(const struct vp_sim *sim, const struct vp_plan *plan,
                   const struct vp_guest_cell *cell)
{
    int node = -1;

    for (size_t i = 0; i < plan->want_count; i++) {
        const struct vp_want *want = &plan->want[i];

        if (want->role != VP_ROLE_VCPU || !vp_cpuset_has(&cell->vcpus, (int)want->index))
            continue;
        if (want->kind != VP_WANT_SET)
            return -1;
        for (int c = vp_cpuset_next(&want->cpus, -1); c >= 0; c = vp_cpuset_next(&want->cpus, c)) {
            int here = sim->topology->node[vp_topology_pu(sim->topology, c)->node].os;

            if (node >= 0 && here != node)
                return -1;
            node = here;
        }
    }
    return node;
}

static json_object *cells_of(const struct vp_sim *sim, const struct vp_sim_guest *guest,
                             const struct vp_plan *plan)
{
    json_object *cells = vp_json_array();

    for (size_t i = 0; i < guest->cell_count; i++) {
        int node = node_of(sim, plan, &guest->cell[i]);

        vp_json_push(cells, node < 0 ? NULL : json_object_new_int(node));
    }
    return cells;
}

json_object *vp_sim_answer_placed(const struct vp_sim *sim, const struct vp_sim_guest *guest,
                                  const struct vp_plan *plan, const struct vp_sim_times *times)
{
    json_object *answer = vp_json_object();
    struct vp_cpuset pool;

    vp_sim_pool(sim, guest->policy->pool, &pool);
    vp_json_string(answer, "id", guest->id);
    vp_json_bool(answer, "ok", true);
    vp_json_add(answer, "vcpus", threads_of(plan, VP_ROLE_VCPU, &pool));
    add_thread(answer, "emulator", vp_plan_find(plan, VP_ROLE_EMULATOR, 0), &pool);
    vp_json_add(answer, "iothreads", threads_of(plan, VP_ROLE_IOTHREAD, &pool));
    if (guest->vhost > 0 && vp_plan_find(plan, VP_ROLE_VHOST, 0))
        vp_json_add(answer, "vhost", threads_of(plan, VP_ROLE_VHOST, &pool));
    vp_json_add(answer, "nodes", nodes_of(plan));
    vp_json_add(answer, "cells", cells_of(sim, guest, plan));
    vp_json_cpus(answer, "idle", &plan->idle_cpus);
    add_shared(sim, answer);
    add_times(answer, times);
    return answer;
}

const char *vp_sim_why(const struct vp_place_answer *answer, const struct vp_error *err)
{
    return answer->why[0] != '\0' ? answer->why : err->text;
}

json_object *vp_sim_answer_refused(const char *id, const struct vp_place_answer *answer,
                                   const struct vp_error *err, const struct vp_sim_times *times)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "id", id);
    vp_json_bool(object, "ok", false);
    vp_json_string(object, "why", vp_sim_why(answer, err));
    vp_json_string(object, "limit", vp_limit_word(answer->limit));
    vp_json_int(object, "short", answer->short_by);
    vp_json_string(object, "help", answer->help);
    add_times(object, times);
    return object;
}

json_object *vp_sim_answer_stopped(const struct vp_sim *sim, const char *id)
{
    json_object *answer = vp_json_object();

    vp_json_string(answer, "id", id);
    vp_json_bool(answer, "ok", true);
    add_shared(sim, answer);
    return answer;
}

json_object *vp_sim_answer_cpu(const struct vp_sim *sim, int cpu, json_object *moved,
                               json_object *stranded)
{
    json_object *answer = vp_json_object();

    vp_json_int(answer, "cpu", cpu);
    vp_json_bool(answer, "ok", true);
    vp_json_add(answer, "moved", moved);
    vp_json_add(answer, "stranded", stranded);
    add_shared(sim, answer);
    return answer;
}

/* Bytes of the character that starts here, 0 if it is not whole. */
static size_t character(const unsigned char *at)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Errors quote what they found and cut it: a character may have lost its end. */
static void mend(char *text)
{
    size_t length;

    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at += length > 0 ? length : 1) {
        length = character(at);
        if (length == 0)
            *at = '?';
    }
}

json_object *vp_sim_answer_bad(size_t line, const char *text)
{
    json_object *answer = vp_json_object();
    char error[VP_ERROR_TEXT + 64];

    snprintf(error, sizeof(error), "line %zu: %s", line, text);
    mend(error);
    vp_json_int(answer, "line", (int64_t)line);
    vp_json_bool(answer, "ok", false);
    vp_json_string(answer, "error", error);
    return answer;
}
