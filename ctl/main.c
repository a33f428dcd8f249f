/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "decide/error.h"
#include "version.h"

/* A full disk or a closed pipe behind stdout must not look like success. */
static int finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "virtpin: cannot write to stdout: %s\n", strerror(errno));
    return VP_EXIT_HOST;
}

int main(int argc, char **argv)
{
    const char *config = getenv("VIRTPIN_CONFIG");
    struct vp_error err = {0};
    struct vp_ctl ctl = {0};
    int status;

    signal(SIGPIPE, SIG_IGN);
    if (vp_ctl_parse(&ctl, argc, argv, config && config[0] ? config : NULL, &err) != 0) {
        fprintf(stderr, "virtpin: %s\n", err.text);
        return VP_EXIT_USE;
    }
    if (ctl.version) {
        printf("virtpin %s\n", VP_VERSION);
        return finish(VP_EXIT_GOOD);
    }
    if (ctl.help) {
        if (ctl.verb)
            vp_usage_verb(ctl.verb);
        else
            vp_usage();
        return finish(VP_EXIT_GOOD);
    }
    status = ctl.verb->run(&ctl, &err);
    if (status < 0) {
        fprintf(stderr, "virtpin: %s\n", err.text);
        if (err.code == VP_HOST && geteuid() != 0)
            fprintf(stderr, "virtpin: it was not run as root, who alone may read what it needs\n");
        status = vp_exit_code(err.code);
        if (status == VP_EXIT_GOOD)
            status = VP_EXIT_HOST;
    }
    return finish(status);
}
