/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work for libvirt: one entry a guest, one worker on it, newest wants. */
#include "enforcer/virtqueue.c"
#include "enforcer/packed.c"
#include "enforcer/watched.c"
#include "enforcer/kept.c"

#include <check.h>

#define A "00000000-0000-4000-8000-00000000000a"
#define B "00000000-0000-4000-8000-00000000000b"

static struct vp_queue queue;

static void set_up(void)
{
    ck_assert_int_eq(vp_queue_init(&queue), 0);
    vp_queue_open(&queue, true);
}

static void tear_down(void)
{
    free(queue.task);
}

START_TEST(asked_twice_done_once)
{
    struct vp_task task;

    vp_queue_want(&queue, A, 1);
    vp_queue_want(&queue, A, 2);
    ck_assert(vp_queue_take(&queue, &task, false));
    ck_assert_str_eq(task.uuid, A);
    ck_assert_uint_eq(task.wants, 3);
    ck_assert(!vp_queue_take(&queue, &task, false));
    vp_queue_done(&queue, &task, 0, 0);
    ck_assert_uint_eq(queue.count, 0);
}
END_TEST

START_TEST(one_worker_a_guest)
{
    struct vp_task first, second;

    vp_queue_want(&queue, A, 1);
    ck_assert(vp_queue_take(&queue, &first, false));
    vp_queue_want(&queue, A, 1); /* again while it is worked on: waits */
    ck_assert(!vp_queue_take(&queue, &second, false));
    vp_queue_want(&queue, B, 1); /* another guest does not */
    ck_assert(vp_queue_take(&queue, &second, false));
    ck_assert_str_eq(second.uuid, B);
    vp_queue_done(&queue, &first, 0, 0);
    ck_assert(vp_queue_take(&queue, &first, false));
    ck_assert_str_eq(first.uuid, A);
    vp_queue_done(&queue, &first, 0, 0);
    vp_queue_done(&queue, &second, 0, 0);
    ck_assert_uint_eq(queue.count, 0);
}
END_TEST

START_TEST(put_back_comes_later)
{
    struct vp_task task;

    vp_queue_want(&queue, A, 3);
    ck_assert(vp_queue_take(&queue, &task, false));
    vp_queue_done(&queue, &task, 2, 30000);
    ck_assert(!vp_queue_take(&queue, &task, false));
    ck_assert(vp_queue_take(&queue, &task, true)); /* waits those 30 ms */
    ck_assert_uint_eq(task.wants, 2);
    ck_assert_uint_eq(task.tries, 1);
    vp_queue_done(&queue, &task, 2, 60000000);
    ck_assert(!vp_queue_take(&queue, &task, false));
    vp_queue_open(&queue, true); /* libvirt is back: no need to wait any longer */
    ck_assert(vp_queue_take(&queue, &task, false));
    ck_assert_uint_eq(task.tries, 2);
    vp_queue_done(&queue, &task, 0, 0);
}
END_TEST

START_TEST(closed_keeps_wants)
{
    struct vp_task task;

    vp_queue_open(&queue, false);
    vp_queue_want(&queue, A, 1);
    ck_assert(!vp_queue_take(&queue, &task, false));
    vp_queue_open(&queue, true);
    ck_assert(vp_queue_take(&queue, &task, false));
    vp_queue_done(&queue, &task, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtqueue");
    TCase *tcase = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, asked_twice_done_once);
    tcase_add_test(tcase, one_worker_a_guest);
    tcase_add_test(tcase, put_back_comes_later);
    tcase_add_test(tcase, closed_keeps_wants);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
