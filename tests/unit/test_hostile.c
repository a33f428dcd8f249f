/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hostile documents given to the programs themselves, as libvirt or an
 * operator's pipe would: the hook's launcher with its worker, and the command
 * line. Each is refused soon and in little memory, and never crashes. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

#define PROGRAM_ROOM 8192

/* CPU time, for the machine may be busy; a limit that a crash or a loop meets. */
#define MAX_SECONDS 2
/* What libxml2 needs for 16 MiB that it reads to their end, and no more; the
 * sanitizers' own memory comes on top. */
#if defined(__SANITIZE_ADDRESS__)
#define MAX_KIB (1500 * 1024)
#else
#define MAX_KIB (300 * 1024)
#endif

static char programs[4096], dir[64];

/* ---- documents: HEAD, MIDDLE many times, TAIL ---- */

static const struct {
    const char *what, *head, *middle, *tail;
    size_t bytes; /* of the middles; 0: once */
    const char *said;
} documents[] = {
    {"fifty megabytes", "<domain><name>d</name><description>", "aaaaaaaaaaaaaaaa",
     "</description></domain>", 50u << 20, "16"},
    {"fifty megabytes of elements", "<domain>", "<a/>", "</domain>", 50u << 20, "16"},
    {"an entity bomb",
     "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
     "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
     "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
     "<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'><!ENTITY h '&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;'>]>",
     "", "<domain><name>&h;&h;&h;</name></domain>", 0, "DOCTYPE"},
    {"a bomb of one long entity", "<!DOCTYPE d [<!ENTITY a '", "aaaaaaaaaaaaaaaa",
     "'>]><domain>&a;&a;&a;&a;</domain>", 1u << 20, "DOCTYPE"},
    {"an external entity", "<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>", "",
     "<domain><name>&a;</name></domain>", 0, "DOCTYPE"},
    {"an external DTD", "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:9/d.dtd'>", "",
     "<domain><name>d</name></domain>", 0, "DOCTYPE"},
    {"a parameter entity", "<!DOCTYPE d [<!ENTITY % a SYSTEM 'file:///dev/zero'> %a;]>", "",
     "<domain/>", 0, "DOCTYPE"},
    {"an entity that nobody declared", "<domain><name>", "&nobody;", "</name></domain>", 0,
     "nobody"},
    {"deep nesting", "<domain>", "<a>", "", 8u << 20, "found"},
    {"deep nesting that ends", "<domain><metadata>", "<a><b></b>", "", 1u << 20, "not well-formed"},
    {"a crowd of elements", "<domain>", "<a/>", "</domain>", 12u << 20, "more than any domain has"},
    {"a crowd of attributes", "<domain><a ", "x='1' ", "/></domain>", 4u << 20, "found"},
    {"a long name", "<domain><", "aaaaaaaaaaaaaaaa", "/></domain>", 12u << 20, "not well-formed"},
    {"another root", "<network><name>d</name>", "", "</network>", 0, "<network>"},
    {"a snapshot", "<domainsnapshot><domain><name>d</name></domain>", "", "</domainsnapshot>", 0,
     "<domainsnapshot>"},
    {"nothing", "", "", "", 0, "found nothing"},
    {"blanks", "", "                ", "", 4u << 20, "found"},
    {"no XML", "", "\177ELF\002\001\001", "", 0, "found"},
    {"another encoding than stated", "<?xml version='1.0' encoding='UTF-8'?><domain><name>", "\377",
     "</name></domain>", 0, "not well-formed"},
    {"an encoding that nobody knows", "<?xml version='1.0' encoding='nobody-7'?><domain>", "",
     "<name>d</name></domain>", 0, "nobody-7"},
    {"UTF-16 without its mark", "<?xml version='1.0' encoding='UTF-16'?><domain>", "",
     "<name>d</name></domain>", 0, "found"},
    {"two documents", "<domain><name>d</name></domain>", "<domain><name>e</name></domain>", "", 0,
     "not well-formed"},
    {"a cut document", "<domain><name>d</na", "", "", 0, "not well-formed"},
};
#define DOCUMENTS ((int)(sizeof(documents) / sizeof(documents[0])))
#define NULS DOCUMENTS /* not to be had from a string */

