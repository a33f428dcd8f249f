/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "decide/policytext.h"
#include "host/definition.h"
#include "host/definition_kept.h"
#include "host/definition_watch.h"
#include "host/domcaps.h"
#include "host/engine.h"
#include "host/virt.h"

#define UUID "0d5a6b2e-41c7-4c55-9c0e-5f6a7b8c9d10"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static char dir[PATH_MAX];

static void make_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/virtpin-definition.XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_tree(const char *path)
{
    char command[PATH_MAX + 16];

    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    ck_assert_int_eq(system(command), 0);
}

static void remove_dir(void)
{
    remove_tree(dir);
}

static void write_file(const char *name, const char *text)
{
    char path[PATH_MAX + 256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- what is kept ---- */

static struct vp_kept sample(const char *name)
{
    struct vp_kept kept = {
        .facet = VP_FACET_TOPOLOGY, .since_ms = 12345, .contested_ms = 7, .write = {30, 20, 10}};

    snprintf(kept.uuid, sizeof(kept.uuid), "%s", UUID);
    snprintf(kept.name, sizeof(kept.name), "%s", name);
    snprintf(kept.policy, sizeof(kept.policy), "sha256:aa");
    snprintf(kept.before, sizeof(kept.before), "sha256:bb");
    snprintf(kept.wrote, sizeof(kept.wrote), "sha256:cc");
    kept.original = strdup("<domain>\n  <name>x</name> <?odd ?>\n</domain>\n");
    kept.length = strlen(kept.original);
    vp_text_hash(kept.original, kept.length, kept.hash);
    return kept;
}

static const char *const names[] = {"db-1", "a b=c", "?>\n<x>", "--%41", "\xc3\xa9t\xc3\xa9", "%"};

START_TEST(kept_comes_back)
{
    struct vp_kept kept = sample(names[_i]), back;
    struct vp_error err = {0};
    char path[PATH_MAX + 128];
    struct stat st;

    ck_assert_msg(vp_kept_save(dir, &kept, &err) == 0, "%s", err.text);
    ck_assert_msg(vp_kept_load(dir, UUID, VP_FACET_TOPOLOGY, &back, &err) == 1, "%s", err.text);
    ck_assert_str_eq(back.name, names[_i]);
    ck_assert_str_eq(back.wrote, kept.wrote);
    ck_assert_str_eq(back.got, "");
    ck_assert_int_eq(back.since_ms, 12345);
    ck_assert_int_eq(back.contested_ms, 7);
    ck_assert_int_eq(back.write[2], 10);
    ck_assert_int_eq(back.write[3], 0);
    ck_assert_uint_eq(back.length, kept.length);
    ck_assert_str_eq(back.original, kept.original);
    snprintf(path, sizeof(path), "%s/definitions/%s.topology.xml", dir, UUID);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    vp_kept_clear(&kept);
    ck_assert_int_eq(vp_kept_load(dir, UUID, VP_FACET_CPU, &kept, &err), 0);
    ck_assert_int_eq(vp_kept_remove(dir, UUID, VP_FACET_TOPOLOGY, &err), 0);
    ck_assert_int_eq(vp_kept_remove(dir, UUID, VP_FACET_TOPOLOGY, &err), 0);
    ck_assert_int_eq(access(path, F_OK), -1);
    vp_kept_clear(&back);
}
END_TEST

/* Each guest once, however many of its files there are, and nothing else. */
START_TEST(kept_are_listed)
{
    struct vp_kept kept = sample("db-1");
    struct vp_kept_guest *guest = NULL;
    struct vp_error err = {0};
    size_t count = 1;

    ck_assert_int_eq(vp_kept_list(dir, &guest, &count, &err), 0);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(vp_kept_save(dir, &kept, &err), 0);
    kept.facet = VP_FACET_CPU;
    ck_assert_int_eq(vp_kept_save(dir, &kept, &err), 0);
    kept.uuid[0] = 'f';
    ck_assert_int_eq(vp_kept_save(dir, &kept, &err), 0);
    write_file("definitions/" UUID ".pins.xml", "damaged");
    write_file("definitions/" UUID ".reverted", "");
    write_file("definitions/" UUID ".cpu.xml.new", "");
    write_file("definitions/lock", "");
    ck_assert_int_eq(vp_kept_list(dir, &guest, &count, &err), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(guest[0].uuid, UUID);
    ck_assert_str_eq(guest[0].name, "db-1");
    ck_assert_str_eq(guest[1].uuid, kept.uuid);
    free(guest);
    vp_kept_clear(&kept);
}
END_TEST

static const char *const damages[] = {"",
                                      "<domain/>",
                                      "<?virtpin-kept version=1 ?>\n",
                                      "<?virtpin-kept version=1 uuid=" UUID
                                      " hash=sha256:00 ?>\n<domain/>",
                                      "<?virtpin-kept version=1 uuid=" UUID " hash=sha256:00",
                                      "<?virtpin-kept version=1 uuid=other hash= ?>\n<domain/>"};

START_TEST(damage_is_noticed)
{
    struct vp_kept kept = sample("db-1");
    struct vp_error err = {0};

    ck_assert_int_eq(vp_kept_save(dir, &kept, &err), 0);
    write_file("definitions/" UUID ".topology.xml", damages[_i]);
    vp_kept_clear(&kept);
    ck_assert_int_eq(vp_kept_load(dir, UUID, VP_FACET_TOPOLOGY, &kept, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is damaged"));
    ck_assert_ptr_nonnull(strstr(err.text, UUID ".topology.xml"));
    ck_assert_ptr_null(kept.original);
}
END_TEST

START_TEST(ours_or_theirs)
{
    struct vp_kept kept = sample("db-1");

    ck_assert(vp_kept_is_ours(&kept, "sha256:cc"));
    ck_assert(!vp_kept_is_ours(&kept, "sha256:bb"));
    ck_assert(vp_kept_is_ours(&kept, "sha256:dd")); /* killed before it was read back */
    snprintf(kept.got, sizeof(kept.got), "sha256:ee");
    ck_assert(vp_kept_is_ours(&kept, "sha256:ee"));
    ck_assert(!vp_kept_is_ours(&kept, "sha256:dd"));
    vp_kept_clear(&kept);
}
END_TEST

START_TEST(reverted_mark)
{
    struct vp_error err = {0};

    ck_assert(!vp_reverted_holds(dir, UUID, "sha256:aa", "sha256:bb"));
    ck_assert_int_eq(vp_reverted_save(dir, UUID, "sha256:aa", "sha256:bb", &err), 0);
    ck_assert(vp_reverted_holds(dir, UUID, "sha256:aa", "sha256:bb"));
    ck_assert(!vp_reverted_holds(dir, UUID, "sha256:ab", "sha256:bb"));
    ck_assert(!vp_reverted_holds(dir, UUID, "sha256:aa", "sha256:bc"));
    vp_definition_forget(dir, UUID);
    ck_assert(!vp_reverted_holds(dir, UUID, "sha256:aa", "sha256:bb"));
}
END_TEST

/* ---- the watch on libvirt's directory ---- */

/* As libvirt writes a definition (src/util/virfile.c, virFileRewrite). */
static void put_definition(const char *text)
{
    char from[PATH_MAX + 32], to[PATH_MAX + 32];

    write_file("g.xml.new", text);
    snprintf(from, sizeof(from), "%s/g.xml.new", dir);
    snprintf(to, sizeof(to), "%s/g.xml", dir);
    ck_assert_int_eq(rename(from, to), 0);
}

static void remove_definition(void)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/g.xml", dir);
    ck_assert_int_eq(unlink(path), 0);
}

static void expect_written(const struct vp_watch *watch, size_t at, const char *wanted)
{
    enum vp_watch_event event;
    const char *text;

    ck_assert(vp_watch_event(watch, at, &event, &text));
    ck_assert_int_eq(event, VP_WATCH_WRITTEN);
    ck_assert_ptr_nonnull(text);
    ck_assert_str_eq(text, wanted);
}

START_TEST(watch_sees_what_was_overwritten)
{
    struct vp_watch *watch;
    enum vp_watch_event event;
    const char *text;

    put_definition("<domain>0</domain>");
    watch = vp_watch_begin(dir, "g");
    ck_assert_ptr_nonnull(watch);
    put_definition("<!--\nWARNING\n-->\n\n<domain>1</domain>\n");
    usleep(200000);
    put_definition("<domain>2</domain>");
    write_file("other.xml", "x");
    usleep(200000); /* what is removed at once may not have been read */
    remove_definition();
    usleep(200000);
    put_definition("<domain>3</domain>");
    vp_watch_stop(watch);
    expect_written(watch, 0, "<domain>1</domain>\n");
    expect_written(watch, 1, "<domain>2</domain>");
    ck_assert(vp_watch_event(watch, 2, &event, &text));
    ck_assert_int_eq(event, VP_WATCH_REMOVED);
    expect_written(watch, 3, "<domain>3</domain>");
    ck_assert(!vp_watch_event(watch, 4, &event, &text));
    vp_watch_free(watch);
}
END_TEST

START_TEST(watch_without_a_directory)
{
    enum vp_watch_event event;
    const char *text;

    ck_assert_ptr_null(vp_watch_begin("/nowhere/at/all", "g"));
    vp_watch_stop(NULL);
    ck_assert(!vp_watch_event(NULL, 0, &event, &text));
    vp_watch_free(NULL);
}
END_TEST

/* ---- domain capabilities ---- */

static const char caps_text[] =
    "<domainCapabilities><cpu><mode name='host-passthrough' supported='no'/>"
    "<mode name='host-model' supported='yes'/><mode name='custom' supported='yes'>"
    "<model usable='yes'>Westmere</model><model usable='no'>EPYC</model>"
    "<model usable='unknown'>Odd</model><model usable='yes'>qemu64</model></mode></cpu>"
    "</domainCapabilities>";

/* What libvirt 9.0 prints for these, in parts. */
static const char power_text[] =
    "<domainCapabilities><arch>ppc64</arch><cpu><mode name='host-passthrough' supported='no'/>"
    "<mode name='custom' supported='yes'><model usable='unknown' vendor='IBM'>POWER7</model>"
    "<model usable='unknown' vendor='IBM'>POWER8</model>"
    "<model usable='unknown' vendor='IBM'>POWER9</model></mode></cpu></domainCapabilities>";
static const char arm_text[] =
    "<domainCapabilities><arch>aarch64</arch><cpu><mode name='host-passthrough' supported='yes'/>"
    "<mode name='custom' supported='yes'><model usable='unknown'>cortex-a57</model>"
    "<model usable='unknown'>cortex-a72</model><model usable='no'>max</model></mode></cpu>"
    "</domainCapabilities>";

static const struct {
    const char *caps;
    enum vp_cpu_mode mode;
    const char *model, *why; /* why NULL: allowed */
} asked[] = {
    {caps_text, VP_CPU_KEEP, NULL, NULL},
    {caps_text, VP_CPU_HOST_MODEL, NULL, NULL},
    {caps_text, VP_CPU_HOST_PASSTHROUGH, NULL, "mode host-passthrough"},
    {caps_text, VP_CPU_CUSTOM, "Westmere", NULL},
    {caps_text, VP_CPU_CUSTOM, "Odd", NULL},
    {caps_text, VP_CPU_CUSTOM, "EPYC", "cannot run CPU model EPYC; usable here: Westmere, qemu64"},
    {caps_text, VP_CPU_CUSTOM, "Epyc",
     "knows no CPU model Epyc, nearest: EPYC; usable here: Westmere, qemu64"},
    {power_text, VP_CPU_CUSTOM, "POWER9", NULL},
    {power_text, VP_CPU_CUSTOM, "POWER6", "no CPU model POWER6, nearest: POWER7, POWER8, POWER9"},
    {power_text, VP_CPU_HOST_PASSTHROUGH, NULL, "mode host-passthrough"},
    {arm_text, VP_CPU_HOST_PASSTHROUGH, NULL, NULL},
    {arm_text, VP_CPU_CUSTOM, "cortex-a72", NULL},
    {arm_text, VP_CPU_CUSTOM, "cortex-a73", "no CPU model cortex-a73, nearest: cortex-a72"},
    {arm_text, VP_CPU_CUSTOM, "Westmere", "no CPU model Westmere"}};

START_TEST(capabilities_allow)
{
    char *models[] = {(char *)(uintptr_t)asked[_i].model};
    struct vp_policy policy = {.cpu_mode = asked[_i].mode,
                               .cpu_models = {models, asked[_i].model ? 1 : 0}};
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;
    struct vp_error err = {0};
    char why[512] = "";

    ck_assert_int_eq(vp_domcaps_parse(asked[_i].caps, strlen(asked[_i].caps), &caps, &err), 0);
    ck_assert_int_eq(vp_domcaps_allows(caps, &policy, why), asked[_i].why == NULL);
    if (asked[_i].why)
        ck_assert_msg(strstr(why, asked[_i].why) != NULL, "found \"%s\"", why);
}
END_TEST

START_TEST(capabilities_are_checked)
{
    struct vp_domcaps *caps;
    struct vp_error err = {0};

    ck_assert_int_eq(vp_domcaps_parse("<domain/>", 9, &caps, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "found <domain>"));
    ck_assert_ptr_null(caps);
    ck_assert_int_eq(vp_domcaps_parse("<domainCapabilities>", 20, &caps, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
}
END_TEST

/* ---- rewriting and reverting, on libvirt's own test driver ---- */

static struct vp_engine engine;
static virConnectPtr connection;
static virDomainPtr domain;

static void write_policy(const char *text)
{
    char policies[PATH_MAX + 16];
    struct vp_error err = {0};
    struct vp_conf_where where = {.policy_dir = policies, .lenient_owner = true};
    char config[PATH_MAX + 16];

    snprintf(policies, sizeof(policies), "%s/policy.d", dir);
    snprintf(config, sizeof(config), "%s/virtpin.conf", dir);
    where.config = config;
    mkdir(policies, 0755);
    write_file("policy.d/p.conf", text);
    vp_engine_close(&engine);
    ck_assert_msg(vp_engine_open(&engine, &where, "node:1 core:8 pu:1", &err) == 0, "%s", err.text);
    engine.where = (struct vp_conf_where){0};
}

#define POLICY                                                                                     \
    "[policy p]\nmatch-name = guest*\nmode = %s\ntopology = sockets=%d cores=2 threads=1\n"

static void set_policy(const char *mode, int sockets)
{
    char text[512];

    snprintf(text, sizeof(text), POLICY, mode, sockets);
    write_policy(text);
}

static void define(const char *cpu, const char *title)
{
    char xml[2048];
    virDomainPtr defined;

    snprintf(xml, sizeof(xml),
             "<domain type='test'><name>guest1</name><uuid>" UUID "</uuid><title>%s</title>"
             "<memory>65536</memory><vcpu>4</vcpu><os><type>hvm</type></os>%s</domain>",
             title, cpu);
    defined = virDomainDefineXML(connection, xml);
    ck_assert_msg(defined != NULL, "%s", virGetLastErrorMessage());
    if (domain)
        virDomainFree(domain);
    domain = defined;
}

static char *dump(void)
{
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);

    ck_assert_ptr_nonnull(xml);
    return xml;
}

static bool has(const char *text)
{
    VP_AUTO(free) char *xml = dump();

    return strstr(xml, text) != NULL;
}

static enum vp_definition_result rewrite(bool dry_run)
{
    struct vp_error err = {0};
    enum vp_definition_result result =
        vp_definition_rewrite(&engine, domain, dry_run, NULL, NULL, &err);

    ck_assert_msg(result != VP_DEFINITION_FAILED, "%s", err.text);
    return result;
}

static bool revert(void)
{
    struct vp_error err = {0};
    bool reverted;

    ck_assert_msg(vp_definition_revert(&engine, domain, &reverted, &err) == 0, "%s", err.text);
    return reverted;
}

static unsigned kept_files(void)
{
    char path[PATH_MAX + 32];
    struct dirent *entry;
    unsigned count = 0;
    DIR *found;

    snprintf(path, sizeof(path), "%s/state/definitions", dir);
    found = opendir(path);
    while (found && (entry = readdir(found)))
        count += strstr(entry->d_name, ".xml") != NULL;
    if (found)
        closedir(found);
    return count;
}

static void open_driver(void)
{
    char config[2 * PATH_MAX + 64];
    struct vp_error err = {0};

    make_dir();
    snprintf(config, sizeof(config), "[host]\nrun-dir = %s/run\nstate-dir = %s/state\n", dir, dir);
    write_file("virtpin.conf", config);
    engine = (struct vp_engine){0};
    set_policy("enforce", 2);
    domain = NULL;
    connection = vp_virt_open("test:///default", &err);
    ck_assert_msg(connection != NULL, "%s", err.text);
}

static void close_driver(void)
{
    if (domain)
        virDomainFree(domain);
    virConnectClose(connection);
    vp_engine_close(&engine);
    remove_dir();
}

static const char *const cpus[] = {
    "", "<cpu><topology sockets='4' cores='1' threads='1'/></cpu>",
    "<cpu><numa><cell id='0' cpus='0-3' memory='65536'/></numa></cpu>"};

START_TEST(rewritten_and_back)
{
    VP_AUTO(free) char *before = NULL, *after = NULL;

    define(cpus[_i], "t");
    before = dump();
    ck_assert_int_eq(rewrite(true), VP_DEFINITION_WRITTEN);
    ck_assert(!has("cores='2'"));
    ck_assert_uint_eq(kept_files(), 0);
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert(has("cores='2'"));
    ck_assert_uint_eq(kept_files(), 1);
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_SAME);
    ck_assert(revert());
    after = dump();
    ck_assert_str_eq(after, before);
    ck_assert_uint_eq(kept_files(), 0);
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_SAME); /* this very definition is left alone */
    ck_assert(!revert());
    define(cpus[_i], "other");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
}
END_TEST

static void refused_for_now(const char *why)
{
    struct vp_error err = {0};

    ck_assert_int_eq(vp_definition_rewrite(&engine, domain, false, NULL, NULL, &err),
                     VP_DEFINITION_FAILED);
    ck_assert_int_eq(err.code, VP_BUSY);
    ck_assert_msg(strstr(err.text, why) != NULL, "found \"%s\"", err.text);
    ck_assert(!has("cores='2'"));
}

#define JOB(text)                                                                                  \
    "<domstatus state='running' reason='booted' pid='4711'>" text                                  \
    "<domain type='test' id='1'><name>guest1</name><uuid>" UUID "</uuid><memory>65536</memory>"    \
    "<vcpu>4</vcpu></domain></domstatus>"

/* Nothing is defined under libvirt's jobs, nor while the guest's hook runs. */
START_TEST(waits_for_jobs_and_hooks)
{
    static const char *const busy[] = {
        JOB("<job type='modify' async='none'/>"),
        JOB("<job type='none' async='migration out' phase='perform3'/>"),
        JOB("<job type='none' async='migration in' phase='prepare'/>")};
    struct vp_guest_row row = {.uuid = UUID, .name = "guest1", .operation = "prepare"};
    struct vp_error err = {0};

    snprintf(engine.status_dir, sizeof(engine.status_dir), "%s", dir);
    define(cpus[0], "t");
    for (size_t i = 0; i < COUNT(busy); i++) {
        write_file("guest1.xml", busy[i]);
        refused_for_now("libvirt has a job under way for guest1");
    }
    write_file("guest1.xml", JOB("<job type='none' async='none'/>"));
    ck_assert_msg(vp_engine_ledger(&engine, true, &err) == 0, "%s", err.text);
    ck_assert_int_eq(vp_ledger_begin(engine.ledger, &err), 0);
    ck_assert_msg(vp_ledger_put(engine.ledger, &row, &err) == 0, "%s", err.text);
    ck_assert_int_eq(vp_ledger_commit(engine.ledger, &err), 0);
    refused_for_now("guest1 is being started");
    ck_assert_int_eq(vp_ledger_begin(engine.ledger, &err), 0);
    ck_assert_int_eq(vp_ledger_remove(engine.ledger, UUID, &err), 0);
    ck_assert_int_eq(vp_ledger_commit(engine.ledger, &err), 0);
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    vp_guest_row_clear(&row);
}
END_TEST

START_TEST(first_original_stays)
{
    VP_AUTO(free) char *before = NULL, *after = NULL;

    define(cpus[1], "t");
    before = dump();
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    write_policy("[policy p]\nmatch-name = guest*\nmode = enforce\ntopology = sockets=1 cores=4\n");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert(has("cores='4'"));
    ck_assert(revert());
    after = dump();
    ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(revert_keeps_later_edits)
{
    define("", "t");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert_int_eq(virDomainSetMetadata(domain, VIR_DOMAIN_METADATA_TITLE, "edited", NULL, NULL,
                                          VIR_DOMAIN_AFFECT_CONFIG),
                     0);
    ck_assert(revert());
    ck_assert(has("<title>edited</title>"));
    ck_assert(!has("<topology"));
}
END_TEST

START_TEST(revert_leaves_what_is_not_ours)
{
    define("", "t");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    define("<cpu><topology sockets='1' cores='1' threads='4'/></cpu>", "t");
    ck_assert(!revert());
    ck_assert(has("threads='4'"));
}
END_TEST

START_TEST(policy_change_ends_a_revert)
{
    define("", "t");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert(revert());
    write_policy("[policy p]\nmatch-name = guest*\nmode = enforce\ntopology = sockets=1 cores=4\n");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
}
END_TEST

START_TEST(audit_writes_nothing)
{
    struct vp_changes changes = {0};
    struct vp_error err = {0};

    set_policy("audit", 2);
    define("", "t");
    ck_assert_int_eq(vp_definition_rewrite(&engine, domain, false, &changes, NULL, &err),
                     VP_DEFINITION_SAME);
    ck_assert_uint_eq(changes.count, 1);
    ck_assert(!has("<topology"));
    ck_assert_uint_eq(kept_files(), 0);
    vp_changes_clear(&changes);
}
END_TEST

START_TEST(impossible_is_reported)
{
    struct vp_findings findings = {0};
    struct vp_error err = {0};

    set_policy("enforce", 3);
    define("", "t");
    ck_assert_int_eq(vp_definition_rewrite(&engine, domain, false, NULL, &findings, &err),
                     VP_DEFINITION_IMPOSSIBLE);
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_int_eq(findings.item[0].grade, VP_ERROR);
    ck_assert_ptr_nonnull(strstr(findings.item[0].text, "the guest has 4 vCPUs"));
    ck_assert_uint_eq(kept_files(), 0);
    vp_findings_clear(&findings);
}
END_TEST

START_TEST(written_back_is_contested)
{
    unsigned written = 0;

    define("", "t");
    while (written < 20 && rewrite(false) == VP_DEFINITION_WRITTEN) {
        written++;
        define("", "t");
    }
    ck_assert_uint_eq(written, 5); /* [host] contested = 5/60s */
    ck_assert(!has("cores='2'"));
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_CONTESTED);
    ck_assert_int_eq(rewrite(true), VP_DEFINITION_CONTESTED);
    vp_definition_forget(engine.set->host.state_dir, UUID);
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
}
END_TEST

START_TEST(a_refused_define_leaves_no_record)
{
    struct vp_error err = {0};

    define("<cpu><numa><cell id='0' cpus='0-3' memory='65536'/></numa></cpu>", "t");
    write_policy("[policy p]\nmatch-name = guest*\nmode = enforce\nplacement = fixed\n"
                 "vcpupin = 0-3:0-3\n");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert(has("urn:virtpin:applied:1"));
    ck_assert(revert());
    ck_assert(!has("urn:virtpin:applied:1"));
    ck_assert(!has("vcpupin"));
    ck_assert_int_eq(virDomainUndefine(domain), 0);
    ck_assert_int_eq(vp_definition_rewrite(&engine, domain, false, NULL, NULL, &err),
                     VP_DEFINITION_SAME);
    ck_assert_ptr_null(virDomainLookupByName(connection, "guest1"));
}
END_TEST

START_TEST(strip_takes_pins_for_good)
{
    struct vp_error err = {0};
    bool stripped;

    define("", "t");
    write_policy("[policy p]\nmatch-name = guest*\nmode = enforce\nplacement = fixed\n"
                 "vcpupin = 0-3:0-3\n");
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_WRITTEN);
    ck_assert(has("<vcpupin vcpu='3' cpuset='3'/>"));
    ck_assert_int_eq(vp_definition_strip(&engine, domain, &stripped, &err), 0);
    ck_assert(stripped);
    ck_assert(!has("vcpupin"));
    ck_assert_int_eq(rewrite(false), VP_DEFINITION_SAME);
    ck_assert_int_eq(vp_definition_strip(&engine, domain, &stripped, &err), 0);
    ck_assert(!stripped);
}
END_TEST

static TCase *driver_case(void)
{
    TCase *tcase = tcase_create("test driver");

    tcase_add_checked_fixture(tcase, open_driver, close_driver);
    tcase_add_loop_test(tcase, rewritten_and_back, 0, COUNT(cpus));
    tcase_add_test(tcase, waits_for_jobs_and_hooks);
    tcase_add_test(tcase, first_original_stays);
    tcase_add_test(tcase, revert_keeps_later_edits);
    tcase_add_test(tcase, revert_leaves_what_is_not_ours);
    tcase_add_test(tcase, policy_change_ends_a_revert);
    tcase_add_test(tcase, audit_writes_nothing);
    tcase_add_test(tcase, impossible_is_reported);
    tcase_add_test(tcase, written_back_is_contested);
    tcase_add_test(tcase, a_refused_define_leaves_no_record);
    tcase_add_test(tcase, strip_takes_pins_for_good);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("definition");
    TCase *files = tcase_create("files"), *caps = tcase_create("capabilities");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_loop_test(files, kept_comes_back, 0, COUNT(names));
    tcase_add_test(files, kept_are_listed);
    tcase_add_loop_test(files, damage_is_noticed, 0, COUNT(damages));
    tcase_add_test(files, ours_or_theirs);
    tcase_add_test(files, reverted_mark);
    tcase_add_test(files, watch_sees_what_was_overwritten);
    tcase_add_test(files, watch_without_a_directory);
    tcase_add_loop_test(caps, capabilities_allow, 0, COUNT(asked));
    tcase_add_test(caps, capabilities_are_checked);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, caps);
    suite_add_tcase(suite, driver_case());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
