/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/moving.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/guestnuma.h"
#include "decide/vcpus.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/room.h"

struct defrag {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    struct vp_room room;
    struct vp_domain *domain; /* --for; owned; NULL without */
    struct vp_choice choice;
    struct vp_defrag answer;
    bool found;
    enum vp_moved *moved; /* of each move; owned */
    size_t begun;         /* moves that were tried */
    char why[VP_ERROR_TEXT];
};

/* ---- for whom ---- */

static bool is_file(const char *word)
{
    struct stat st;

    return strchr(word, '/') || (stat(word, &st) == 0 && S_ISREG(st.st_mode));
}

static int read_domain(struct defrag *defrag, const char *word, struct vp_error *err)
{
    VP_AUTO(free) char *xml = NULL;
    size_t length;
    xmlDoc *doc;
    int result;

    if ((is_file(word) ? vp_ctl_read(word, &xml, &length, err)
                       : vp_ctl_definition(defrag->engine, word, &xml, &length, err)) != 0)
        return -1;
    doc = vp_xml_parse(xml, length, err);
    if (!doc)
        return vp_wrap(err, "%s", word);
    result = vp_domain_read(xmlDocGetRootElement(doc), &defrag->domain, err);
    xmlFreeDoc(doc);
    return result == 0 ? 0 : vp_wrap(err, "%s", word);
}

/* The guest as it would be started: as its policy wants it. */
static int read_target(struct defrag *defrag, struct vp_error *err)
{
    const char *word = vp_ctl_option(defrag->ctl, "for");

    if (!word)
        return 0;
    if (read_domain(defrag, word, err) != 0)
        return -1;
    vp_engine_choose(defrag->engine, defrag->domain, &defrag->choice);
    if (!defrag->choice.policy || defrag->choice.policy->mode != VP_MODE_ENFORCE)
        return vp_fail(err, VP_REFUSED, "no policy that is in force puts %s anywhere",
                       defrag->domain->name);
    vp_vcpus_foresee(defrag->domain, defrag->choice.policy);
    vp_guest_numa_foresee(defrag->domain, defrag->choice.policy);
    for (size_t i = 0; i < defrag->room.rows.count; i++) {
        const struct vp_guest_row *row = &defrag->room.rows.item[i];

        if (strcmp(row->uuid, defrag->domain->uuid) == 0 && row->state == VP_GUEST_RUNNING &&
            !row->unplaced && !vp_plan_without_room(row->plan))
            return vp_fail(err, VP_REFUSED, "%s runs, and has its place", row->name);
    }
    return 0;
}

/* ---- the moves ---- */

/* What a guest has before one of the moves. */
static const struct vp_plan *before(const struct defrag *defrag, size_t move)
{
    size_t guest = defrag->answer.move[move].guest;
    const struct vp_plan *plan = defrag->room.guest[guest].plan;

    for (size_t i = 0; i < move; i++)
        if (defrag->answer.move[i].guest == guest)
            plan = defrag->answer.move[i].plan;
    return plan;
}

/* From what it has to what it is to have. */
static enum vp_moved move_one(struct defrag *defrag, size_t move, const struct vp_plan *from,
                              const struct vp_plan *to, struct vp_error *err)
{
    struct vp_guest_row row = *defrag->room.row[defrag->answer.move[move].guest];

    row.plan = (struct vp_plan *)from; /* borrowed, not changed */
    return vp_move_guest(defrag->engine, &row, to, &defrag->room.gen, err);
}

static void add_why(struct defrag *defrag, const char *name, const char *what, const char *why)
{
    size_t used = strlen(defrag->why);

    snprintf(defrag->why + used, sizeof(defrag->why) - used, "%s%s %s: %.300s", used ? "; " : "",
             name, what, why);
}

static const char *name_of(const struct defrag *defrag, size_t move)
{
    return defrag->room.row[defrag->answer.move[move].guest]->name;
}

/* The guest that asked does not get in: those that made room for it go back, the last first, until
 * one cannot. */
