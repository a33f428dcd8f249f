/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/confwait.h"
#include "enforcer/enforcer.h"
#include "host/journal.h"
#include "version.h"

static const char usage[] =
    "usage: virtpind [options]\n"
    "Keeps the guests of this host as their policies say. Runs in the foreground.\n"
    "\n"
    "  --config FILE      instead of " VP_SYSCONFDIR "/virtpin/virtpin.conf\n"
    "  --policy-dir DIR   policies from DIR/*.conf instead of the usual directories\n"
    "  --topology X       another host's shape: hwloc XML, a recorded root or a synthetic string\n"
    "  -n, --check        check the configuration, print the normalised policies, and end\n"
    "  --help, --version\n";

static int print_check(const struct vp_conf_where *where)
{
    struct vp_policy_set *set = NULL;
    struct vp_findings findings = {0};
    struct vp_error err = {0};
    char line[1024];
    int result = vp_conf_load(where, &set, &findings, &err);

    for (size_t i = 0; i < findings.count; i++)
        fprintf(stderr, "virtpind: %s: %s\n",
                findings.item[i].grade == VP_ERROR ? "error" : "warning",
                vp_finding_line(&findings.item[i], line, sizeof(line)));
    if (result < 0 && vp_findings_errors(&findings) == 0) {
        fprintf(stderr, "virtpind: %s\n", err.text);
        result = vp_exit_code(err.code);
    } else if (result < 0) {
        result = 1;
    } else if (fputs(set->text, stdout) < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "virtpind: writing the policies: %s\n", strerror(errno));
        result = 3;
    }
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    return result;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct vp_enforcer *enforcer)
{
    enum { CONFIG = 256, POLICY_DIR, TOPOLOGY, HELP, VERSION };
    static const struct option options[] = {
        {"config", required_argument, NULL, CONFIG},
        {"policy-dir", required_argument, NULL, POLICY_DIR},
        {"topology", required_argument, NULL, TOPOLOGY},
        {"check", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, HELP},
        {"version", no_argument, NULL, VERSION},
        {NULL, 0, NULL, 0},
    };
    bool check = false;
    int option;

    while ((option = getopt_long(argc, argv, "n", options, NULL)) != -1) {
        switch (option) {
        case CONFIG:
            enforcer->where.config = optarg;
            break;
        case POLICY_DIR:
            enforcer->where.policy_dir = optarg;
            break;
        case TOPOLOGY:
            enforcer->topology = optarg;
            break;
        case 'n':
            check = true;
            break;
        case HELP:
            return fputs(usage, stdout) < 0 ? 3 : 0;
        case VERSION:
            return printf("virtpind %s\n", VP_VERSION) < 0 ? 3 : 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "virtpind: %s is not an option\n%s", argv[optind], usage);
        return 2;
    }
    return check ? print_check(&enforcer->where) : -1;
}

static void serve(struct vp_enforcer *enforcer, struct vp_error *err)
{
    if (geteuid() != 0) {
        vp_fail(err, VP_INPUT, "must run as root: it writes cgroups and other users' affinities");
        return;
    }
    if (vp_confwait(&enforcer->where, err) != 0)
        return;
    if (vp_enforcer_open(enforcer, err) == 0)
        vp_enforcer_run(enforcer, err);
    vp_enforcer_close(enforcer);
}

int main(int argc, char **argv)
{
    static struct vp_enforcer enforcer;
    struct vp_error err = {0};
    int status;

    enforcer.where.config = getenv("VIRTPIN_CONFIG");
    status = read_options(argc, argv, &enforcer);
    if (status >= 0)
        return status;
    /* One arena: a thread that works once an hour need not keep one of its own. */
    mallopt(M_ARENA_MAX, 1);
    vp_journal_open("virtpind", isatty(STDERR_FILENO));
    serve(&enforcer, &err);
    if (err.code != VP_OK) {
        fprintf(stderr, "virtpind: %s\n", err.text);
        vp_journal(LOG_ERR, VP_MSG_FATAL, NULL, 0, "%s", err.text);
    }
    /* Not exit(): threads of the libvirt side may hang in a call for ever. */
    fflush(stdout);
    _exit(vp_exit_code(err.code));
}
