/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/output.h"
#include "ctl/view.h"
#include "host/engine.h"
#include "version.h"

static const char *chosen_word(enum vp_chosen_by by)
{
    return by == VP_CHOSEN_MATCH ? "match" : by == VP_CHOSEN_METADATA ? "metadata" : "none";
}

static void string_or_null(json_object *object, const char *key, const char *text)
{
    vp_json_string(object, key, text[0] ? text : NULL);
}

static json_object *enforcer_json(const struct vp_enforcer_facts *facts)
{
    json_object *object = vp_json_object();

    vp_json_bool(object, "running", facts->running);
    if (facts->running)
        vp_json_int(object, "pid", facts->pid);
    else
        vp_json_null(object, "pid");
    vp_json_time(object, "since", facts->running ? facts->since_ms : 0);
    vp_json_time(object, "last_sweep", facts->last_sweep_ms);
    string_or_null(object, "libvirt", facts->running ? facts->libvirt : "");
    if (facts->running)
        vp_json_bool(object, "can_repair", facts->can_repair);
    else
        vp_json_null(object, "can_repair");
    string_or_null(object, "why", facts->why);
    return object;
}

static json_object *policy_json(const struct vp_engine *engine, const struct vp_view *view)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "hash", engine->set->hash);
    vp_json_time(object, "loaded", view->policy_loaded_ms);
    vp_json_int(object, "policies", (int64_t)engine->set->count);
    vp_json_bool(object, "stale", engine->stale);
    vp_json_int(object, "errors", (int64_t)vp_findings_errors(&engine->findings));
    return object;
}

static json_object *cpus_json(const struct vp_topology *host, const struct vp_view *view)
{
    json_object *object = vp_json_object();

    vp_json_cpus(object, "online", &host->online);
    vp_json_cpus(object, "offline", &host->offline);
    vp_json_cpus(object, "reserved", &view->reserved);
    vp_json_cpus(object, "isolated", &host->isolated);
    vp_json_cpus(object, "dedicated", &view->dedicated);
    vp_json_cpus(object, "idle", &view->idle);
    vp_json_cpus(object, "shared", &view->shared);
    return object;
}

static void cpus_if(json_object *object, const char *key, bool known, const struct vp_cpuset *cpus)
{
    if (known)
        vp_json_cpus(object, key, cpus);
    else
        vp_json_null(object, key);
}

static json_object *thread_json(const struct vp_view_thread *thread)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "role", vp_role_word(thread->role));
    vp_json_int(object, "index", thread->index);
    vp_json_int(object, "tid", thread->tid);
    cpus_if(object, "wanted", thread->has_wanted, &thread->wanted);
    cpus_if(object, "libvirt", thread->has_libvirt, &thread->libvirt);
    cpus_if(object, "cpuset", thread->has_cpuset, &thread->cpuset);
    vp_json_cpus(object, "affinity", &thread->affinity);
    vp_json_bool(object, "ok", thread->ok);
    return object;
}

static json_object *drift_json(const struct vp_view_guest *guest)
{
    json_object *object = vp_json_object();

    vp_json_int(object, "open", guest->open);
    vp_json_int(object, "contested", guest->contested);
    vp_json_int(object, "repaired", guest->repaired);
    vp_json_int(object, "audit", guest->audit);
    return object;
}

static json_object *moving_json(const struct vp_memory_moving *moving)
{
    json_object *object;

    if (!moving)
        return NULL;
    object = vp_json_object();
    vp_json_cpus(object, "to", &moving->nodes);
    vp_json_time(object, "since", moving->since_ms);
    vp_json_int(object, "total_kib", (int64_t)moving->total_kib);
    vp_json_int(object, "left_kib", (int64_t)moving->left_kib);
    return object;
}

static json_object *memory_json(const struct vp_view *view, const struct vp_view_guest *guest)
{
    json_object *object = vp_json_object(), *nodes = vp_json_array();

    for (int node = 0; node < VP_NODES_MAX; node++) {
        json_object *one;

        if (guest->memory->kib[node] == 0)
            continue;
        one = vp_json_object();
        vp_json_int(one, "node", node);
        vp_json_int(one, "kib", (int64_t)guest->memory->kib[node]);
        vp_json_push(nodes, one);
    }
    vp_json_add(object, "nodes", nodes);
    vp_json_int(object, "elsewhere_kib", (int64_t)vp_view_elsewhere(guest));
    vp_json_add(object, "moving", moving_json(vp_view_moving(view, guest)));
    return object;
}

