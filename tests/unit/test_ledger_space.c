/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

/* A run directory on a file system that is full or read-only: a small tmpfs in
 * a mount namespace of the test's own process. */

static bool mounted;

static void mount_small(void)
{
    test_dir_make();
    mounted = false;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        printf("skip small_tmpfs: no mount namespace of its own (%s)\n", strerror(errno));
        return;
    }
    ck_assert_int_eq(mkdir(run_dir, 0700), 0);
    if (mount("tmpfs", run_dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0700") < 0) {
        printf("skip small_tmpfs: cannot mount a tmpfs (%s)\n", strerror(errno));
        return;
    }
    mounted = true;
}

static void unmount_small(void)
{
    if (mounted)
        umount2(run_dir, MNT_DETACH);
    test_dir_remove();
}

/* Fills the file system but for `pages` pages of 4 KiB. */
static void fill_but(int pages)
{
    static const char block[4096];
    int fd = open(run_file("filler"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t length;

    ck_assert_int_ge(fd, 0);
    while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block)) {
    }
    length = lseek(fd, 0, SEEK_CUR) & ~(off_t)4095;
    ck_assert_int_eq(ftruncate(fd, length > 4096 * pages ? length - 4096 * pages : 0), 0);
    close(fd);
}

static void make_room(void)
{
    ck_assert_int_eq(unlink(run_file("filler")), 0);
}

static int try_put(struct vp_ledger *ledger, unsigned number, struct vp_error *err)
{
    struct vp_guest_row row = guest_on(number, (int)number * 40, (int)number * 40 + 39);
    int result = -1;

    if (vp_ledger_begin(ledger, err) == 0) {
        result = vp_ledger_put(ledger, &row, err);
        if (result == 0)
            result = vp_ledger_commit(ledger, err);
        vp_ledger_rollback(ledger);
    }
    vp_guest_row_clear(&row);
    return result;
}

/* Guests until nothing goes any more, at every amount of room. */
START_TEST(full_while_in_use)
{
    struct vp_ledger *ledger;
    struct vp_error why = {0};
    unsigned guests = 1;
    int refused = 0;

    if (!mounted)
        return;
    ledger = open_ledger(NULL);
    ck_ok(vp_ledger_adopted(ledger, err));
    put_guest(ledger, 1, 40, 79);
    for (int pages = 0; pages < 24; pages++) {
        fill_but(pages);
        if (try_put(ledger, guests + 1, &why) == 0) {
            guests++;
        } else {
            ck_assert_int_eq(why.code, VP_HOST);
            ck_assert_msg(strstr(why.text, "ledger.db"), "%s", why.text);
            refused++;
        }
        check_consistent(ledger, guests);
        make_room();
    }
    printf("put with 0 to 23 pages of room: %d refused cleanly (\"%s\")\n", refused, why.text);
    ck_assert_int_ge(refused, 1);
    ck_ok(try_put(ledger, ++guests, err));
    check_consistent(ledger, guests);
    ck_assert(!vp_ledger_rebuilt(ledger));
    vp_ledger_close(ledger);
}
END_TEST

/* _i: 0 the ledger is not there, 1 it is there and closed. */
START_TEST(full_when_opened)
{
    bool rebuilt = true;
    int failed = 0;

    if (!mounted)
        return;
    for (int pages = 0; pages < 40; pages++) {
        struct vp_ledger *ledger = NULL;
        struct vp_error why = {0};

        empty_dir(run_dir);
        if (_i == 1) {
            ledger = open_ledger(NULL);
            ck_ok(vp_ledger_adopted(ledger, err));
            put_guest(ledger, 1, 40, 79);
            vp_ledger_close(ledger);
            unlink(run_file("ledger.db-shm"));
        }
        fill_but(pages);
        if (vp_ledger_open(&ledger, run_dir, true, 100, NULL, &why) < 0) {
            ck_assert_int_eq(why.code, VP_HOST);
            failed++;
        }
        vp_ledger_close(ledger);
        ck_assert(!run_file_is("ledger.db.new"));
        make_room();
        ledger = open_ledger(&rebuilt);
        ck_assert_int_eq(rebuilt, _i == 0);
        check_consistent(ledger, _i == 1 ? 1 : 0);
        vp_ledger_close(ledger);
    }
    printf("open with 0 to 39 pages of room: %d failed cleanly\n", failed);
    ck_assert_int_ge(failed, 1);
}
END_TEST

static void remount(unsigned long flags)
{
    ck_assert_msg(mount(NULL, run_dir, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0, "%s",
                  strerror(errno));
}

/* It can be read, and written again when the file system can be. */
START_TEST(read_only)
{
    struct vp_ledger *ledger;

    if (!mounted)
        return;
    ledger = open_ledger(NULL);
    put_guest(ledger, 1, 40, 79);
    vp_ledger_close(ledger);
    remount(MS_RDONLY);
    ledger = open_ledger(NULL);
    ck_fails(try_put(ledger, 2, err), VP_HOST, "read-only");
    check_consistent(ledger, 1);
    remount(0);
    ck_ok(try_put(ledger, 2, err));
    check_consistent(ledger, 2);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(read_only_without_ledger)
{
    struct vp_ledger *ledger = NULL;

    if (!mounted)
        return;
    remount(MS_RDONLY);
    ck_fails(vp_ledger_open(&ledger, run_dir, true, 100, NULL, err), VP_HOST,
             "ledger.lock: Read-only file system");
    ck_assert_ptr_null(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger space");
    TCase *space = tcase_create("space");

    tcase_set_timeout(space, 60);
    tcase_add_checked_fixture(space, mount_small, unmount_small);
    tcase_add_test(space, full_while_in_use);
    tcase_add_loop_test(space, full_when_opened, 0, 2);
    tcase_add_test(space, read_only);
    tcase_add_test(space, read_only_without_ledger);
    suite_add_tcase(suite, space);
    return run_suite(suite);
}
