/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "host/journalpriv.h"
#include "tests/unit/scratch.h"

static char dir[64];
static char journal[64], log_socket[64], record[65536];

static void make_dir(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-journal");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(journal, sizeof(journal), "%s/journal", dir);
    snprintf(log_socket, sizeof(log_socket), "%s/log", dir);
    vp_journal_paths(journal, log_socket);
    vp_journal_open("virtpin-test", 0);
}

static void remove_dir(void)
{
    unlink(journal);
    unlink(log_socket);
    rmdir(dir);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static ssize_t receive(int fd)
{
    ssize_t length = recv(fd, record, sizeof(record) - 1, 0);

    record[length > 0 ? length : 0] = '\0';
    return length;
}

static const struct vp_field fields[] = {
    {"VIRTPIN_GUEST", "db-1"}, {"VIRTPIN_NOTHING", NULL}, {"VIRTPIN_WHY", "two\nlines"}};

START_TEST(native_form)
{
    char expected[256] = "MESSAGE=vcpu 0 of db-1\nPRIORITY=4\nSYSLOG_IDENTIFIER=virtpin-test\n"
                         "SYSLOG_FACILITY=3\nMESSAGE_ID=" VP_MSG_DRIFT "\nVIRTPIN_GUEST=db-1\n"
                         "VIRTPIN_WHY\n";
    uint64_t length = htole64(9);
    size_t used = strlen(expected);
    int fd = listen_on(journal);

    memcpy(expected + used, &length, sizeof(length));
    memcpy(expected + used + sizeof(length), "two\nlines\n", 10);
    used += sizeof(length) + 10;
    errno = ENOTTY;
    vp_journal(LOG_WARNING, VP_MSG_DRIFT, fields, 3, "vcpu %d of %s", 0, "db-1");
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert_int_eq(receive(fd), (ssize_t)used);
    ck_assert_mem_eq(record, expected, used);
    close(fd);
}
END_TEST

START_TEST(syslog_without_a_journal)
{
    int fd = listen_on(log_socket);
    char head[64], tail[256];

    vp_journal(LOG_ERR, NULL, fields, 3, "it\nbroke");
    ck_assert_int_gt(receive(fd), 0);
    ck_assert_int_eq(strncmp(record, "<27>", 4), 0); /* daemon.err */
    snprintf(head, sizeof(head), " virtpin-test[%d]: ", (int)getpid());
    snprintf(tail, sizeof(tail), "it broke VIRTPIN_GUEST=\"db-1\" VIRTPIN_WHY=\"two lines\"");
    ck_assert_ptr_nonnull(strstr(record, head));
    ck_assert_str_eq(strstr(record, head) + strlen(head), tail);
    ck_assert_int_eq(record[4 + 15], ' '); /* "Mmm dd hh:mm:ss " */
    close(fd);
}
END_TEST

START_TEST(one_record_goes_to_one_place)
{
    int native = listen_on(journal), syslog_fd = listen_on(log_socket);

    vp_journal(LOG_INFO, NULL, NULL, 0, "once");
    ck_assert_int_gt(receive(native), 0);
    ck_assert_int_eq(receive(syslog_fd), -1);
    close(native);
    close(syslog_fd);
}
END_TEST

/* A journal that does not read: records are dropped, nobody waits. */
START_TEST(never_blocks)
{
    int fd = listen_on(journal);

    for (int i = 0; i < 5000; i++)
        vp_journal(LOG_INFO, NULL, fields, 3, "record %d", i);
    ck_assert_int_gt(receive(fd), 0);
    close(fd);
}
END_TEST

START_TEST(nobody_listens)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t length;

    vp_journal(LOG_ERR, NULL, NULL, 0, "unheard");
    ck_assert_int_eq(pipe(ends), 0);
    vp_journal_open("virtpin-test", 1);
    dup2(ends[1], STDERR_FILENO);
    vp_journal(LOG_ERR, NULL, NULL, 0, "to %s", "stderr");
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    length = read(ends[0], record, sizeof(record) - 1);
    ck_assert_int_gt(length, 0);
    record[length] = '\0';
    ck_assert_str_eq(record, "virtpin-test: to stderr\n");
    close(ends[0]);
    close(saved);
}
END_TEST

/* A field that does not fit is left out whole. */
START_TEST(too_long)
{
    static char text[40000];
    struct vp_field field[] = {{"VIRTPIN_LONG", text}, {"VIRTPIN_SHORT", "here"}};
    int fd = listen_on(journal);

    memset(text, 'x', sizeof(text) - 1);
    vp_journal(LOG_INFO, NULL, field, 2, "%s", text);
    ck_assert_int_gt(receive(fd), 2000);
    ck_assert_ptr_null(strstr(record, "VIRTPIN_LONG"));
    ck_assert_ptr_nonnull(strstr(record, "\nVIRTPIN_SHORT=here\n"));
    ck_assert_uint_eq(vp_journal_syslog(record, 100, "i", LOG_INFO, text, NULL, 0), 100);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("journal");
    TCase *tcase = tcase_create("records");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, make_dir, remove_dir);
    tcase_add_test(tcase, native_form);
    tcase_add_test(tcase, syslog_without_a_journal);
    tcase_add_test(tcase, one_record_goes_to_one_place);
    tcase_add_test(tcase, never_blocks);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, too_long);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
