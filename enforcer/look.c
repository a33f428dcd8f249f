/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/sync.h"
#include "enforcer/trace.h"

/* A write is the likely cause of a mask that changed at most this much later. */
#define LIKELY_US 1000000

void vp_look_clear(struct vp_look *look)
{
    vp_threads_clear(&look->threads);
    vp_seen_clear(&look->seen);
    vp_pins_clear(&look->pins);
    vp_diffs_clear(&look->diffs);
    free(look->repair);
    vp_seen_clear(&look->touched);
}

static int see(struct vp_look *look, struct vp_error *err)
{
    const struct vp_engine *engine = &look->enforcer->engine;
    struct vp_watched *guest = look->guest;

    if (vp_pin_look(&engine->cgroups, &look->threads, guest->root, &look->seen, err) < 0)
        return -1;
    if (vp_packed_get(&guest->pins, &look->pins) < 0 ||
        vp_drift_compare(&look->pins, look->seen.item, look->seen.count, &engine->topology->online,
                         &look->diffs) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return 0;
}

static int make_room(struct vp_look *look, struct vp_error *err)
{
    if (look->diffs.count == 0)
        return 0;
    look->repair = calloc(look->diffs.count, sizeof(*look->repair));
    look->touched.item = calloc(look->seen.count + 1, sizeof(*look->touched.item));
    if (!look->repair || !look->touched.item)
        return vp_fail(err, VP_HOST, "out of memory");
    return 0;
}

static bool same(const struct vp_threads *a, const struct vp_threads *b)
{
    return a->count == b->count && memcmp(a->item, b->item, a->count * sizeof(*a->item)) == 0;
}

int vp_look_all(struct vp_look *look, struct vp_error *err)
{
    struct vp_watched *guest = look->guest;
    struct vp_engine *engine = &look->enforcer->engine;

    if (vp_watched_refresh(guest, engine, err) < 0)
        return -1;
    /* Whoever read the status anew: a sync does, too. */
    vp_sync_outgrown(look->enforcer, guest);
    if (vp_threads_list(&engine->cgroups, guest->row.pid, guest->status, guest->root,
                        &look->threads, err) < 0)
        return -1;
    /* One that has ended has other threads, if its number is another's now. */
    if (!same(&look->threads, &guest->threads) && !vp_sync_lives(&guest->row))
        return vp_fail(err, VP_GONE, "process %d has ended", (int)guest->row.pid);
    /* First, so that no change falls between seeing and following. */
    vp_trace_follow(look->enforcer->trace, &guest->followed, &look->threads);
    return see(look, err) < 0 ? -1 : make_room(look, err);
}

int vp_look_some(struct vp_look *look, struct vp_error *err)
{
    if (see(look, err) < 0)
        return -1;
    vp_drift_drop_missing(&look->diffs);
    return make_room(look, err);
}

const char *vp_look_group(const struct vp_look *look, const struct vp_diff *diff)
{
    for (size_t i = 0; i < look->seen.count; i++) {
        if (look->seen.item[i].tid == diff->tid && look->seen.item[i].role == diff->role)
            return look->seen.item[i].group;
    }
    return "";
}

void vp_look_culprit(const struct vp_look *look, const struct vp_diff *diff, struct vp_culprit *by,
                     int64_t *event_us)
{
    const struct vp_write *write;
    const struct vp_call *call;
    char where[sizeof(diff->where)];

    *by = (struct vp_culprit){.uid = -1};
    *event_us = look->guest->event_us ? look->guest->event_us : look->now_us;
    if (diff->kind == VP_DRIFT_AFFINITY)
        snprintf(where, sizeof(where), "%.490s/cpuset.cpus", vp_look_group(look, diff));
    else
        snprintf(where, sizeof(where), "%s", diff->where);
    call = diff->kind == VP_DRIFT_AFFINITY || diff->kind == VP_DRIFT_GROUP
               ? vp_watched_call(look->guest, diff->tid)
               : NULL;
    write = vp_watched_write(look->guest, where);
    /* A cpuset changes the masks of its threads, too: the later one it was. */
    if (call && !call->scheduler && (!write || write->at_us < call->at_us)) {
        *by = call->by;
        *event_us = call->at_us;
        return;
    }
    if (!write || (diff->kind == VP_DRIFT_AFFINITY && look->now_us - write->at_us > LIKELY_US))
        return;
    *by = write->by;
    by->exact = diff->kind != VP_DRIFT_AFFINITY && write->by.pid > 0;
    *event_us = write->at_us;
}