static void take_back(struct defrag *defrag, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        struct vp_error err = {0};
        enum vp_moved moved =
            move_one(defrag, i, defrag->answer.move[i].plan, before(defrag, i), &err);

        if (moved == VP_MOVE_DONE) {
            defrag->moved[i] = VP_MOVE_UNDONE;
            continue;
        }
        if (moved == VP_MOVE_LEFT)
            defrag->moved[i] = VP_MOVE_LEFT;
        add_why(defrag, name_of(defrag, i), "stays where it was moved to", err.text);
        return;
    }
}

static void make_moves(struct defrag *defrag)
{
    for (size_t i = 0; i < defrag->answer.count; i++) {
        struct vp_error err = {0};

        defrag->moved[i] =
            move_one(defrag, i, before(defrag, i), defrag->answer.move[i].plan, &err);
        defrag->begun++;
        if (defrag->moved[i] == VP_MOVE_DONE)
            continue;
        add_why(defrag, name_of(defrag, i),
                defrag->moved[i] == VP_MOVE_UNDONE ? "is where it was" : "was not moved", err.text);
        /* Without a target each move is for the better by itself. */
        if (defrag->domain)
            take_back(defrag, i);
        return;
    }
}

/* ---- what is said ---- */

static char *cpus_of(const struct vp_plan *plan)
{
    struct vp_cpuset cpus;

    vp_plan_exclusive(plan, &cpus);
    if (vp_cpuset_empty(&cpus))
        cpus = plan->fixed_cpus;
    return vp_cpuset_format(&cpus);
}

static json_object *cost_json(const struct vp_defrag_cost *cost)
{
    json_object *object = vp_json_object();

    vp_json_int(object, "nodes", cost->nodes);
    vp_json_int(object, "l3s", cost->l3s);
    vp_json_int(object, "shared_cores", cost->shared);
    vp_json_int(object, "broken_cores", cost->broken);
    vp_json_int(object, "missing_cpus", cost->missing);
    return object;
}

static json_object *move_json(const struct defrag *defrag, size_t i)
{
    const struct vp_guest_row *row = defrag->room.row[defrag->answer.move[i].guest];
    VP_AUTO(free) char *from = cpus_of(before(defrag, i));
    VP_AUTO(free) char *to = cpus_of(defrag->answer.move[i].plan);
    json_object *object = vp_json_object();

    vp_json_string(object, "guest", row->name);
    vp_json_string(object, "uuid", row->uuid);
    vp_json_string(object, "from", from);
    vp_json_string(object, "to", to);
    vp_json_string(object, "state",
                   i < defrag->begun ? vp_moved_word(defrag->moved[i]) : "planned");
    vp_json_add(object, "threads",
                vp_moved_threads(before(defrag, i), defrag->answer.move[i].plan));
    return object;
}

static void print_json(const struct defrag *defrag, bool done)
{
    json_object *object = vp_json_new("virtpin.defrag/1"), *moves = vp_json_array();
    json_object *place = NULL;

    vp_json_time(object, "time", vp_now_ms());
    vp_json_string(object, "for", defrag->domain ? defrag->domain->name : NULL);
    vp_json_bool(object, "dry_run", vp_ctl_option(defrag->ctl, "dry-run") != NULL);
    vp_json_bool(object, "found", defrag->found);
    vp_json_bool(object, "done", done);
    for (size_t i = 0; i < defrag->answer.count; i++)
        vp_json_push(moves, move_json(defrag, i));
    vp_json_add(object, "moves", moves);
    if (defrag->answer.plan) {
        VP_AUTO(free) char *cpus = cpus_of(defrag->answer.plan);

        place = vp_json_object();
        vp_json_string(place, "cpus", cpus);
        vp_json_cpus(place, "nodes", &defrag->answer.plan->nodes);
    }
    vp_json_add(object, "place", place);
    vp_json_add(object, "before", defrag->domain ? NULL : cost_json(&defrag->answer.before));
    vp_json_add(object, "after", defrag->domain ? NULL : cost_json(&defrag->answer.after));
    vp_json_int(object, "tries", defrag->answer.tries);
    vp_json_bool(object, "complete", defrag->answer.complete);
    vp_json_string(object, "why", defrag->why[0] ? defrag->why : NULL);
    vp_json_print(object);
}

