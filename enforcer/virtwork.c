/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/virtwork.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "enforcer/virtdefinition.h"
#include "enforcer/virtside_priv.h"
#include "enforcer/watched.h"
#include "host/engine.h"
#include "host/journal.h"
#include "host/virt.h"

#define SECOND_US 1000000
#define LOCK_MS 2000
/* What is asked of a guest that libvirt knows. */
#define GUEST_WANTS (VP_VIRT_TELL | VP_VIRT_UNTELL | VP_VIRT_DEFINITION)

/* A worker's own engine: SQLite handles are not shared between threads. Open
 * only while there is work. Its own connection, too: libvirt before 10.4 lets
 * one of several threads that wait for answers on one connection use the stack
 * of another (CVE-2024-4418). */
struct work {
    struct vp_virtside *side;
    virConnectPtr connection;
    unsigned epoch;
    struct vp_engine engine;
    bool open;
    unsigned generation;
};

static void close_engine(struct work *work)
{
    if (work->open)
        vp_engine_close(&work->engine);
    work->engine = (struct vp_engine){0};
    work->open = false;
}

static int open_engine(struct work *work, struct vp_error *err)
{
    unsigned generation = atomic_load(&work->side->generation);

    if (work->open && generation == work->generation)
        return 0;
    close_engine(work);
    work->open = true;
    work->generation = generation;
    work->engine.lock_ms = LOCK_MS;
    if (vp_engine_open_here(&work->engine, work->side->where, work->side->topology, err) < 0)
        return -1;
    work->engine.lock_ms = LOCK_MS;
    return vp_engine_ledger(&work->engine, true, err);
}

/* What of the guest is to be known before libvirt is asked. */
struct facts {
    struct vp_guest_row row;
    bool in_ledger;
    struct vp_status *status; /* NULL: it does not run */
};

static void clear_facts(struct facts *facts)
{
    vp_guest_row_clear(&facts->row);
    vp_status_free(facts->status);
}

static int read_facts(struct work *work, virDomainPtr domain, const char *uuid, struct facts *facts,
                      struct vp_error *err)
{
    int found = vp_ledger_guest(work->engine.ledger, uuid, &facts->row, err);

    if (found < 0)
        return -1;
    facts->in_ledger = found > 0;
    if (vp_status_load(work->engine.status_dir, virDomainGetName(domain), &facts->status, err) <
            0 &&
        err->code != VP_GONE)
        return -1;
    *err = (struct vp_error){0};
    return 0;
}

/* A hook of the guest runs, or is about to; a job owns it. */
static bool is_busy(const struct facts *facts)
{
    if (facts->in_ledger && facts->row.state == VP_GUEST_LEASE &&
        strcmp(facts->row.operation, "stopped") != 0)
        return true;
    return facts->status && (facts->status->job || facts->status->migrating);
}

static bool in_force(const struct facts *facts)
{
    return facts->in_ledger && facts->row.state == VP_GUEST_RUNNING && facts->row.plan &&
           !facts->row.unplaced && facts->row.plan->mode == VP_MODE_ENFORCE;
}

static int tell(struct work *work, virDomainPtr domain, const struct facts *facts,
                struct vp_error *err)
{
    struct vp_cpuset pool;
    struct vp_pins pins = {0};
    unsigned told = 0;
    int result = 0;