static json_object *guest_json(const struct vp_view *view, const struct vp_view_guest *guest)
{
    json_object *object = vp_json_object();
    json_object *threads = vp_json_array();

    vp_json_string(object, "name", guest->name);
    vp_json_string(object, "uuid", guest->uuid);
    if (guest->pid > 0)
        vp_json_int(object, "pid", guest->pid);
    else
        vp_json_null(object, "pid");
    vp_json_time(object, "since", guest->since_ms);
    vp_json_string(object, "policy", guest->policy);
    vp_json_string(object, "chosen_by", chosen_word(guest->chosen_by));
    vp_json_string(object, "mode", vp_mode_word(guest->mode));
    vp_json_string(object, "state", vp_view_state_word(guest->state));
    vp_json_time(object, "held_until", guest->held_until_ms);
    vp_json_string(object, "placement", vp_placement_word(guest->placement));
    vp_json_cpus(object, "cpus", &guest->cpus);
    vp_json_cpus(object, "nodes", &guest->nodes);
    if (guest->exclusive_known)
        vp_json_bool(object, "exclusive", guest->exclusive);
    else
        vp_json_null(object, "exclusive");
    vp_json_string(object, "pending", guest->unplaced ? guest->unplaced : guest->pending);
    vp_json_add(object, "drift", drift_json(guest));
    for (size_t i = 0; i < guest->thread_count; i++)
        vp_json_push(threads, thread_json(&guest->thread[i]));
    vp_json_add(object, "threads", threads);
    if (guest->memory)
        vp_json_add(object, "memory", memory_json(view, guest));
    else
        vp_json_null(object, "memory");
    return object;
}

static json_object *findings_json(const struct vp_findings *findings)
{
    json_object *list = vp_json_array();
    char line[4096];

    for (size_t i = 0; i < findings->count; i++) {
        const struct vp_finding *finding = &findings->item[i];
        json_object *object = vp_json_object();

        vp_json_string(object, "grade", finding->grade == VP_ERROR ? "error" : "warning");
        vp_json_string(object, "guest", finding->file ? NULL : finding->policy);
        vp_json_string(object, "text", vp_finding_line(finding, line, sizeof(line)));
        vp_json_string(object, "remedy", finding->remedy);
        vp_json_push(list, object);
    }
    return list;
}

static json_object *pools_json(const struct vp_view *view)
{
    json_object *list = vp_json_array();

    for (size_t i = 0; i < view->pool_count; i++) {
        const struct vp_view_pool *pool = &view->pool[i];
        json_object *object = vp_json_object();

        vp_json_string(object, "name", pool->name);
        vp_json_cpus(object, "cpus", &pool->cpus);
        vp_json_int(object, "ratio", pool->ratio);
        vp_json_int(object, "vcpus", pool->vcpus);
        vp_json_push(list, object);
    }
    return list;
}

static json_object *strangers_json(const struct vp_strangers *strangers)
{
    json_object *list = vp_json_array();

    for (size_t i = 0; i < strangers->count; i++) {
        const struct vp_stranger *one = &strangers->item[i];
        json_object *object = vp_json_object();

        vp_json_int(object, "cpu", one->cpu);
        string_or_null(object, "owner", one->owner);
        vp_json_string(object, "kind", vp_stranger_word(one->kind));
        vp_json_int(object, "pid", one->pid);
        vp_json_int(object, "tid", one->tid);
        vp_json_string(object, "comm", one->comm);
        if (one->uid >= 0)
            vp_json_int(object, "uid", one->uid);
        else
            vp_json_null(object, "uid");
        string_or_null(object, "unit", one->unit);
        string_or_null(object, "guest", one->guest);
        vp_json_int(object, "ran_ms", (int64_t)one->ran_ms);
        vp_json_time(object, "first", one->first_ms);
        vp_json_time(object, "last", one->last_ms);
        vp_json_push(list, object);
    }
    return list;
}

void vp_status_json(const struct vp_engine *engine, const struct vp_view *view)
{
    json_object *object = vp_json_new("virtpin.status/1");
    json_object *guests = vp_json_array();

    vp_json_time(object, "time", view->now_ms);
    vp_json_string(object, "host", view->host);
    vp_json_string(object, "version", VP_VERSION);
    vp_json_bool(object, "enabled", view->enabled);
    vp_json_string(object, "disabled_why", view->enabled ? NULL : view->disabled_why);
    vp_json_add(object, "enforcer", enforcer_json(&view->enforcer));
    vp_json_add(object, "policy", policy_json(engine, view));
    vp_json_add(object, "cpus", cpus_json(engine->topology, view));
    vp_json_add(object, "pools", pools_json(view));
    for (size_t i = 0; i < view->guest_count; i++)
        vp_json_push(guests, guest_json(view, &view->guest[i]));
    vp_json_add(object, "guests", guests);
    vp_json_add(object, "strangers", strangers_json(&view->strangers));
    vp_json_add(object, "findings", findings_json(&view->findings));
    vp_json_print(object);
}