static void print_move(const struct defrag *defrag, size_t i, bool dry)
{
    VP_AUTO(free) char *from = cpus_of(before(defrag, i));
    VP_AUTO(free) char *to = cpus_of(defrag->answer.move[i].plan);

    printf("%s %s: CPUs %s -> %s\n", dry ? "would move" : "moved",
           defrag->room.row[defrag->answer.move[i].guest]->name, from ? from : "?", to ? to : "?");
}

static void print_cost(const char *when, const struct vp_defrag_cost *cost)
{
    printf("%s: %u node%s and %u L3%s in all, %u core%s shared by guests, %u partly free, the "
           "freest node %u CPU%s short of a whole one\n",
           when, cost->nodes, cost->nodes == 1 ? "" : "s", cost->l3s, cost->l3s == 1 ? "" : "s",
           cost->shared, cost->shared == 1 ? "" : "s", cost->broken, cost->missing,
           cost->missing == 1 ? "" : "s");
}

static void print_text(const struct defrag *defrag, bool dry, bool done)
{
    for (size_t i = 0; i < defrag->answer.count; i++)
        if (dry || (i < defrag->begun && defrag->moved[i] == VP_MOVE_DONE))
            print_move(defrag, i, dry);
    if (defrag->why[0])
        fprintf(stderr, "virtpin: %s\n", defrag->why);
    if (defrag->domain && defrag->answer.plan && (dry || done)) {
        VP_AUTO(free) char *cpus = cpus_of(defrag->answer.plan);

        printf("%s %s on %s%s\n", defrag->domain->name,
               defrag->answer.count == 0 ? "fits as it is,"
               : dry                     ? "would fit then,"
                                         : "fits now,",
               cpus && cpus[0] ? "CPUs " : "the shared pool", cpus ? cpus : "?");
    }
    if (defrag->domain)
        return;
    if (defrag->answer.count == 0) {
        printf("no single move makes it better\n");
        return;
    }
    print_cost("before", &defrag->answer.before);
    print_cost(dry ? "then" : "after", &defrag->answer.after);
}

/* ---- the verb ---- */

static void say_no_way(struct defrag *defrag)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_error why = {0};

    vp_engine_would(defrag->engine, defrag->domain, &defrag->choice, &plan, NULL, NULL, &why);
    snprintf(defrag->why, sizeof(defrag->why), "%s: %s %.800s", defrag->domain->name,
             defrag->answer.complete ? "moving guests would not make room:"
                                     : "no way to make room was found, though not everything was "
                                       "tried:",
             why.text);
}

static int run(struct defrag *defrag, struct vp_error *err)
{
    bool dry = vp_ctl_option(defrag->ctl, "dry-run") != NULL, done = false;
    int result;

    if (vp_room_read(defrag->engine, &defrag->room, err) != 0 || read_target(defrag, err) != 0)
        return -1;
    vp_waiting("looking for guests to move", 0);
    result = vp_room_search(defrag->engine, &defrag->room, defrag->domain, &defrag->choice, 0,
                            &defrag->answer);
    vp_waited();
    defrag->moved = calloc(defrag->answer.count + 1, sizeof(*defrag->moved));
    if (result < 0 || !defrag->moved)
        return vp_fail(err, VP_HOST, "out of memory");
    defrag->found = result == 1;
    if (!defrag->found)
        say_no_way(defrag);
    else if (!dry)
        make_moves(defrag);
    done = defrag->found && !defrag->why[0] && !dry;
    if (defrag->ctl->json)
        print_json(defrag, done);
    else
        print_text(defrag, dry, done);
    return done || (dry && defrag->found) ? VP_EXIT_GOOD : VP_EXIT_FINDING;
}

int vp_verb_defrag(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct defrag defrag = {.ctl = ctl, .engine = &engine};
    int status;

    if (vp_ctl_open_acting(ctl, &engine, err) != 0)
        return -1;
    status = run(&defrag, err);
    vp_defrag_clear(&defrag.answer);
    vp_domain_free(defrag.domain);
    vp_room_clear(&defrag.room);
    free(defrag.moved);
    return status;
}
