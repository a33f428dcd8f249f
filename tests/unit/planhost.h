/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TESTS_PLANHOST_H
#define VP_TESTS_PLANHOST_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/finding.h"
#include "decide/plan.h"

/* The host and the guest of the plan's tests. */

/* A host of 2 nodes x 4 cores x 2 threads; CPU c is thread c / 8 of core c % 8. */
static struct vp_topology *topology;
static struct vp_policy_set *set;
static struct vp_policy policy;
static struct vp_domain domain;
static struct vp_error err;
static struct vp_findings findings;

static inline struct vp_cpuset cpus(const char *text)
{
    struct vp_cpuset result = {0};

    if (text[0] != '\0')
        ck_assert_int_eq(vp_cpuset_parse(&result, text, NULL), 0);
    return result;
}

static inline void assert_cpus(const struct vp_cpuset *found, const char *wanted)
{
    char text[256];

    vp_cpuset_print(found, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
}

static inline void setup(void)
{
    topology = vp_topology_new();
    ck_assert_ptr_nonnull(topology);
    topology->pu = calloc(16, sizeof(*topology->pu));
    topology->count = 16;
    for (int cpu = 0; cpu < 16; cpu++)
        topology->pu[cpu] = (struct vp_pu){.cpu = cpu,
                                           .core = cpu % 8,
                                           .l3 = cpu % 8 / 4,
                                           .node = cpu % 8 / 4,
                                           .package = cpu % 8 / 4};
    topology->node = calloc(2, sizeof(*topology->node));
    topology->node_count = 2;
    topology->node[1].os = 1;
    ck_assert_int_eq(vp_topology_build(topology, &err), 0);
    set = vp_policy_set_defaults();
    ck_assert_ptr_nonnull(set);
    policy = (struct vp_policy){.name = (char *)"p",
                                .mode = VP_MODE_ENFORCE,
                                .placement = VP_PLACE_DEDICATED,
                                .on_no_room = VP_VERDICT_REFUSE,
                                .emulator = {.where = VP_WHERE_SHARED},
                                .iothreads = {.where = VP_WHERE_WITH_EMULATOR},
                                .vhost = {.where = VP_WHERE_WITH_EMULATOR}};
    domain = (struct vp_domain){.name = (char *)"g", .vcpus = 4, .vcpus_current = 4};
    strcpy(domain.uuid, "00000000-0000-0000-0000-000000000001");
    err = (struct vp_error){0};
}

static inline void teardown(void)
{
    vp_topology_free(topology);
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
}

/* The caller's pools in the place of the set's own, which are none. The caller
 * takes them out before the set is freed. */
static inline void use_pools(struct vp_policy_set *of, struct vp_pool_conf *pools)
{
    if (of->host.pool != pools)
        free(of->host.pool);
    of->host.pool = pools;
}

static inline struct vp_plan *plan_with(const struct vp_holding *holding, size_t count,
                                        const int *keep, enum vp_plan_result expected)
{
    struct vp_plan_input input = {.set = set,
                                  .policy = &policy,
                                  .chosen_by = VP_CHOSEN_MATCH,
                                  .domain = &domain,
                                  .topology = topology,
                                  .holding = holding,
                                  .holding_count = count,
                                  .keep = keep,
                                  .keep_only = keep != NULL};
    struct vp_plan *plan = NULL;
    enum vp_plan_result result = vp_plan_make(&input, &plan, NULL, &findings, &err);

    ck_assert_msg(result == expected, "result %d: %s", result, err.text);
    ck_assert_int_eq(plan != NULL, expected == VP_PLAN_OK);
    return plan;
}

static inline struct vp_holding another(const char *exclusive, const char *fixed)
{
    struct vp_holding holding = {.exclusive = cpus(exclusive), .fixed = cpus(fixed)};

    strcpy(holding.uuid, "00000000-0000-0000-0000-00000000000f");
    strcpy(holding.name, "other");
    return holding;
}

#endif
