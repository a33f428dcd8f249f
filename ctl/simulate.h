/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SIMULATE_H
#define VP_SIMULATE_H

#include <json-c/json.h>
#include <libxml/hash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "decide/domain.h"
#include "decide/plan.h"
#include "decide/policy.h"
#include "decide/topology.h"

struct vp_error;

/* A host that exists only in memory: guests start and stop, CPUs go and come,
 * and the planner of hook and enforcer decides. What it keeps grows with the
 * guests that live, not with the lines read. */

/* A policy written into a line; guests that were started with the same text share one. */
struct vp_sim_policy {
    struct vp_policy_set *set; /* holds this policy alone */
    char *text;                /* its key in vp_sim.policies */
    size_t users;
};

/* What a guest holds; a guest of the pool alone has none. */
struct vp_sim_booking {
    struct vp_cpuset exclusive, fixed;
    struct vp_cpuset used; /* of exclusive: without idle siblings */
    bool uses_pool;
    size_t memory_count;
    struct vp_node_memory memory[]; /* what it has of nodes; by their index, not their number */
};

/* Where a guest's PCI devices are. */
struct vp_sim_pci {
    struct vp_cpuset nodes;
    bool unknown;
};

struct vp_sim_guest {
    struct vp_sim_guest *before, *after; /* in order of start */
    char *id;
    unsigned vcpus, iothreads, vhost;
    uint64_t memory_kib;
    struct vp_sim_pci *pci; /* NULL: it has no devices */
    struct vp_guest_cell *cell;
    size_t cell_count;
    const struct vp_policy *policy;
    struct vp_sim_policy *own;      /* where it is no named policy */
    struct vp_sim_booking *booking; /* NULL: none */
    struct vp_sim_booking *home;    /* before it lost CPUs; NULL: it is at home */
    bool uses_pool;
    unsigned pool_vcpus;
};

struct vp_sim {
    const struct vp_policy_set *set; /* borrowed: [host] and named policies */
    struct vp_topology *topology;    /* borrowed, changed by cpu-offline and cpu-online */
    const char *sys_root;            /* borrowed: where the host's /sys is, NULL or "": nowhere */
    struct vp_pu *pu;                /* every CPU that was online at the beginning */
    size_t pu_count;
    struct vp_holding sum; /* what all guests hold, as one */
    uint32_t *fixed_users; /* by CPU: guests that hold it non-exclusively */
    size_t pool_users;     /* of the default pool */
    /* sum, and what guests have in each of [pool NAME]; NULL without such pools */
    struct vp_holding *all;
    size_t *named_users;
    xmlHashTable *guests, *policies; /* by id; by text */
    struct vp_sim_guest *first, *last;
    unsigned *iothread; /* ids 1, 2, ... */
    bool micros;        /* answers say how long the plan call took */
};

/* Fills *sim, which the caller zeroed; vp_sim_end is legal after a failure.
 * -1: VP_HOST. */
int vp_sim_begin(struct vp_sim *sim, const struct vp_policy_set *set, struct vp_topology *topology,
                 struct vp_error *err);
void vp_sim_end(struct vp_sim *sim);
static inline void vp_sim_cleanup(struct vp_sim *sim)
{
    vp_sim_end(sim);
}

/* Answers every line of `fd` on `out` until its end; what was answered is
 * flushed before a read may block. *bad counts bad lines. 0, or -1 with *err:
 * `fd` cannot be read, `out` not be written, or there is no memory. */
int vp_sim_stream(struct vp_sim *sim, int fd, FILE *out, size_t *bad, struct vp_error *err);

/* One line's object. *answer is the caller's. 0; 1: the line is bad and *err
 * (VP_INPUT) says why, nothing was changed; -1: VP_HOST. */
int vp_sim_line(struct vp_sim *sim, json_object *line, json_object **answer, struct vp_error *err);

/* ---- simulate_line.c: what a line says ---- */

#define VP_SIM_LINE_MAX (1u << 20)
#define VP_SIM_CELLS 128 /* QEMU's MAX_NODES */

enum vp_sim_op { VP_SIM_START, VP_SIM_STOP, VP_SIM_OFFLINE, VP_SIM_ONLINE };

struct vp_sim_request {
    enum vp_sim_op op;
    const char *id; /* of the line */
    int cpu;
    unsigned vcpus, iothreads, vhost;
    uint64_t memory_kib;
    struct vp_guest_cell *cell; /* owned */
    size_t cell_count;
    json_object *policy; /* of the line; NULL where absent */
    json_object *pci;    /* likewise */
};

/* Parses a line of `length` bytes strictly: one object, nothing after it, no
 * key twice, UTF-8. The caller puts *object. -1: VP_INPUT. */
int vp_sim_parse(const char *bytes, size_t length, json_object **object, struct vp_error *err);

/* What the object asks for; pointers into `object`. The caller frees
 * request->cell, also after -1: VP_INPUT (or VP_HOST without memory). */
int vp_sim_read(json_object *object, struct vp_sim_request *request, struct vp_error *err);

/* ---- simulate_policy.c ---- */

/* The guest's policy: by name, or made of the line's keys. 0, or -1: VP_INPUT,
 * VP_HOST. */
int vp_sim_take_policy(struct vp_sim *sim, json_object *policy, struct vp_sim_guest *guest,
                       struct vp_error *err);
void vp_sim_drop_policy(struct vp_sim *sim, struct vp_sim_guest *guest);

/* ---- simulate.c ---- */

/* What is left of the pool of that name, NULL: the default one. */
void vp_sim_pool(const struct vp_sim *sim, const char *name, struct vp_cpuset *pool);

/* ---- simulate_answer.c ---- */

struct vp_sim_times {
    bool told;
    double micros;
};
json_object *vp_sim_answer_placed(const struct vp_sim *sim, const struct vp_sim_guest *guest,
                                  const struct vp_plan *plan, const struct vp_sim_times *times);
/* Of a refusal: *answer where the placer refused, err's text where the planner did. */
json_object *vp_sim_answer_refused(const char *id, const struct vp_place_answer *answer,
                                   const struct vp_error *err, const struct vp_sim_times *times);
json_object *vp_sim_answer_stopped(const struct vp_sim *sim, const char *id);
/* Takes moved and stranded. */
json_object *vp_sim_answer_cpu(const struct vp_sim *sim, int cpu, json_object *moved,
                               json_object *stranded);
json_object *vp_sim_answer_bad(size_t line, const char *text);
/* The sentence of a refusal without other guests' names. */
const char *vp_sim_why(const struct vp_place_answer *answer, const struct vp_error *err);

#endif
