/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests of a simulated host: started, stopped, looked up; their bookings. */
#include "ctl/simulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/simulate_cpu.h"
#include "decide/error.h"
#include "host/pci.h"

/* ---- bookings ---- */

static void count_fixed(struct vp_sim *sim, const struct vp_cpuset *cpus, bool more)
{
    for (int c = vp_cpuset_next(cpus, -1); c >= 0; c = vp_cpuset_next(cpus, c)) {
        sim->fixed_users[c] += more ? 1 : -1u;
        if (sim->fixed_users[c] > 0)
            vp_cpuset_add(&sim->sum.fixed, c);
        else
            vp_cpuset_remove(&sim->sum.fixed, c);
    }
}

void vp_sim_pool(const struct vp_sim *sim, const char *name, struct vp_cpuset *pool)
{
    vp_pool_named(&sim->set->host, sim->topology, name, &sim->sum, 1, pool);
}

static void count_pool(struct vp_sim *sim, const struct vp_sim_guest *guest, bool more)
{
    const char *name = guest->policy->pool;
    struct vp_holding *holding = &sim->sum;
    size_t *users = &sim->pool_users;

    if (!guest->uses_pool)
        return;
    for (size_t i = 0; name && i < sim->set->host.pool_count; i++)
        if (strcmp(sim->set->host.pool[i].name, name) == 0) {
            holding = &sim->all[i + 1];
            users = &sim->named_users[i];
        }
    *users += more ? 1 : (size_t)-1;
    holding->pool_vcpus += more ? guest->pool_vcpus : -guest->pool_vcpus;
    holding->uses_pool = *users > 0;
}

static void count_memory(struct vp_sim *sim, const struct vp_sim_booking *booking, bool more)
{
    for (size_t i = 0; i < booking->memory_count; i++) {
        const struct vp_node_memory *memory = &booking->memory[i];

        sim->sum.memory_kib[memory->node] += more ? memory->kib : -memory->kib;
    }
}

void vp_sim_book(struct vp_sim *sim, const struct vp_sim_guest *guest)
{
    if (guest->booking) {
        vp_cpuset_or(&sim->sum.exclusive, &guest->booking->exclusive);
        count_fixed(sim, &guest->booking->fixed, true);
        count_memory(sim, guest->booking, true);
    }
    count_pool(sim, guest, true);
}

void vp_sim_unbook(struct vp_sim *sim, const struct vp_sim_guest *guest)
{
    if (guest->booking) {
        vp_cpuset_minus(&sim->sum.exclusive, &guest->booking->exclusive);
        count_fixed(sim, &guest->booking->fixed, false);
        count_memory(sim, guest->booking, false);
    }
    count_pool(sim, guest, false);
}

static void note_memory(const struct vp_sim *sim, const struct vp_plan *plan,
                        struct vp_sim_booking *booking)
{
    for (size_t i = 0; i < plan->memory_count; i++)
        for (size_t n = 0; n < sim->topology->node_count && n < VP_NODES_MAX; n++)
            if (sim->topology->node[n].os == plan->memory[i].node)
                booking->memory[booking->memory_count++] =
                    (struct vp_node_memory){(int)n, plan->memory[i].kib};
}

static int take_booking(const struct vp_sim *sim, const struct vp_plan *plan,
                        struct vp_sim_guest *guest, struct vp_error *err)
{
    struct vp_sim_booking held = {.fixed = plan->fixed_cpus, .uses_pool = vp_plan_uses_pool(plan)};

    vp_plan_exclusive(plan, &held.exclusive);
    held.used = held.exclusive;
    vp_cpuset_minus(&held.used, &plan->idle_cpus);
    guest->uses_pool = held.uses_pool;
    guest->pool_vcpus = vp_plan_pool_vcpus(plan);
    guest->booking = NULL;
    if (vp_cpuset_empty(&held.exclusive) && vp_cpuset_empty(&held.fixed))
        return 0;
    guest->booking = malloc(sizeof(held) + plan->memory_count * sizeof(held.memory[0]));
    if (!guest->booking)
        return vp_fail(err, VP_HOST, "out of memory");
    *guest->booking = held;
    note_memory(sim, plan, guest->booking);
    return 0;
}

/* ---- planning ---- */

static double micros_since(const struct timespec *begin)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin->tv_sec) * 1e6 +
           (double)(end.tv_nsec - begin->tv_nsec) / 1e3;
}

