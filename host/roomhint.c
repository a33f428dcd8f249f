/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a refusal adds; apart, because the hook's worker has only one guest's
 * policies and starts over for it (hook/known.c). */
#include <stdio.h>

#include "host/engine_priv.h"
#include "host/room.h"

/* Of the search's tries: the guest that is refused waits for it. */
enum { SHARE = 10 };

static void name_guests(const struct vp_room *room, const struct vp_defrag *answer, char *text,
                        size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < answer->count && i < 3 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.60s", i > 0 ? ", " : "",
                                 room->row[answer->move[i].guest]->name);
    if (answer->count > 3 && used < size)
        snprintf(text + used, size - used, " and %zu more", answer->count - 3);
}

bool vp_engine_room(struct vp_engine *engine, const struct vp_domain *domain,
                    const struct vp_choice *choice, char *text, size_t size)
{
    struct vp_room room = {0};
    struct vp_defrag answer = {0};
    char names[256] = "";
    bool helps = false;

    if (engine->ledger && choice->policy && choice->policy->mode == VP_MODE_ENFORCE &&
        vp_room_read(engine, &room, NULL) == 0) {
        helps = vp_room_search(engine, &room, domain, choice,
                               vp_defrag_tries(engine->topology) / SHARE, &answer) == 1 &&
                answer.count > 0;
        if (helps) {
            name_guests(&room, &answer, names, sizeof(names));
            snprintf(text, size, "moving %s would make room: virtpin defrag --for %.200s", names,
                     domain->name);
        }
    }
    vp_defrag_clear(&answer);
    vp_room_clear(&room);
    return helps;
}