    if (!in_force(facts) || !facts->status || !work->engine.set->host.tell_libvirt)
        return 0;
    if (vp_engine_pool(&work->engine, facts->row.plan->pool, &pool, err) < 0)
        return -1;
    /* what libvirt cannot write it refuses, time and again */
    vp_engine_pool_within(&work->engine, facts->status->domain->partition, &pool);
    if (vp_plan_resolve(facts->row.plan, &pool, &pins) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    if (pins.count > 0)
        result = vp_virt_tell_pins(domain, &pins, &facts->status->domain->pins,
                                   facts->row.plan->policy, &told, err);
    if (result == 0)
        result =
            vp_virt_set_tuning(domain, &facts->row.plan->tuning, &facts->status->domain->tuning,
                               VIR_DOMAIN_AFFECT_LIVE, &told, err);
    vp_pins_clear(&pins);
    return result;
}

/* Whether libvirt has pins of ours for a guest that the policies leave to its
 * definition, now and not only until it is adopted. */
static bool left_to_definition(struct work *work, const struct facts *facts)
{
    struct vp_choice choice;

    if (!facts->status || !facts->status->domain->applied_policy ||
        !work->engine.set->host.tell_libvirt)
        return false;
    if (in_force(facts) && facts->row.plan->placement != VP_PLACE_NONE)
        return false;
    vp_engine_choose(&work->engine, facts->status->domain, &choice);
    return !choice.policy || choice.policy->mode != VP_MODE_ENFORCE ||
           choice.policy->placement == VP_PLACE_NONE;
}

/* The pins that virtpin told become the definition's; where libvirt knows of
 * none nothing is told. */
static int untell(struct work *work, virDomainPtr domain, const struct facts *facts,
                  struct vp_error *err)
{
    const struct vp_domain *live = facts->status->domain;
    struct vp_pins own = {0}, pins = {0};
    unsigned told = 0;
    int result;

    result = vp_engine_unmanaged_pins(&work->engine, live, &own, err);
    for (size_t i = 0; result == 0 && i < own.count; i++)
        if (vp_pins_find(&live->pins, own.item[i].role, own.item[i].index) &&
            vp_pins_add(&pins, own.item[i].role, own.item[i].index, &own.item[i].cpus) < 0)
            result = vp_fail(err, VP_HOST, "out of memory");
    if (result == 0)
        result = vp_virt_set_pins(domain, &pins, &live->pins, VIR_DOMAIN_AFFECT_LIVE, &told, err);
    /* The mark last: whoever is killed in between is followed by one who sees it. */
    if (result == 0)
        result = vp_virt_mark(domain, NULL, VIR_DOMAIN_AFFECT_LIVE, &told, err);
    vp_pins_clear(&own);
    vp_pins_clear(&pins);
    return result;
}

/* A prepare lease that stays: libvirt says whether there is a start at all. */
static int end_lease(struct work *work, virConnectPtr connection, const struct vp_task *task,
                     struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
    struct vp_guest_row row = {0};
    int active = 0;
    bool same;

    if (vp_ledger_guest(work->engine.ledger, task->uuid, &row, err) <= 0)
        return -1;
    domain = vp_virt_domain(connection, task->uuid, err);
    if (!domain && err->code != VP_GONE) {
        vp_guest_row_clear(&row);
        return -1;
    }
    *err = (struct vp_error){0};
    active = domain ? virDomainIsActive(domain) : 0;
    same = row.state == VP_GUEST_LEASE && strcmp(row.operation, "prepare") == 0;
    vp_guest_row_clear(&row);
    if (active < 0)
        return vp_virt_fail(err, "asking whether %s runs", task->uuid);
    return active == 0 && same ? vp_engine_free(&work->engine, task->uuid, 0, err) : 0;
}

/* Undefined, and not defined again since? A transient domain has no definition
 * to keep anything for either. */
static int check_undefined(struct work *work, virConnectPtr connection, const struct vp_task *task,
                           struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = vp_virt_domain(connection, task->uuid, err);
    int persistent = domain ? virDomainIsPersistent(domain) : 0;

    if ((!domain && err->code != VP_GONE) || persistent < 0)
        return -1;
    *err = (struct vp_error){0};
    return persistent
               ? 0
               : vp_virtdefinition_gone(&work->side->definitions, &work->engine, task->uuid, err);
}

/* Returns the wants that are to be tried again. */
static unsigned work_on(struct work *work, virConnectPtr connection, const struct vp_task *task,
                        struct vp_error *err)
{
    VP_AUTO(virDomainPtr) virDomainPtr domain = NULL;
    struct facts facts = {0};
    unsigned again = 0;

