/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What defrag makes of a move that fails: for another guest all are taken back, else those that
 * were made stay. The moves are a stand-in's, which notes them. */
#define vp_move_guest stand_in
#include "ctl/verb_defrag.c"

#include <check.h>

enum { GUESTS = 3, PLACES = 6 };

/* Guest a has plan 0 and is to have plan 3, and so on. */
static struct vp_plan plans[PLACES];
static char story[400];
static const char *spoilt; /* the step that fails, "b0>4" */
static enum vp_moved how;

static int number(const struct vp_plan *plan)
{
    return (int)(plan - plans);
}

enum vp_moved stand_in(struct vp_engine *engine, const struct vp_guest_row *row,
                       const struct vp_plan *plan, uint64_t *gen, struct vp_error *err)
{
    char step[300];

    (void)engine, (void)gen;
    snprintf(step, sizeof(step), "%.250s%d>%d", row->name, number(row->plan), number(plan));
    snprintf(story + strlen(story), sizeof(story) - strlen(story), "%s%s", story[0] ? " " : "",
             step);
    if (!spoilt || strcmp(step, spoilt) != 0)
        return VP_MOVE_DONE;
    vp_fail(err, VP_REFUSED, "no");
    return how;
}

static const struct {
    bool for_guest;
    const char *spoilt;
    enum vp_moved how;
    const char *story, *why, *states;
} cases[] = {
    {true, NULL, 0, "a0>3 b1>4 c2>5", "", "done done done"},
    {true, "c2>5", VP_MOVE_UNDONE, "a0>3 b1>4 c2>5 b4>1 a3>0", "c is where it was: no",
     "undone undone undone"},
    {true, "b1>4", VP_MOVE_NOT_BOOKED, "a0>3 b1>4 a3>0", "b was not moved: no", "undone failed"},
    {true, "a0>3", VP_MOVE_UNDONE, "a0>3", "a is where it was: no", "undone"},
    {false, "c2>5", VP_MOVE_UNDONE, "a0>3 b1>4 c2>5", "c is where it was: no", "done done undone"},
};

static void set_up(struct defrag *defrag, struct vp_guest_row *rows, struct vp_domain *target)
{
    static const struct vp_guest_row *row[GUESTS];
    static struct vp_defrag_guest guest[GUESTS];
    static struct vp_defrag_move move[GUESTS];
    static enum vp_moved moved[GUESTS];

    for (size_t i = 0; i < GUESTS; i++) {
        snprintf(rows[i].name, sizeof(rows[i].name), "%c", (char)('a' + i));
        row[i] = &rows[i];
        guest[i].plan = &plans[i];
        move[i] = (struct vp_defrag_move){i, &plans[GUESTS + i]};
    }
    *defrag = (struct defrag){.room = {.row = row, .guest = guest, .guest_count = GUESTS},
                              .domain = target,
                              .answer = {.move = move, .count = GUESTS},
                              .moved = moved};
    story[0] = '\0';
}

static void assert_states(const struct defrag *defrag, const char *expected)
{
    char text[100] = "";

    for (size_t i = 0; i < defrag->begun; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                 vp_moved_word(defrag->moved[i]));
    ck_assert_str_eq(text, expected);
}

START_TEST(all_or_nothing)
{
    struct vp_guest_row rows[GUESTS] = {0};
    struct vp_domain target = {0};
    struct defrag defrag;

    set_up(&defrag, rows, cases[_i].for_guest ? &target : NULL);
    spoilt = cases[_i].spoilt;
    how = cases[_i].how;
    make_moves(&defrag);
    ck_assert_str_eq(story, cases[_i].story);
    ck_assert_str_eq(defrag.why, cases[_i].why);
    assert_states(&defrag, cases[_i].states);
}
END_TEST

/* One that cannot go back stays, is said to, and nobody after it is touched. */
START_TEST(cannot_be_taken_back)
{
    struct vp_guest_row rows[GUESTS] = {0};
    struct vp_domain target = {0};
    struct defrag defrag;

    set_up(&defrag, rows, &target);
    defrag.begun = GUESTS;
    defrag.moved[0] = defrag.moved[1] = VP_MOVE_DONE;
    defrag.moved[2] = VP_MOVE_UNDONE;
    spoilt = "b4>1";
    how = VP_MOVE_UNDONE; /* that is: it has what it had */
    take_back(&defrag, 2);
    ck_assert_str_eq(story, "b4>1");
    ck_assert_str_eq(defrag.why, "b stays where it was moved to: no");
    assert_states(&defrag, "done done undone");
}
END_TEST

/* A guest that is moved twice goes back step by step. */
START_TEST(twice_the_same)
{
    struct vp_guest_row rows[GUESTS] = {0};
    struct vp_domain target = {0};
    struct defrag defrag;

    set_up(&defrag, rows, &target);
    defrag.answer.move[1].guest = 0;
    spoilt = "c2>5";
    how = VP_MOVE_UNDONE;
    make_moves(&defrag);
    ck_assert_str_eq(story, "a0>3 a3>4 c2>5 a4>3 a3>0");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("defragmoves");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(core, all_or_nothing, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(core, cannot_be_taken_back);
    tcase_add_test(core, twice_the_same);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
