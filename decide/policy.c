/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policy.h"

#include <stdlib.h>
#include <string.h>

#include "decide/policykeys.h"

static void clear_fields(const struct vp_key_row *rows, unsigned count, void *object)
{
    for (unsigned i = 0; i < count; i++)
        if (rows[i].served && rows[i].use->ops->release)
            rows[i].use->ops->release((char *)object + rows[i].use->offset);
}

static void clear_policy(const struct vp_key_row *rows, unsigned count, struct vp_policy *policy)
{
    clear_fields(rows, count, policy);
    free(policy->name);
    policy->name = NULL;
    policy->vcpupin_count = 0;
}

void vp_policy_clear(struct vp_policy *policy)
{
    unsigned count;
    const struct vp_key_row *rows = vp_keys_of("policy", &count);

    clear_policy(rows, count, policy);
}

void vp_host_conf_clear(struct vp_host_conf *host)
{
    unsigned count;
    const struct vp_key_row *rows = vp_keys_of("host", &count);

    clear_fields(rows, count, host);
    for (size_t i = 0; i < host->pool_count; i++)
        free(host->pool[i].name);
    free(host->pool);
    host->pool = NULL;
    host->pool_count = 0;
}

void vp_policy_set_free(struct vp_policy_set *set)
{
    unsigned count;
    const struct vp_key_row *rows = vp_keys_of("policy", &count);

    if (!set)
        return;
    for (size_t i = 0; set->policy && i < set->count; i++)
        clear_policy(rows, count, &set->policy[i]);
    free(set->policy);
    vp_host_conf_clear(&set->host);
    for (size_t i = 0; i < set->files.count; i++)
        free(set->files.item[i]);
    free(set->files.item);
    free(set->text);
    free(set);
}

static int by_name(const void *name, const void *policy)
{
    return strcmp(name, ((const struct vp_policy *)policy)->name);
}

const struct vp_policy *vp_policy_find(const struct vp_policy_set *set, const char *name)
{
    if (set->count == 0)
        return NULL;
    return bsearch(name, set->policy, set->count, sizeof(*set->policy), by_name);
}

const struct vp_pool_conf *vp_pool_find(const struct vp_host_conf *host, const char *name)
{
    for (size_t i = 0; i < host->pool_count; i++)
        if (strcmp(host->pool[i].name, name ? name : "default") == 0)
            return &host->pool[i];
    return NULL;
}

bool vp_policy_matches_some(const struct vp_policy *policy)
{
    return policy->match_name.count > 0 || policy->match_title.count > 0 ||
           policy->match_uuid.count > 0 || policy->match_metadata.count > 0 ||
           policy->match_os.count > 0 || policy->match_type.count > 0 ||
           policy->match_arch.count > 0 || policy->match_machine.count > 0 ||
           policy->match_partition.count > 0 || policy->match_host.count > 0 ||
           policy->match_vcpus.count > 0 || policy->match_memory.count > 0;
}

const char *vp_mode_word(enum vp_mode mode)
{
    static const char *const words[] = {"audit", "enforce", "off"};

    return words[mode];
}

const char *vp_cpu_mode_word(enum vp_cpu_mode mode)
{
    static const char *const words[] = {"keep", "custom", "host-model", "host-passthrough",
                                        "maximum"};

    return words[mode];
}

const char *vp_placement_word(enum vp_placement placement)
{
    static const char *const words[] = {"none", "shared", "dedicated", "mixed", "fixed"};

    return words[placement];
}

const char *vp_thread_policy_word(enum vp_thread_policy policy)
{
    static const char *const words[] = {"prefer", "require", "isolate"};

    return words[policy];
}

const char *vp_memory_word(enum vp_memory memory)
{
    static const char *const words[] = {"keep", "strict", "restrictive", "preferred"};

    return words[memory];
}

const char *vp_numa_word(enum vp_numa numa)
{
    static const char *const words[] = {"fewest", "single", "any", "spread"};

    return words[numa];
}