    if ((task->wants & VP_VIRT_LEASE) && end_lease(work, connection, task, err) < 0)
        return 0; /* the next sweep asks again */
    if ((task->wants & VP_VIRT_UNDEFINED) && check_undefined(work, connection, task, err) < 0)
        again |= VP_VIRT_UNDEFINED;
    if (!(task->wants & GUEST_WANTS))
        return again;
    domain = vp_virt_domain(connection, task->uuid, err);
    if (!domain)
        return err->code == VP_GONE ? 0 : task->wants;
    if (read_facts(work, domain, task->uuid, &facts, err) < 0 || is_busy(&facts)) {
        clear_facts(&facts);
        return task->wants & GUEST_WANTS;
    }
    if ((task->wants & VP_VIRT_TELL) && tell(work, domain, &facts, err) < 0)
        again |= VP_VIRT_TELL;
    if ((task->wants & VP_VIRT_UNTELL) && left_to_definition(work, &facts) &&
        untell(work, domain, &facts, err) < 0)
        again |= VP_VIRT_UNTELL;
    if ((task->wants & VP_VIRT_DEFINITION) &&
        vp_virtdefinition(&work->side->definitions, &work->engine, domain, err) < 0)
        again |= VP_VIRT_DEFINITION;
    clear_facts(&facts);
    return err->code == VP_GONE ? 0 : again;
}

static int64_t delay_of(const struct vp_task *task)
{
    return SECOND_US * (task->tries < 5 ? 1LL << task->tries : 30LL);
}

/* NULL: there is no libvirt now, which is no error, or *err. */
static virConnectPtr connection_of(struct work *work, struct vp_error *err)
{
    unsigned epoch = atomic_load(&work->side->epoch);

    if (work->connection && (work->epoch != epoch || virConnectIsAlive(work->connection) != 1)) {
        virConnectClose(work->connection);
        work->connection = NULL;
    }
    if (!work->connection)
        work->connection = vp_virtside_connect(work->side, err);
    work->epoch = epoch;
    return work->connection;
}

static void do_task(struct work *work, const struct vp_task *task)
{
    struct vp_error err = {0};
    virConnectPtr connection = connection_of(work, &err);
    unsigned again = task->wants;

    if (connection && open_engine(work, &err) == 0)
        again = work_on(work, connection, task, &err);
    /* What is asked again is said once; what is given up is said. */
    if (err.code != VP_OK && err.code != VP_GONE && err.code != VP_BUSY && task->tries == 0)
        vp_journal(LOG_WARNING, VP_MSG_TROUBLE, &(struct vp_field){"VIRTPIN_UUID", task->uuid}, 1,
                   "%s: %s", task->uuid, err.text);
    if (err.code == VP_HOST)
        close_engine(work);
    vp_queue_done(&work->side->queue, task, again, delay_of(task));
}

void *vp_virtwork_thread(void *data)
{
    struct work work = {.side = data};
    struct vp_task task;

    for (;;) {
        if (!vp_queue_take(&work.side->queue, &task, false)) {
            close_engine(&work);
            vp_queue_take(&work.side->queue, &task, true);
        }
        do_task(&work, &task);
    }
    return NULL;
}

static void want_of_all(struct vp_virtside *side, virConnectPtr connection, unsigned flags,
                        unsigned wants)
{
    virDomainPtr *domains = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN];
    int count = virConnectListAllDomains(connection, &domains, flags);

    for (int i = 0; i < count; i++) {
        if (virDomainGetUUIDString(domains[i], uuid) == 0)
            vp_queue_want(&side->queue, uuid, wants);
        virDomainFree(domains[i]);
    }
    free(domains);
}

void vp_virtwork_all(struct vp_virtside *side, virConnectPtr connection)
{
    want_of_all(side, connection, VIR_CONNECT_LIST_DOMAINS_PERSISTENT, VP_VIRT_DEFINITION);
    want_of_all(side, connection, VIR_CONNECT_LIST_DOMAINS_ACTIVE, VP_VIRT_UNTELL);
}
