/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtpin-hook-worker: one operation of libvirt's qemu hook. Started by the
 * launcher, which sees to its end. Never calls libvirt: the guest is locked
 * while its hook runs (libvirt's docs/hooks.rst). */
#include "hook/worker.h"

#include <fcntl.h>
#include <libxml/parser.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "hook/protocol.h"
#include "host/guestnuma.h"
#include "host/journal.h"

struct operation {
    const char *name;
    int (*run)(struct vp_hook *hook, struct vp_error *err);
    bool books; /* makes a lease */
};

static const struct operation operations[] = {
    {"prepare", vp_op_prepare, true},      {"started", vp_op_started, false},
    {"stopped", vp_op_stopped, false},     {"release", vp_op_stopped, false},
    {"reconnect", vp_op_reconnect, false}, {"migrate", vp_op_incoming, true},
    {"restore", vp_op_incoming, true},
};

void vp_hook_nodes(struct vp_hook *hook, struct vp_policy *one, struct vp_numa_facts *nodes)
{
    struct vp_error ignored = {0};

    if (one->guest_numa == VP_GUEST_NUMA_AUTO &&
        vp_engine_ledger(&hook->engine, true, &ignored) == 0 &&
        vp_engine_numa_facts(&hook->engine, hook->domain, &hook->choice, NULL, nodes, &ignored) ==
            0)
        one->numa_facts = nodes;
}

bool vp_hook_managed(const struct vp_hook *hook)
{
    return hook->choice.policy && hook->choice.policy->mode != VP_MODE_OFF;
}

#define MORE_FIELDS 8

void vp_hook_say(const struct vp_hook *hook, int priority, const char *message_id,
                 const struct vp_field *more, unsigned count, const char *format, ...)
{
    struct vp_field field[4 + MORE_FIELDS] = {
        {"VIRTPIN_GUEST", hook->name},
        {"VIRTPIN_UUID", hook->domain ? hook->domain->uuid : NULL},
        {"VIRTPIN_POLICY", hook->choice.policy ? hook->choice.policy->name : NULL},
        {"VIRTPIN_OPERATION", hook->operation},
    };
    char text[VP_ERROR_TEXT + 256];
    va_list args;

    for (unsigned i = 0; i < count && i < MORE_FIELDS; i++)
        field[4 + i] = more[i];
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    vp_journal(priority, message_id, field, 4 + (count < MORE_FIELDS ? count : MORE_FIELDS), "%s",
               text);
}

void vp_hook_apply_pool(struct vp_hook *hook)
{
    struct vp_error err = {0};

    if (vp_engine_apply_pool(&hook->engine, hook->domain->uuid, &err) < 0)
        vp_hook_say(hook, LOG_WARNING, VP_MSG_HOOK_ERROR, NULL, 0,
                    "shared guests could not be moved when guest %s was in %s: %s", hook->name,
                    hook->operation, err.text);
}

static void wake(const struct vp_hook *hook)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/wake", hook->engine.set->host.run_dir) >=
        (int)sizeof(path))
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        close(fd);
}

void vp_hook_request(struct vp_hook *hook, const char *kind)
{
    struct vp_error err = {0};

    /* the decision's waiting and this one together are less than the limit */
    vp_ledger_patience(hook->engine.ledger, hook->engine.lock_ms / 4);
    if (vp_ledger_begin(hook->engine.ledger, &err) < 0) {
        vp_ledger_patience(hook->engine.ledger, hook->engine.lock_ms);
        return;
    }
    vp_ledger_patience(hook->engine.ledger, hook->engine.lock_ms);
    if (vp_ledger_request(hook->engine.ledger, kind, hook->domain->uuid, &err) < 0 ||
        vp_ledger_commit(hook->engine.ledger, &err) < 0)
        vp_ledger_rollback(hook->engine.ledger);
    wake(hook);
}

void vp_hook_report(struct vp_hook *hook)
{
    for (size_t i = 0; i < hook->findings.count; i++)
        vp_hook_say(hook, LOG_WARNING, VP_MSG_PLACED, NULL, 0, "%s", hook->findings.item[i].text);
}

