/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a full look does whoever has read the guest's status before it: a sync reads it, too, when a
 * guest starts. The enforcer is a program and no archive, so the files under test are taken in
 * whole; what they ask of the rest of it is counted. */
#include "enforcer/look.c"
#include "enforcer/packed.c"
#include "enforcer/watched.c"
#include "enforcer/kept.c"

#include <check.h>
#include <unistd.h>

static unsigned compared; /* with the plan, for I/O threads that it does not know */

void vp_sync_outgrown(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    (void)enforcer;
    ck_assert_ptr_nonnull(guest->status);
    compared++;
}

bool vp_sync_lives(const struct vp_guest_row *row)
{
    (void)row;
    return true;
}

void vp_trace_follow(struct vp_trace *trace, struct vp_threads *followed,
                     const struct vp_threads *threads)
{
    (void)trace, (void)followed, (void)threads;
}

/* A guest that is this process, on a host without cgroups. */
static void look_at(const char *status_dir, bool read_before)
{
    static struct vp_topology topology;
    struct vp_enforcer enforcer = {.engine = {.topology = &topology}};
    struct vp_guest_row row = {.pid = getpid(), .name = "g"};
    struct vp_watched *guest = vp_watched_new(&row);
    struct vp_look look = {.enforcer = &enforcer, .guest = guest};
    struct vp_error err = {0};

    ck_assert_ptr_nonnull(guest);
    snprintf(enforcer.engine.status_dir, sizeof(enforcer.engine.status_dir), "%s", status_dir);
    snprintf(enforcer.engine.cgroups.proc, sizeof(enforcer.engine.cgroups.proc), "/proc");
    if (read_before) /* a sync's doing */
        ck_assert_msg(vp_watched_refresh(guest, &enforcer.engine, &err) == 0, "%s", err.text);
    ck_assert_int_eq(guest->status_changed, !read_before);
    ck_assert_msg(vp_look_all(&look, &err) == 0, "%s", err.text);
    vp_look_clear(&look);
    vp_watched_free(guest);
}

START_TEST(threads_are_compared_with_the_plan)
{
    char dir[] = "/tmp/virtpin-look.XXXXXX", path[64];
    FILE *file;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/g.xml", dir);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "<domstatus state='running' reason='booted' pid='%d'><domain type='qemu' id='1'>"
            "<name>g</name><uuid>00000000-0000-4000-8000-000000000001</uuid><vcpu>1</vcpu>"
            "<iothreads>1</iothreads><os><type arch='x86_64' machine='q35'>hvm</type></os>"
            "</domain></domstatus>",
            getpid());
    fclose(file);
    compared = 0;
    look_at(dir, false);
    ck_assert_uint_eq(compared, 1);
    look_at(dir, true);
    ck_assert_uint_eq(compared, 2);
    unlink(path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("look");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(core, threads_are_compared_with_the_plan);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
