/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/finding.h"
#include "host/engine.h"
#include "version.h"

static void print_top(const struct vp_engine *engine, const struct vp_view *view)
{
    if (!view->enabled)
        printf("%sDISABLED%s: %s (virtpin enable ends it)\n", vp_colour(VP_RED), vp_colour_end(),
               view->disabled_why[0] ? view->disabled_why : "no reason given");
    if (!engine->stale)
        return;
    printf("%sPOLICY STALE%s: the last good set is in force, because of\n", vp_colour(VP_RED),
           vp_colour_end());
    vp_findings_print(&engine->findings);
}

static void print_enforcer(const struct vp_view *view)
{
    const struct vp_enforcer_facts *facts = &view->enforcer;
    char span[VP_TIME_TEXT], sweep[VP_TIME_TEXT];

    if (!facts->running) {
        printf("enforcer %sdown%s\n", vp_colour(VP_RED), vp_colour_end());
        return;
    }
    printf("enforcer %sup%s for %s, pid %d, libvirt %s", vp_colour(VP_GREEN), vp_colour_end(),
           vp_span_text(view->now_ms - facts->since_ms, span), (int)facts->pid,
           facts->libvirt[0] ? facts->libvirt : "unknown");
    if (facts->last_sweep_ms > 0)
        printf(", last sweep %s ago", vp_span_text(view->now_ms - facts->last_sweep_ms, sweep));
    printf("\n");
}

static void print_set(const char *name, const struct vp_cpuset *cpus, bool always)
{
    VP_AUTO(free) char *text = vp_cpuset_format(cpus);

    if (always || !vp_cpuset_empty(cpus))
        printf("  %s %s", name, text && text[0] ? text : "none");
}

static void print_cpus(const struct vp_topology *host, const struct vp_view *view)
{
    printf("CPUs:");
    print_set("online", &host->online, true);
    print_set("offline", &host->offline, false);
    print_set("reserved", &view->reserved, false);
    print_set("isolated", &host->isolated, false);
    print_set("dedicated", &view->dedicated, true);
    print_set("idle", &view->idle, false);
    print_set("shared", &view->shared, true);
    printf("\n");
}

/* A host with the default pool alone has said it all with "shared". */
static void print_pools(const struct vp_view *view)
{
    for (size_t i = 0; view->pool_count > 1 && i < view->pool_count; i++) {
        const struct vp_view_pool *pool = &view->pool[i];

        printf("pool %s:", pool->name);
        print_set("CPUs", &pool->cpus, true);
        printf("  vCPUs %u", pool->vcpus);
        if (pool->ratio > 0)
            printf(" of %u (ratio %u)", pool->ratio * vp_cpuset_count(&pool->cpus), pool->ratio);
        printf("\n");
    }
}

static enum vp_colour state_colour(enum vp_view_state state)
{
    return state == VP_VIEW_RUNNING ? VP_GREEN : state == VP_VIEW_UNPLACED ? VP_RED : VP_PLAIN;
}

static void drift_cell(struct vp_table *table, const struct vp_view_guest *guest)
{
    const struct {
        unsigned count;
        const char *word;
    } parts[] = {{guest->open, "open"},
                 {guest->contested, "contested"},
                 {guest->audit, "audit"},
                 {guest->repaired, "repaired"}};
    char text[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].count > 0)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u %s", used ? ", " : "",
                                     parts[i].count, parts[i].word);
    vp_table_cell(table, guest->open || guest->contested ? VP_RED : VP_PLAIN, text);
}

static void note_cell(struct vp_table *table, const struct vp_view *view,
                      const struct vp_view_guest *guest)
{
    const struct vp_memory_moving *moving = vp_view_moving(view, guest);
    char text[1024] = "", span[VP_TIME_TEXT];

    if (guest->exclusive_known && !guest->exclusive)
        snprintf(text, sizeof(text), "not exclusive");
    else if (guest->unplaced)
        snprintf(text, sizeof(text), "%s", guest->unplaced);
    else if (guest->held_until_ms > 0)
        snprintf(text, sizeof(text), "held for %s",
                 vp_span_text(guest->held_until_ms - view->now_ms, span));
    else if (guest->pending)
        snprintf(text, sizeof(text), "%s", guest->pending);
    else if (moving)
        snprintf(text, sizeof(text), "memory moves, %.0f%% done",
                 100 - 100 * (double)moving->left_kib / (double)moving->total_kib);
    vp_table_cell(table, VP_PLAIN, text);
}

