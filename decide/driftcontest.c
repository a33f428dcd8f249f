/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/drift.h"

#include <string.h>

/* When repairs and somebody else's writes take turns. */

#define FIRST_BACKOFF_MS 1000
#define LAST_BACKOFF_MS (5 * 60 * 1000)
#define OVER_MS (10 * 60 * 1000)
#define RING (sizeof(((struct vp_contest *)0)->repairs) / sizeof(int64_t))

/* Repairs not older than the window; a clock set back makes old ones look
 * younger, which only makes us more patient. */
static unsigned recent(const struct vp_contest *contest, int64_t now_ms, int64_t window_ms)
{
    unsigned kept = contest->repair_count < RING ? contest->repair_count : RING, count = 0;

    for (unsigned i = 0; i < kept; i++)
        if (now_ms - contest->repairs[i] < window_ms)
            count++;
    return count;
}

bool vp_contest_may_repair(struct vp_contest *contest, int64_t now_ms, unsigned count,
                           int64_t window_ms, bool *began)
{
    *began = false;
    contest->last_seen_ms = now_ms;
    if (!contest->contested) {
        if (recent(contest, now_ms, window_ms) < count)
            return true;
        *began = true;
        contest->contested = true;
        contest->backoff_ms = FIRST_BACKOFF_MS;
        contest->next_repair_ms = now_ms + FIRST_BACKOFF_MS;
        return false;
    }
    if (contest->next_repair_ms - now_ms > contest->backoff_ms) /* the clock was set back */
        contest->next_repair_ms = now_ms + contest->backoff_ms;
    return now_ms >= contest->next_repair_ms;
}

void vp_contest_repaired(struct vp_contest *contest, int64_t now_ms)
{
    contest->repairs[contest->repair_count % RING] = now_ms;
    /* Past the ring's end the count keeps its place in it and stays small. */
    contest->repair_count++;
    if (contest->repair_count >= 2 * RING)
        contest->repair_count -= (unsigned)RING;
    if (!contest->contested)
        return;
    contest->backoff_ms *= 2;
    if (contest->backoff_ms > LAST_BACKOFF_MS)
        contest->backoff_ms = LAST_BACKOFF_MS;
    contest->next_repair_ms = now_ms + contest->backoff_ms;
}

bool vp_contest_over(struct vp_contest *contest, int64_t now_ms)
{
    if (!contest->contested || now_ms - contest->last_seen_ms < OVER_MS)
        return false;
    memset(contest, 0, sizeof(*contest));
    return true;
}