enum vp_plan_result vp_sim_plan(struct vp_sim *sim, struct vp_sim_guest *guest,
                                struct vp_plan **plan, struct vp_place_answer *answer,
                                struct vp_sim_times *times, struct vp_error *err)
{
    const struct vp_cpuset none = {0};
    const struct vp_domain domain = {.id = -1,
                                     .name = guest->id,
                                     .vcpus = guest->vcpus,
                                     .vcpus_current = guest->vcpus,
                                     .memory_kib = guest->memory_kib,
                                     .cell = guest->cell,
                                     .cell_count = guest->cell_count,
                                     .iothread = sim->iothread,
                                     .iothread_count = guest->iothreads,
                                     .vhosts = guest->vhost};
    const struct vp_plan_input input = {.set = sim->set,
                                        .policy = guest->policy,
                                        .domain = &domain,
                                        .topology = sim->topology,
                                        .pci_nodes = guest->pci ? guest->pci->nodes : none,
                                        .pci_unknown = guest->pci && guest->pci->unknown,
                                        .holding = sim->all ? sim->all : &sim->sum,
                                        .holding_count =
                                            sim->all ? sim->set->host.pool_count + 1 : 1};
    enum vp_plan_result result;
    struct timespec begin;

    if (sim->all)
        sim->all[0] = sim->sum;
    memset(answer, 0, sizeof(*answer));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    result = vp_plan_make(&input, plan, answer, NULL, err);
    *times = (struct vp_sim_times){sim->micros, micros_since(&begin)};
    vp_place_clear(answer);
    if (result == VP_PLAN_OK && take_booking(sim, *plan, guest, err) < 0)
        result = VP_PLAN_FAILED;
    if (result == VP_PLAN_FAILED) {
        vp_plan_free(*plan);
        *plan = NULL;
    }
    return result;
}

/* ---- guests ---- */

static void free_guest(struct vp_sim *sim, struct vp_sim_guest *guest)
{
    if (guest->policy)
        vp_sim_drop_policy(sim, guest);
    free(guest->booking);
    free(guest->home);
    free(guest->cell);
    free(guest->pci);
    free(guest->id);
    free(guest);
}

static struct vp_sim_guest *find_guest(const struct vp_sim *sim, const char *id)
{
    return xmlHashLookup(sim->guests, (const xmlChar *)id);
}