static void print_guests(const struct vp_view *view)
{
    static const char *const heading[] = {"GUEST", "STATE", "POLICY", "MODE", "PLACEMENT",
                                          "CPUS",  "NODES", "DRIFT",  "NOTE"};
    struct vp_table table;

    if (view->guest_count == 0) {
        printf("no guest runs or holds CPUs\n");
        return;
    }
    vp_table_begin(&table, 9, heading);
    for (size_t i = 0; i < view->guest_count; i++) {
        const struct vp_view_guest *guest = &view->guest[i];

        vp_table_cell(&table, VP_PLAIN, guest->name);
        vp_table_cell(&table, state_colour(guest->state), vp_view_state_word(guest->state));
        vp_table_cell(&table, VP_PLAIN, guest->policy);
        vp_table_cell(&table, VP_PLAIN, vp_mode_word(guest->mode));
        vp_table_cell(&table, VP_PLAIN, vp_placement_word(guest->placement));
        vp_table_cell_cpus(&table, &guest->cpus);
        vp_table_cell_cpus(&table, &guest->nodes);
        drift_cell(&table, guest);
        note_cell(&table, view, guest);
    }
    vp_table_end(&table, 0);
}

static void cpus_or_nothing(struct vp_table *table, bool known, const struct vp_cpuset *cpus)
{
    if (known)
        vp_table_cell_cpus(table, cpus);
    else
        vp_table_cell(table, VP_PLAIN, "");
}

static void print_threads(const struct vp_view_guest *guest)
{
    static const char *const heading[] = {"THREAD", "TID",      "WANTED", "LIBVIRT",
                                          "CPUSET", "AFFINITY", "OK"};
    struct vp_table table;
    char text[64];

    if (guest->thread_count == 0)
        return;
    vp_table_begin(&table, 7, heading);
    for (size_t i = 0; i < guest->thread_count; i++) {
        const struct vp_view_thread *thread = &guest->thread[i];
        bool numbered = thread->role == VP_ROLE_VCPU || thread->role == VP_ROLE_IOTHREAD;

        snprintf(text, sizeof(text), numbered ? "%s %u" : "%s", vp_role_word(thread->role),
                 thread->index);
        vp_table_cell(&table, VP_PLAIN, text);
        snprintf(text, sizeof(text), "%d", (int)thread->tid);
        vp_table_cell(&table, VP_PLAIN, text);
        cpus_or_nothing(&table, thread->has_wanted, &thread->wanted);
        cpus_or_nothing(&table, thread->has_libvirt, &thread->libvirt);
        cpus_or_nothing(&table, thread->has_cpuset, &thread->cpuset);
        vp_table_cell_cpus(&table, &thread->affinity);
        vp_table_cell(&table, thread->ok ? VP_GREEN : VP_RED, thread->ok ? "yes" : "no");
    }
    vp_table_end(&table, 2);
}

static void print_moving(const struct vp_view *view, const struct vp_view_guest *guest)
{
    const struct vp_memory_moving *moving = vp_view_moving(view, guest);
    VP_AUTO(free) char *nodes = moving ? vp_cpuset_format(&moving->nodes) : NULL;
    char span[VP_TIME_TEXT];

    if (moving)
        printf("  memory moves to node %s: %.1f of %.1f MiB left after %s\n", nodes ? nodes : "?",
               (double)moving->left_kib / 1024, (double)moving->total_kib / 1024,
               vp_span_text(view->now_ms - moving->since_ms, span));
}

static void print_memory(const struct vp_view_guest *guest)
{
    uint64_t elsewhere = vp_view_elsewhere(guest);
    VP_AUTO(free) char *nodes = vp_cpuset_format(&guest->nodes);
    const char *separator = "  memory: ";

    for (int node = 0; guest->memory && node < VP_NODES_MAX; node++) {
        if (guest->memory->kib[node] == 0)
            continue;
        printf("%snode %d has %.1f MiB", separator, node, (double)guest->memory->kib[node] / 1024);
        separator = ", ";
    }
    if (guest->memory && nodes && nodes[0] && elsewhere > 0)
        printf("; %s%.1f MiB%s are not on its CPUs' nodes %s", vp_colour(VP_RED),
               (double)elsewhere / 1024, vp_colour_end(), nodes);
    if (guest->memory)
        printf("\n");
}

/* Those of the policies come first in the list; when stale they stand at the
 * top already. */
static void print_findings(const struct vp_engine *engine, const struct vp_view *view)
{
    size_t shown = engine->stale ? engine->findings.count : 0;
    struct vp_findings rest = {view->findings.item + shown, view->findings.count - shown};

    vp_findings_print(&rest);
}

void vp_status_text(const struct vp_engine *engine, const struct vp_view *view, bool threads)
{
    print_top(engine, view);
    printf("%s%s%s: virtpin %s, %zu %s, ", vp_colour(VP_BOLD), view->host, vp_colour_end(),
           VP_VERSION, engine->set->count, engine->set->count == 1 ? "policy" : "policies");
    print_enforcer(view);
    print_cpus(engine->topology, view);
    print_pools(view);
    print_guests(view);
    for (size_t i = 0; threads && i < view->guest_count; i++) {
        print_threads(&view->guest[i]);
        print_memory(&view->guest[i]);
        print_moving(view, &view->guest[i]);
    }
    print_findings(engine, view);
}
