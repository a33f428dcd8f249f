/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/connect.h"
#include "ctl/ctl.h"
#include "ctl/decision.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/engine.h"

struct start {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    virConnectPtr connection;
    virDomainPtr domain; /* owned */
    struct vp_changes changes;
    bool rewritten;
    bool disabled; /* started as it is */
};

static bool is_file(const char *word)
{
    struct stat st;

    return strchr(word, '/') || (stat(word, &st) == 0 && S_ISREG(st.st_mode));
}

static unsigned create_flags(const struct vp_ctl *ctl)
{
    return (vp_ctl_option(ctl, "paused") ? VIR_DOMAIN_START_PAUSED : 0u) |
           (vp_ctl_option(ctl, "autodestroy") ? VIR_DOMAIN_START_AUTODESTROY : 0u);
}

/* libvirt wraps what our hook says into the whole call of its child: "internal
 * error: Child process (...) unexpected exit status 1: virtpin: SENTENCE".
 * Where there is such a sentence it is all that matters; false if not. */
static bool our_sentence(const char *message, char *sentence, size_t size)
{
    const char *at = strstr(message, "unexpected exit status ");

    at = at ? strstr(at, ": virtpin: ") : NULL;
    if (!at)
        return false;
    at += strlen(": virtpin: ");
    snprintf(sentence, size, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

/* A refusal of a hook is the policy's; anything else this host's. */
static int create_failed(const char *name, struct vp_error *err)
{
    virErrorPtr last = virGetLastError();
    bool hook = last && last->code == VIR_ERR_HOOK_SCRIPT_FAILED;
    char sentence[512];

    if (hook && last->message && our_sentence(last->message, sentence, sizeof(sentence)))
        return vp_fail(err, VP_REFUSED, "%s was not started: %s", name, sentence);
    vp_virt_fail(err, "%s was not started", name);
    if (hook)
        err->code = VP_REFUSED;
    return -1;
}

/* ---- a defined guest ---- */

static int rewrite_definition(struct start *start, struct vp_error *err)
{
    struct vp_findings findings = {0};
    enum vp_definition_result result =
        vp_definition_rewrite(start->engine, start->domain, false, &start->changes, &findings, err);
    int status = 0;

    for (size_t i = 0; i < findings.count; i++)
        fprintf(stderr, "virtpin: %s\n", findings.item[i].text);
    switch (result) {
    case VP_DEFINITION_WRITTEN:
        start->rewritten = true;
        break;
    case VP_DEFINITION_SAME:
    case VP_DEFINITION_IMPOSSIBLE: /* on-start of the policy decides, in the hook */
        break;
    case VP_DEFINITION_CONTESTED:
        fprintf(stderr,
                "virtpin: the definition of %s is left alone: something changes it back "
                "each time\n",
                virDomainGetName(start->domain));
        break;
    case VP_DEFINITION_FAILED:
        status = vp_wrap(err, "%s was not started: its definition was not rewritten",
                         virDomainGetName(start->domain));
        break;
    }
    vp_findings_clear(&findings);
    return status;
}

static int start_name(struct start *start, const char *name, struct vp_error *err)
{
    start->domain = vp_ctl_domain(start->connection, name, err);
    if (!start->domain)
        return -1;
    if (virDomainIsActive(start->domain) == 1)
        return vp_fail(err, VP_REFUSED, "guest %s runs already", name);
    if (!start->disabled && rewrite_definition(start, err) != 0)
        return -1;
    if (virDomainCreateWithFlags(start->domain, create_flags(start->ctl)) != 0)
        return create_failed(name, err);
    return 0;
}

/* ---- a transient guest from a file ---- */

static int print_decision(struct start *start, struct vp_decision *decision, char **text,
                          struct vp_error *err)
{
    bool changed = false;
    size_t length;

    if (decision->refused && !start->disabled)
        return vp_fail(err, VP_REFUSED, "%s was not started: %s%s%s", decision->domain->name,
                       decision->why, decision->answer.help[0] ? "; what would help: " : "",
                       decision->answer.help);
    if (decision->choice.warning[0])
        fprintf(stderr, "virtpin: %s\n", decision->choice.warning);
    if (decision->host_cannot[0])
        fprintf(stderr, "virtpin: the guest CPU stays as it is: %s\n", decision->host_cannot);
    if (!start->disabled && vp_decision_apply(decision, VP_OP_DEFINE, &changed, err) != 0)
        return -1;
    start->rewritten = changed;
    start->changes = decision->changes;
    decision->changes = (struct vp_changes){0};
    return vp_xml_print(decision->doc, changed, decision->xml, decision->length, text, &length,
                        err);
}

static int start_file(struct start *start, const char *path, struct vp_error *err)
{
    VP_AUTO(vp_decision) struct vp_decision decision = {0};
    VP_AUTO(free) char *text = NULL;
    size_t length;
    char *xml;

    if (vp_ctl_read(path, &xml, &length, err) != 0)
        return -1;
    if (vp_decide(start->ctl, start->engine, xml, length, VP_OP_DEFINE, &decision, err) != 0)
        return vp_wrap(err, "%s", path);
    if (print_decision(start, &decision, &text, err) != 0)
        return -1;
    start->domain = virDomainCreateXML(start->connection, text, create_flags(start->ctl));
    return start->domain ? 0 : create_failed(decision.domain->name, err);
}

/* ---- afterwards ---- */

/* virsh knows how to be a console; our connection stays open meanwhile, which
 * is what autodestroy hangs on. */
static int attach_console(struct start *start, struct vp_error *err)
{
    const char *uri = start->engine->set->host.uri;
    pid_t child;
    int status;

    fflush(stdout);
    child = fork();
    if (child < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot fork for virsh console");
    if (child == 0) {
        execlp("virsh", "virsh", "-c", uri, "console", virDomainGetName(start->domain),
               (char *)NULL);
        fprintf(stderr, "virtpin: cannot run virsh: %s\n", strerror(errno));
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return vp_fail_errno(err, VP_HOST, errno, "waiting for virsh console");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return vp_fail(err, VP_HOST, "the guest runs, but virsh console failed");
}

static void print_json(const struct start *start, const char *uuid)
{
    json_object *object = vp_json_new("virtpin.start/1");
    json_object *list = vp_json_array();
    char text[1024];

    vp_json_string(object, "guest", virDomainGetName(start->domain));
    vp_json_string(object, "uuid", uuid);
    vp_json_bool(object, "paused", vp_ctl_option(start->ctl, "paused") != NULL);
    vp_json_bool(object, "rewritten", start->rewritten);
    for (size_t i = 0; start->rewritten && i < start->changes.count; i++) {
        vp_change_text(&start->changes.item[i], text, sizeof(text));
        vp_json_push(list, json_object_new_string(text));
    }
    vp_json_add(object, "changes", list);
    vp_json_print(object);
}

static void print_start(const struct start *start)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "", text[1024];

    virDomainGetUUIDString(start->domain, uuid);
    if (start->ctl->json) {
        print_json(start, uuid);
        return;
    }
    for (size_t i = 0; start->rewritten && i < start->changes.count; i++) {
        vp_change_text(&start->changes.item[i], text, sizeof(text));
        printf("rewritten: %s\n", text);
    }
    printf("guest %s is started%s\n", virDomainGetName(start->domain),
           vp_ctl_option(start->ctl, "paused") ? ", its vCPUs stopped" : "");
}

static int run(struct start *start, struct vp_error *err)
{
    const char *word = start->ctl->argv[0];
    static char doing[256];
    int result;

    snprintf(doing, sizeof(doing), "starting %.200s", word);
    vp_waiting(doing, 0);
    result = is_file(word) ? start_file(start, word, err) : start_name(start, word, err);
    vp_waited();
    if (result != 0)
        return -1;
    print_start(start);
    return vp_ctl_option(start->ctl, "console") ? attach_console(start, err) : 0;
}

int vp_verb_start(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(virConnectPtr) virConnectPtr connection = NULL;
    struct start start = {.ctl = ctl, .engine = &engine};
    char reason[256];
    int result;

    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "start acts on this host: --topology is of no use here");
    if (vp_ctl_option(ctl, "autodestroy") && !vp_ctl_option(ctl, "console"))
        return vp_fail(
            err, VP_INPUT,
            "--autodestroy without --console would end the guest at once, with virtpin's "
            "connection");
    start.disabled = vp_conf_disabled(&ctl->where, reason);
    if (start.disabled)
        fprintf(stderr, "virtpin: disabled (%s): the guest is started as it is\n", reason);
    if (vp_ctl_engine(ctl, &engine, err) != 0 || vp_ctl_ledger(ctl, &engine, false, err) != 0)
        return -1;
    connection = vp_ctl_connect(engine.set->host.uri, err);
    if (!connection)
        return -1;
    start.connection = connection;
    result = run(&start, err);
    virDomainPtr_cleanup(&start.domain);
    vp_changes_clear(&start.changes);
    return result == 0 ? VP_EXIT_GOOD : -1;
}
