/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUs of a simulated host that go and come. */
#include "ctl/simulate_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/output.h"
#include "decide/error.h"

struct changes {
    json_object *moved, *stranded;
};

/* ---- the host ---- */

static int check(const struct vp_sim *sim, int cpu, bool online, struct vp_error *err)
{
    bool is_online = vp_cpuset_has(&sim->topology->online, cpu);
    bool known = false;

    for (size_t i = 0; i < sim->pu_count && !known; i++)
        known = sim->pu[i].cpu == cpu;
    if (!known && vp_cpuset_has(&sim->topology->offline, cpu))
        return vp_fail(err, VP_INPUT,
                       "cpu: CPU %d was offline from the beginning: its core and "
                       "node are not known",
                       cpu);
    if (!known)
        return vp_fail(err, VP_INPUT, "cpu: found %d, which this host does not have", cpu);
    if (is_online == online)
        return vp_fail(err, VP_INPUT, "cpu: CPU %d is %s already", cpu,
                       online ? "online" : "offline");
    if (!online && sim->topology->count == 1)
        return vp_fail(err, VP_INPUT, "cpu: CPU %d is the last one online", cpu);
    return 0;
}

/* topology->pu had room for all of them at the beginning. */
static int reshape(struct vp_sim *sim, int cpu, bool online, struct vp_error *err)
{
    struct vp_topology *topology = sim->topology;
    struct vp_cpuset keep = topology->online;
    size_t count = 0;

    if (online) {
        vp_cpuset_add(&keep, cpu);
        vp_cpuset_remove(&topology->offline, cpu);
    } else {
        vp_cpuset_remove(&keep, cpu);
        vp_cpuset_add(&topology->offline, cpu);
    }
    for (size_t i = 0; i < sim->pu_count; i++)
        if (vp_cpuset_has(&keep, sim->pu[i].cpu))
            topology->pu[count++] = sim->pu[i];
    topology->count = count;
    if (vp_topology_build(topology, err) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return 0;
}

/* ---- guests ---- */

/* An idle sibling that goes is no loss. */
static bool lost_cpus(const struct vp_sim *sim, const struct vp_sim_guest *guest)
{
    const struct vp_sim_booking *booking = guest->booking;

    return booking && (!vp_cpuset_within(&booking->used, &sim->topology->online) ||
                       !vp_cpuset_within(&booking->fixed, &sim->topology->online));
}

static bool lost_pool(const struct vp_sim *sim, const struct vp_sim_guest *guest)
{
    struct vp_cpuset pool;

    if (!guest->uses_pool || lost_cpus(sim, guest))
        return false;
    vp_sim_pool(sim, guest->policy->pool, &pool);
    return vp_cpuset_empty(&pool);
}

/* Whether a guest that is not booked could have its first CPUs again. */
static bool home_is_free(const struct vp_sim *sim, const struct vp_sim_guest *guest)
{
    struct vp_cpuset usable, pool, fixed = guest->home->fixed;

    vp_dedicable(&sim->set->host, sim->topology, &usable);
    vp_cpuset_minus(&usable, &sim->sum.exclusive);
    vp_cpuset_minus(&usable, &sim->sum.fixed);
    if (!vp_cpuset_within(&guest->home->exclusive, &usable) ||
        !vp_cpuset_within(&fixed, &sim->topology->online) ||
        vp_cpuset_meets(&fixed, &sim->sum.exclusive))
        return false;
    vp_sim_pool(sim, NULL, &pool);
    vp_cpuset_minus(&pool, &guest->home->exclusive);
    return !vp_cpuset_empty(&pool) || (sim->pool_users == 0 && !guest->home->uses_pool);
}

static void note_moved(struct changes *changes, const struct vp_sim_guest *guest)
{
    vp_json_push(changes->moved, json_object_new_string(guest->id));
}

/* One guest's way may be free only after another went, so again until none goes. */
static void go_home(struct vp_sim *sim, struct changes *changes)
{
    bool again = true;

    while (again) {
        again = false;
        for (struct vp_sim_guest *guest = sim->first; guest; guest = guest->after) {
            if (!guest->home)
                continue;
            vp_sim_unbook(sim, guest);
            if (home_is_free(sim, guest)) {
                free(guest->booking);
                guest->booking = guest->home;
                guest->home = NULL;
                guest->uses_pool = guest->booking->uses_pool;
                note_moved(changes, guest);
                again = true;
            }
            vp_sim_book(sim, guest);
        }
    }
}

static void note_stranded(struct changes *changes, const struct vp_sim_guest *guest,
                          const char *why)
{
    json_object *object = vp_json_object();

    vp_json_string(object, "id", guest->id);
    vp_json_string(object, "why", why);
    vp_json_push(changes->stranded, object);
}

static int place_again(struct vp_sim *sim, struct vp_sim_guest *guest, struct changes *changes,
                       struct vp_error *err)
{
    struct vp_sim_booking *before = guest->booking;
    struct vp_place_answer answer;
    struct vp_sim_times times;
    struct vp_plan *plan = NULL;
    enum vp_plan_result result;

    vp_sim_unbook(sim, guest);
    result = vp_sim_plan(sim, guest, &plan, &answer, &times, err);
    if (result == VP_PLAN_OK) {
        vp_plan_free(plan);
        if (guest->home)
            free(before);
        else
            guest->home = before;
        note_moved(changes, guest);
    } else {
        guest->booking = before;
        note_stranded(changes, guest, vp_sim_why(&answer, err));
    }
    vp_sim_book(sim, guest);
    return result == VP_PLAN_FAILED ? -1 : 0;
}

/* Those that lost CPUs first: the pool may have some again when they are elsewhere. */
static int place_all(struct vp_sim *sim,
                     bool (*lost)(const struct vp_sim *sim, const struct vp_sim_guest *guest),
                     struct changes *changes, struct vp_error *err)
{
    for (struct vp_sim_guest *guest = sim->first; guest; guest = guest->after)
        if (lost(sim, guest) && place_again(sim, guest, changes, err) < 0)
            return -1;
    return 0;
}

/* Of the list those that are stranded still, in the order in which they were
 * started; takes `list`. */
static json_object *by_start(const struct vp_sim *sim, json_object *list)
{
    json_object *sorted = vp_json_array();

    for (const struct vp_sim_guest *guest = sim->first; guest; guest = guest->after)
        for (size_t i = 0; i < json_object_array_length(list); i++) {
            json_object *one = json_object_array_get_idx(list, i), *id = NULL;

            json_object_object_get_ex(one, "id", &id);
            if (strcmp(json_object_get_string(id), guest->id) == 0 &&
                (lost_cpus(sim, guest) || lost_pool(sim, guest)))
                vp_json_push(sorted, json_object_get(one));
        }
    json_object_put(list);
    return sorted;
}

int vp_sim_cpu(struct vp_sim *sim, int cpu, bool online, json_object **answer, struct vp_error *err)
{
    struct changes changes;

    if (check(sim, cpu, online, err) < 0 || reshape(sim, cpu, online, err) < 0)
        return -1;
    changes = (struct changes){vp_json_array(), vp_json_array()};
    if (online)
        go_home(sim, &changes);
    if (place_all(sim, lost_cpus, &changes, err) < 0 ||
        place_all(sim, lost_pool, &changes, err) < 0) {
        json_object_put(changes.moved);
        json_object_put(changes.stranded);
        return -1;
    }
    changes.stranded = by_start(sim, changes.stranded);
    *answer = vp_sim_answer_cpu(sim, cpu, changes.moved, changes.stranded);
    return 0;
}
