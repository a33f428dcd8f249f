/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shared pools and who runs in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "host/engine.h"

static void fill(const struct vp_engine *engine, const struct vp_pool_conf *conf,
                 const struct vp_holding *holding, size_t count, struct vp_view_pool *pool)
{
    const char *name = conf ? conf->name : "default";
    bool is_default = strcmp(name, "default") == 0;

    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->ratio = conf ? conf->ratio : 0;
    vp_pool_named(&engine->set->host, engine->topology, is_default ? NULL : name, holding, count,
                  &pool->cpus);
    for (size_t i = 0; i < count; i++)
        if (strcmp(holding[i].pool, is_default ? "" : name) == 0)
            pool->vcpus += holding[i].pool_vcpus;
}

int vp_view_pools(struct vp_engine *engine, struct vp_view *view, struct vp_error *err)
{
    const struct vp_host_conf *host = &engine->set->host;
    VP_AUTO(free) struct vp_holding *holding = NULL;
    size_t count;

    if (vp_engine_holdings(engine, &holding, &count, err) != 0)
        return -1;
    vp_pools(host, engine->topology, holding, count, &view->shared);
    view->pool = calloc(host->pool_count + 1, sizeof(*view->pool));
    if (!view->pool)
        return vp_fail(err, VP_HOST, "out of memory");
    if (!vp_pool_find(host, NULL))
        fill(engine, NULL, holding, count, &view->pool[view->pool_count++]);
    for (size_t i = 0; i < host->pool_count; i++)
        fill(engine, &host->pool[i], holding, count, &view->pool[view->pool_count++]);
    return 0;
}

const struct vp_cpuset *vp_view_pool(const struct vp_view *view, const char *name)
{
    for (size_t i = 0; i < view->pool_count; i++)
        if (strcmp(view->pool[i].name, name ? name : "default") == 0)
            return &view->pool[i].cpus;
    return &view->shared;
}
