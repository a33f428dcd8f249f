/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What guests hold, between the decisions of one pass over all of them: reading
 * every row for each of a thousand guests took a minute and a half. */
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "host/engine_priv.h"

struct vp_kept {
    struct vp_holding *item;
    size_t count, room;
    uint64_t gen; /* of the ledger that they are of */
    bool valid;
};

void vp_engine_keep(struct vp_engine *engine, bool keep)
{
    if (keep && !engine->kept)
        engine->kept = calloc(1, sizeof(*engine->kept)); /* without memory: not kept */
    if (keep || !engine->kept)
        return;
    free(engine->kept->item);
    free(engine->kept);
    engine->kept = NULL;
}

void vp_kept_drop(struct vp_engine *engine)
{
    if (engine->kept)
        engine->kept->valid = false;
}

void vp_kept_put(struct vp_engine *engine, const struct vp_guest_row *row)
{
    struct vp_kept *kept = engine->kept;
    struct vp_holding *item;
    size_t at = 0;

    if (!kept || !kept->valid)
        return;
    /* a decision in between that was not read */
    if (row->gen > kept->gen + 1) {
        kept->valid = false;
        return;
    }
    while (at < kept->count && strcmp(kept->item[at].uuid, row->uuid) != 0)
        at++;
    if (at == kept->room) {
        size_t room = kept->room ? kept->room * 2 : 16;

        item = reallocarray(kept->item, room, sizeof(*item));
        if (!item) {
            kept->valid = false;
            return;
        }
        kept->item = item;
        kept->room = room;
    }
    kept->count += at == kept->count;
    vp_holding_of(engine->topology, row, &kept->item[at]);
    if (row->gen > kept->gen) /* else only what is said of it changed */
        kept->gen = row->gen;
}

/* Others may have decided since. */
static int refresh(struct vp_engine *engine, struct vp_error *err)
{
    struct vp_kept *kept = engine->kept;
    uint64_t gen;

    if (vp_ledger_gen(engine->ledger, &gen, err) < 0)
        return -1;
    if (kept->valid && kept->gen == gen)
        return 0;
    kept->valid = false;
    free(kept->item);
    kept->item = NULL;
    kept->count = kept->room = 0;
    if (vp_engine_holdings(engine, &kept->item, &kept->count, err) < 0)
        return -1;
    kept->room = kept->count;
    kept->gen = gen;
    kept->valid = true;
    return 0;
}

int vp_holdings_now(struct vp_engine *engine, const struct vp_holding **holding, size_t *count,
                    struct vp_holding **own, struct vp_error *err)
{
    *own = NULL;
    if (!engine->kept || !engine->ledger) {
        if (vp_engine_holdings(engine, own, count, err) < 0)
            return -1;
        *holding = *own;
        return 0;
    }
    if (refresh(engine, err) < 0)
        return -1;
    *holding = engine->kept->item;
    *count = engine->kept->count;
    return 0;
}