/* The launcher made stdin a memory file of the whole XML. */
static int read_xml(struct vp_hook *hook, struct vp_error *err)
{
    struct stat st;
    size_t at = 0;

    if (fstat(STDIN_FILENO, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > VP_XML_MAX)
        return vp_fail(err, VP_INPUT, "stdin is not the file that virtpin-hook hands over");
    hook->xml_length = (size_t)st.st_size;
    hook->xml = malloc(hook->xml_length + 1);
    if (!hook->xml)
        return vp_fail(err, VP_HOST, "out of memory");
    while (at < hook->xml_length) {
        ssize_t length = pread(STDIN_FILENO, hook->xml + at, hook->xml_length - at, (off_t)at);

        if (length <= 0)
            return vp_fail(err, VP_HOST, "stdin ended early");
        at += (size_t)length;
    }
    hook->xml[at] = '\0';
    return 0;
}

static int read_domain(struct vp_hook *hook, struct vp_error *err)
{
    if (read_xml(hook, err) < 0)
        return -1;
    hook->doc = vp_xml_parse(hook->xml, hook->xml_length, err);
    if (!hook->doc || vp_domain_read(xmlDocGetRootElement(hook->doc), &hook->domain, err) < 0)
        return vp_wrap(err, "libvirt's XML");
    if (hook->domain->uuid[0] == '\0')
        return vp_fail(err, VP_INPUT, "libvirt's XML has no uuid");
    return 0;
}

/* What on-error says for this guest. One that no policy puts in force is never
 * refused. */
static enum vp_verdict verdict_of(const struct vp_hook *hook)
{
    const struct vp_policy *policy = hook->choice.policy;

    if (!policy || policy->mode != VP_MODE_ENFORCE)
        return VP_VERDICT_ALLOW;
    return policy->on_error != VP_VERDICT_UNSET ? policy->on_error
                                                : hook->engine.set->host.on_error;
}

/* For launches to come, whose worker may not get so far. */
static void keep_words(const char *run_dir, const char *words, size_t length)
{
    const char *slash = strrchr(VP_LAUNCHER_FILE, '/');
    char kept[VP_RUN_DIR_MOST + 128] = "";
    int fd;

    if (strlen(run_dir) != (size_t)(slash - VP_LAUNCHER_FILE) ||
        strncmp(run_dir, VP_LAUNCHER_FILE, strlen(run_dir)) != 0)
        return;
    fd = open(VP_LAUNCHER_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (pread(fd, kept, sizeof(kept) - 1, 0) < 0 || strcmp(kept, words) != 0) {
        if (pwrite(fd, words, length, 0) != (ssize_t)length || ftruncate(fd, (off_t)length) < 0)
            (void)unlink(VP_LAUNCHER_FILE); /* better none than half of it */
    }
    close(fd);
}

static int make_words(const struct vp_host_conf *host, enum vp_verdict verdict, char *words,
                      size_t size)
{
    return snprintf(words, size, "limit=%u\non-error=%s\nrun-dir=%s\n", host->hook_limit_ms,
                    verdict == VP_VERDICT_REFUSE ? "refuse" : "allow",
                    strlen(host->run_dir) < VP_RUN_DIR_MOST ? host->run_dir : "");
}

/* Tells the launcher, and launches to come, how long, what on failure, and where
 * runs are counted. */
static void say_words(const struct vp_hook *hook)
{
    const struct vp_host_conf *host = &hook->engine.set->host;
    char words[VP_RUN_DIR_MOST + 128];
    int length = make_words(host, host->on_error, words, sizeof(words));

    keep_words(host->run_dir, words, (size_t)length);
    length = make_words(host, verdict_of(hook), words, sizeof(words));
    if (write(VP_CONTROL_FD, words, (size_t)length) != length)
        return; /* run by hand, without a launcher */
}

static void say_on_error(enum vp_verdict verdict)
{
    const char *words = verdict == VP_VERDICT_REFUSE ? "on-error=refuse\n" : "on-error=allow\n";

    if (verdict != VP_VERDICT_UNSET &&
        write(VP_CONTROL_FD, words, strlen(words)) != (ssize_t)strlen(words))
        return; /* run by hand, without a launcher */
}

static void report_choice(const struct vp_hook *hook)
{
    if (hook->choice.warning[0] != '\0')
        vp_hook_say(hook, LOG_WARNING, VP_MSG_POLICY, NULL, 0, "guest %s: %s", hook->name,
                    hook->choice.warning);
    if (hook->engine.stale)
        vp_hook_say(hook, LOG_WARNING, VP_MSG_POLICY, NULL, 0,
                    "the policy files are broken; the last good set is used: %s",
                    hook->engine.findings.count > 0 ? hook->engine.findings.item[0].text : "");
}

/* The parent of a process, and the name of the process itself; 0: there is none. */
static pid_t parent_of(pid_t pid, char *comm, size_t size)
{
    char path[64], text[512];
    const char *open_at, *close_at;
    size_t length;
    FILE *file;
    int parent;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    open_at = strchr(text, '(');
    close_at = strrchr(text, ')');
    if (!open_at || !close_at || sscanf(close_at + 1, " %*c %d", &parent) != 1)
        return 0;
    snprintf(comm, size, "%.*s", (int)(close_at - open_at - 1), open_at + 1);
    return parent;
}

/* A lease lives as long as the daemon that asked for it. Between the two may be
 * a script in hooks/ that calls us and ends with us. */
static pid_t daemon_above(pid_t caller)
{
    char comm[32];
    pid_t pid = caller;

    for (int level = 0; level < 8 && pid > 1; level++) {
        pid_t parent = parent_of(pid, comm, sizeof(comm));

        if (parent > 0 && (strcmp(comm, "libvirtd") == 0 || strcmp(comm, "virtqemud") == 0))
            return pid;
        pid = parent;
    }
    return caller;
}

static int run(struct vp_hook *hook, const struct operation *operation,
               const struct vp_conf_where *where, const char *topology, struct vp_error *err)
{
    if (read_domain(hook, err) < 0)
        return -1;
    vp_hook_known(hook->argv, hook->domain->named_policy ? NULL : hook->domain->name);
    if (vp_engine_open_here(&hook->engine, where, topology, err) < 0) {
        if (!hook->engine.set)
            say_on_error(vp_hook_on_error(where));
        return -1;
    }
    vp_engine_choose(&hook->engine, hook->domain, &hook->choice);
    say_words(hook);
    report_choice(hook);
    /* a decision must be over before the launcher's patience is */
    hook->engine.lock_ms = hook->engine.set->host.hook_limit_ms / 2;
    if (operation->books)
        hook->daemon_pid = daemon_above(hook->daemon_pid);
    return operation->run(hook, err);
}

/* NAME OPERATION SUBOPERATION EXTRA after the options. */
static int parse_arguments(int argc, char **argv, struct vp_hook *hook, struct vp_conf_where *where,
                           const char **topology)
{
    int first = 1;

    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        if (argv[first][2] == '\0') {
            first++; /* libvirt's words follow, whatever they look like */
            break;
        }
        if (strncmp(argv[first], "--daemon=", 9) == 0)
            hook->daemon_pid = (pid_t)atoi(argv[first] + 9);
        else if (strcmp(argv[first], "--config") == 0 && first + 1 < argc)
            where->config = argv[++first];
        else if (strcmp(argv[first], "--policy-dir") == 0 && first + 1 < argc)
            where->policy_dir = argv[++first];
        else if (strcmp(argv[first], "--topology") == 0 && first + 1 < argc)
            *topology = argv[++first];
        else
            return -1;
    }
    if (argc - first < 2)
        return -1;
    hook->name = argv[first];
    hook->operation = argv[first + 1];
    hook->extra = argc - first > 3 ? argv[first + 3] : "-";
    return 0;
}

/* A guest that runs is never refused: whatever fails then is virtpin's failure. */
static int finish(struct vp_hook *hook, int result, const struct vp_error *err)
{
    bool refused = err->code == VP_REFUSED && strcmp(hook->operation, "started") != 0;

    if (result == 0)
        return 0;
    if (refused && hook->choice.policy)
        fprintf(stderr, "virtpin: guest %s, policy %s: %s\n", hook->name, hook->choice.policy->name,
                err->text);
    else
        fprintf(stderr, "virtpin: %s\n", err->text);
    vp_hook_say(hook, refused ? LOG_NOTICE : LOG_ERR, refused ? VP_MSG_REFUSED : VP_MSG_HOOK_ERROR,
                NULL, 0, "guest %s, %s: %s", hook->name, hook->operation, err->text);
    return refused ? VP_WORKER_REFUSED : VP_WORKER_FAILED;
}

int main(int argc, char **argv)
{
    struct vp_hook hook = {0};
    struct vp_conf_where where = {0};
    struct vp_error err = {0};
    const char *topology = NULL;
    int result;

    umask(077);
    hook.argv = argv;
    if (parse_arguments(argc, argv, &hook, &where, &topology) < 0) {
        fputs("virtpin-hook-worker: started by virtpin-hook only\n", stderr);
        return 2;
    }
    vp_journal_open("virtpin-hook", 0);
    for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
        if (strcmp(hook.operation, operations[i].name) != 0)
            continue;
        result = run(&hook, &operations[i], &where, topology, &err);
        /* the process ends here: what it holds goes with it, but the ledger is
         * closed so that its log is folded in */
        vp_ledger_close(hook.engine.ledger);
        _exit(finish(&hook, result, &err)); /* no library's last words */
    }
    return 0;
}