static int link_guest(struct vp_sim *sim, struct vp_sim_guest *guest, struct vp_error *err)
{
    if (xmlHashAddEntry(sim->guests, (const xmlChar *)guest->id, guest) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    guest->before = sim->last;
    if (sim->last)
        sim->last->after = guest;
    else
        sim->first = guest;
    sim->last = guest;
    return 0;
}

static void unlink_guest(struct vp_sim *sim, struct vp_sim_guest *guest)
{
    xmlHashRemoveEntry(sim->guests, (const xmlChar *)guest->id, NULL);
    if (guest->before)
        guest->before->after = guest->after;
    else
        sim->first = guest->after;
    if (guest->after)
        guest->after->before = guest->before;
    else
        sim->last = guest->before;
}

/* Takes the request's cells. */
static struct vp_sim_guest *new_guest(struct vp_sim_request *request, struct vp_error *err)
{
    struct vp_sim_guest *guest = calloc(1, sizeof(*guest));

    if (!guest || !(guest->id = strdup(request->id))) {
        free(guest);
        vp_fail(err, VP_HOST, "out of memory");
        return NULL;
    }
    guest->vcpus = request->vcpus;
    guest->iothreads = request->iothreads;
    guest->vhost = request->vhost;
    guest->memory_kib = request->memory_kib;
    guest->cell = request->cell;
    guest->cell_count = request->cell_count;
    request->cell = NULL;
    return guest;
}

/* The nodes of the devices, as the host's files have them. */
static int take_pci(const struct vp_sim *sim, json_object *list, struct vp_sim_guest *guest,
                    struct vp_error *err)
{
    size_t count = list ? json_object_array_length(list) : 0;
    char **name;

    if (count == 0)
        return 0;
    guest->pci = calloc(1, sizeof(*guest->pci));
    name = calloc(count, sizeof(*name));
    if (!guest->pci || !name) {
        free(name);
        return vp_fail(err, VP_HOST, "out of memory");
    }
    for (size_t i = 0; i < count; i++) /* borrowed */
        name[i] = (char *)json_object_get_string(json_object_array_get_idx(list, i));
    vp_pci_nodes(sim->sys_root ? sim->sys_root : "",
                 &(struct vp_strings){.item = name, .count = count}, &guest->pci->nodes,
                 &guest->pci->unknown);
    free(name);
    return 0;
}

/* Plans, and on success links and books; *taken says so. */
static int place_guest(struct vp_sim *sim, struct vp_sim_guest *guest, bool *taken,
                       json_object **answer, struct vp_error *err)
{
    struct vp_place_answer found;
    struct vp_sim_times times;
    struct vp_plan *plan = NULL;
    int result = 0;

    switch (vp_sim_plan(sim, guest, &plan, &found, &times, err)) {
    case VP_PLAN_REFUSED:
        *answer = vp_sim_answer_refused(guest->id, &found, err, &times);
        break;
    case VP_PLAN_FAILED:
        result = -1;
        break;
    case VP_PLAN_OK:
        result = link_guest(sim, guest, err);
        if (result < 0)
            break;
        *taken = true;
        vp_sim_book(sim, guest);
        *answer = vp_sim_answer_placed(sim, guest, plan, &times);
        break;
    }
    vp_plan_free(plan);
    return result;
}

static int start(struct vp_sim *sim, struct vp_sim_request *request, json_object **answer,
                 struct vp_error *err)
{
    struct vp_sim_guest *guest;
    bool taken = false;
    int result;

    if (find_guest(sim, request->id))
        return vp_fail(err, VP_INPUT, "guest \"%.80s\" is started already", request->id);
    guest = new_guest(request, err);
    if (!guest)
        return -1;
    result = vp_sim_take_policy(sim, request->policy, guest, err);
    if (result == 0)
        result = take_pci(sim, request->pci, guest, err);
    if (result == 0)
        result = place_guest(sim, guest, &taken, answer, err);
    if (!taken)
        free_guest(sim, guest);
    return result;
}

static int stop(struct vp_sim *sim, const char *id, json_object **answer, struct vp_error *err)
{
    struct vp_sim_guest *guest = find_guest(sim, id);

    if (!guest)
        return vp_fail(err, VP_INPUT, "no guest \"%.80s\" is started", id);
    vp_sim_unbook(sim, guest);
    unlink_guest(sim, guest);
    *answer = vp_sim_answer_stopped(sim, guest->id);
    free_guest(sim, guest);
    return 0;
}

int vp_sim_line(struct vp_sim *sim, json_object *line, json_object **answer, struct vp_error *err)
{
    struct vp_sim_request request;
    int result;

    *answer = NULL;
    result = vp_sim_read(line, &request, err);
    if (result == 0) {
        switch (request.op) {
        case VP_SIM_START:
            result = start(sim, &request, answer, err);
            break;
        case VP_SIM_STOP:
            result = stop(sim, request.id, answer, err);
            break;
        case VP_SIM_OFFLINE:
        case VP_SIM_ONLINE:
            result = vp_sim_cpu(sim, request.cpu, request.op == VP_SIM_ONLINE, answer, err);
            break;
        }
    }
    free(request.cell);
    return result < 0 && err->code == VP_INPUT ? 1 : result;
}

/* ---- the host ---- */

static bool begin_pools(struct vp_sim *sim)
{
    const struct vp_host_conf *host = &sim->set->host;

    if (host->pool_count == 0)
        return true;
    sim->all = calloc(host->pool_count + 1, sizeof(*sim->all));
    sim->named_users = calloc(host->pool_count, sizeof(*sim->named_users));
    for (size_t i = 0; sim->all && i < host->pool_count; i++) {
        snprintf(sim->all[i + 1].uuid, sizeof(sim->all[i + 1].uuid), "guests");
        snprintf(sim->all[i + 1].pool, sizeof(sim->all[i + 1].pool), "%s", host->pool[i].name);
    }
    return sim->all && sim->named_users;
}

int vp_sim_begin(struct vp_sim *sim, const struct vp_policy_set *set, struct vp_topology *topology,
                 struct vp_error *err)
{
    sim->set = set;
    sim->topology = topology;
    sim->pu_count = topology->count;
    sim->pu = malloc(topology->count * sizeof(*sim->pu));
    sim->fixed_users = calloc(VP_CPU_MAX, sizeof(*sim->fixed_users));
    sim->iothread = malloc(VP_VCPUS_MAX * sizeof(*sim->iothread));
    sim->guests = xmlHashCreate(0);
    sim->policies = xmlHashCreate(0);
    strcpy(sim->sum.uuid, "guests");
    if (!begin_pools(sim) || !sim->pu || !sim->fixed_users || !sim->iothread || !sim->guests ||
        !sim->policies)
        return vp_fail(err, VP_HOST, "out of memory");
    memcpy(sim->pu, topology->pu, topology->count * sizeof(*sim->pu));
    for (unsigned i = 0; i < VP_VCPUS_MAX; i++)
        sim->iothread[i] = i + 1;
    return 0;
}

void vp_sim_end(struct vp_sim *sim)
{
    struct vp_sim_guest *next;

    for (struct vp_sim_guest *guest = sim->first; guest; guest = next) {
        next = guest->after;
        free_guest(sim, guest);
    }
    xmlHashFree(sim->guests, NULL);
    xmlHashFree(sim->policies, NULL);
    free(sim->all);
    free(sim->named_users);
    free(sim->iothread);
    free(sim->fixed_users);
    free(sim->pu);
    *sim = (struct vp_sim){0};
}
