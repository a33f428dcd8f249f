/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking all that runs into the ledger. Needs the policies of every guest, which
 * the hook's worker does not have at hand (hook/known.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"
#include "host/threads.h"

struct running {
    char *name;
    uint64_t start;
};

static int by_start(const void *a, const void *b)
{
    const struct running *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Process starts of the running guests, oldest first. */
static int list_running(struct vp_engine *engine, struct running **running, size_t *count,
                        struct vp_error *err)
{
    char **names = NULL;

    *running = NULL;
    if (vp_status_names(engine->status_dir, &names, count, err) < 0)
        return -1;
    *running = calloc(*count + 1, sizeof(**running));
    for (size_t i = 0; i < *count; i++) {
        VP_AUTO(vp_status) struct vp_status *status = NULL;

        if (!*running) {
            free(names[i]);
            continue;
        }
        (*running)[i].name = names[i];
        if (vp_status_load(engine->status_dir, names[i], &status, NULL) == 0)
            (*running)[i].start = vp_process_start("/proc", status->pid);
    }
    free(names);
    if (!*running)
        return vp_fail(err, VP_HOST, "out of memory");
    qsort(*running, *count, sizeof(**running), by_start);
    return 0;
}

struct ended {
    const struct vp_engine *engine;
    int64_t now_ms;
    struct vp_guest_rows rows;
};

static int note_ended(void *data, struct vp_guest_row *row, struct vp_error *err)
{
    struct ended *ended = data;
    struct vp_guest_row *item;

    if (!vp_row_over(ended->engine, row, ended->now_ms))
        return 0;
    item = reallocarray(ended->rows.item, ended->rows.count + 1, sizeof(*item));
    if (!item)
        return vp_fail(err, VP_HOST, "out of memory");
    ended->rows.item = item;
    item[ended->rows.count++] = *row;
    *row = (struct vp_guest_row){0};
    return 0;
}

static int free_ended(struct vp_engine *engine, unsigned *freed, struct vp_error *err)
{
    struct ended ended = {.engine = engine, .now_ms = vp_now_ms()};
    int result = vp_ledger_each_guest(engine->ledger, note_ended, &ended, err);

    if (result == 0 && ended.rows.count > 0) {
        result = vp_ledger_begin(engine->ledger, err);
        if (result == 0)
            result = vp_engine_remove_ended(engine, &ended.rows, freed, err);
        if (result == 0)
            result = vp_ledger_commit(engine->ledger, err);
        if (result < 0)
            vp_ledger_rollback(engine->ledger);
    }
    vp_guest_rows_clear(&ended.rows);
    return result;
}

int vp_engine_adopt_all(struct vp_engine *engine, bool *changed, struct vp_error *err)
{
    struct running *running = NULL;
    unsigned events = 0;
    size_t count = 0;
    int result = free_ended(engine, &events, err);
    bool whole = result == 0;

    if (changed)
        *changed = false;
    if (list_running(engine, &running, &count, err) < 0)
        return -1;
    vp_engine_keep(engine, true);
    for (size_t i = 0; i < count; i++) {
        struct vp_error own = {0};
        bool adopted = false, unreadable = false;

        if (vp_engine_adopt_one(engine, running[i].name, &adopted, &unreadable, &own) < 0 &&
            own.code != VP_GONE) {
            whole = whole && unreadable;
            if (result == 0 && err)
                *err = own;
            result = -1;
        }
        events += adopted;
        free(running[i].name);
    }
    vp_engine_keep(engine, false);
    free(running);
    if (vp_ledger_rebuilt(engine->ledger))
        vp_engine_reserve_all(engine);
    /* a guest that cannot be read would keep every other from starting */
    if (whole && vp_ledger_rebuilt(engine->ledger) &&
        vp_ledger_adopted(engine->ledger, result == 0 ? err : NULL) < 0)
        result = -1;
    if (changed)
        *changed = events > 0;
    return result;
}