static void write_document(int number)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/in", dir);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    if (number == NULS) {
        fwrite("<domain><name>d\0e</name></domain>", 1, 33, file);
    } else {
        size_t length = strlen(documents[number].middle), done = 0;

        fputs(documents[number].head, file);
        do {
            fputs(documents[number].middle, file);
            done += length;
        } while (done < documents[number].bytes);
        fputs(documents[number].tail, file);
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- programs ---- */

static void setup(void)
{
    char text[512], path[128];
    FILE *file;

    vp_scratch(dir, sizeof(dir), "virtpin-hostile");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/policy.d", dir);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/run", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/virtpin.conf", dir);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    snprintf(text, sizeof(text),
             "[host]\nrun-dir = %s/run\nstate-dir = %s/state\non-error = refuse\n", dir, dir);
    fputs(text, file);
    fclose(file);
    snprintf(path, sizeof(path), "%s/policy.d/p.conf", dir);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("[policy d]\nmatch-name = *\nmode = enforce\nplacement = dedicated\n", file);
    fclose(file);
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static char said[4096];

/* Runs it on the document: its exit status. Fails on a signal, and on more
 * time and memory than there should be. */
static int run(const char *what, const char *words)
{
    char command[PROGRAM_ROOM], path[128];
    struct rusage used;
    int status;
    size_t got;
    pid_t child;
    FILE *file;

    snprintf(command, sizeof(command), "cd %s && exec %s/%s <in >out 2>err 3>control", dir,
             programs, words);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(wait4(child, &status, 0, &used), child);
    snprintf(path, sizeof(path), "%s/err", dir);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    got = fread(said, 1, sizeof(said) - 1, file);
    said[got] = '\0';
    fclose(file);
    ck_assert_msg(WIFEXITED(status), "%s: ended by signal %d: %s", what, WTERMSIG(status), said);
    ck_assert_msg(used.ru_utime.tv_sec + used.ru_stime.tv_sec < MAX_SECONDS,
                  "%s: took %ld s of CPU time", what, (long)used.ru_utime.tv_sec);
    ck_assert_msg(used.ru_maxrss < MAX_KIB, "%s: took %ld KiB", what, used.ru_maxrss);
    return WEXITSTATUS(status);
}

static bool has_output(void)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/out", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_size > 0;
}

static void assert_refused(int number, int status, int wanted)
{
    const char *what = number == NULS ? "NULs" : documents[number].what;
    const char *part = number == NULS ? "NUL" : documents[number].said;

    ck_assert_msg(status == wanted, "%s: ended with %d: %s", what, status, said);
    ck_assert_msg(strstr(said, part), "%s: it says %s", what, said);
    ck_assert_msg(strlen(said) < 600 && strchr(said, '\n') == said + strlen(said) - 1,
                  "%s: not one sentence: %s", what, said);
    ck_assert_msg(!has_output(), "%s: it printed something", what);
}

START_TEST(rewrite_refuses)
{
    char words[1024];

    write_document(_i);
    snprintf(words, sizeof(words),
             "virtpin rewrite --config %s/virtpin.conf --policy-dir %s/policy.d --topology 'pu:4'",
             dir, dir);
    assert_refused(_i, run("virtpin rewrite", words), 2);
}
END_TEST

START_TEST(explain_refuses)
{
    char words[1024];

    write_document(_i);
    snprintf(words, sizeof(words),
             "virtpin explain --xml - --config %s/virtpin.conf --policy-dir %s/policy.d "
             "--topology 'pu:4'",
             dir, dir);
    assert_refused(_i, run("virtpin explain", words), 2);
}
END_TEST

/* What libvirt would print into the guest's XML is nothing: unchanged. */
START_TEST(worker_refuses)
{
    static const char *const operations[] = {"prepare", "migrate", "restore"};
    char words[1024];

    write_document(_i);
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        int status;

        snprintf(words, sizeof(words),
                 "virtpin-hook-worker --daemon=%d --config %s/virtpin.conf --policy-dir "
                 "%s/policy.d --topology 'core:4 pu:1' -- d %s begin -",
                 (int)getpid(), dir, dir, operations[i]);
        status = run(operations[i], words);
        ck_assert_msg(status != 0, "%s of %d succeeded", operations[i], _i);
        ck_assert(!has_output());
    }
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("hostile");
    TCase *ctl = tcase_create("ctl"), *hook = tcase_create("hook");
    char *real = realpath(argc > 0 ? argv[0] : ".", NULL);
    SRunner *runner;
    int failed;

    if (!real)
        return EXIT_FAILURE;
    /* BUILD/tests/unit/test_hostile */
    for (int i = 0; i < 3; i++)
        *strrchr(real, '/') = '\0';
    snprintf(programs, sizeof(programs), "%s", real);
    free(real);
    tcase_add_checked_fixture(ctl, setup, teardown);
    tcase_add_checked_fixture(hook, setup, teardown);
    tcase_set_timeout(ctl, 60);
    tcase_set_timeout(hook, 60);
    tcase_add_loop_test(ctl, rewrite_refuses, 0, DOCUMENTS + 1);
    tcase_add_loop_test(ctl, explain_refuses, 0, DOCUMENTS + 1);
    tcase_add_loop_test(hook, worker_refuses, 0, DOCUMENTS + 1);
    suite_add_tcase(suite, ctl);
    suite_add_tcase(suite, hook);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
