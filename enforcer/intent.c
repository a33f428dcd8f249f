/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/intent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/driftlog.h"
#include "host/journal.h"

static void say_left(char *text)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        vp_journal(LOG_NOTICE, VP_MSG_UNFINISHED, NULL, 0,
                   "%s: the enforcer before this one ended while it repaired that", line);
}

int vp_intent_open(struct vp_intent *intent, const char *run_dir, struct vp_error *err)
{
    char path[PATH_MAX];
    ssize_t length;

    intent->length = 0;
    snprintf(path, sizeof(path), "%s/repairing", run_dir);
    intent->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (intent->fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot open %s", path);
    length = pread(intent->fd, intent->text, sizeof(intent->text) - 1, 0);
    intent->text[length > 0 ? length : 0] = '\0';
    say_left(intent->text);
    /* all of it once, so that there is room for it when there is none left */
    memset(intent->text, 0, sizeof(intent->text));
    if (pwrite(intent->fd, intent->text, sizeof(intent->text), 0) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", path);
    return 0;
}

void vp_intent_close(struct vp_intent *intent)
{
    if (intent->fd >= 0)
        close(intent->fd);
    intent->fd = -1;
}

void vp_intent_add(struct vp_intent *intent, const struct vp_drift_record *record)
{
    size_t room = sizeof(intent->text) - intent->length;
    size_t length;

    if (intent->fd < 0)
        return;
    length = vp_driftlog_text(record, intent->text + intent->length, room);
    if (length + 1 >= room) {
        intent->text[intent->length] = '\0';
        return;
    }
    intent->length += length;
    intent->text[intent->length++] = '\n';
    intent->text[intent->length] = '\0';
}

void vp_intent_keep(struct vp_intent *intent)
{
    if (intent->length > 0 && pwrite(intent->fd, intent->text, intent->length + 1, 0) < 0)
        intent->length = 0; /* the repair matters more */
}

void vp_intent_done(struct vp_intent *intent)
{
    if (intent->length == 0)
        return;
    intent->length = 0;
    intent->text[0] = '\0';
    if (pwrite(intent->fd, intent->text, 1, 0) < 0)
        return; /* said once more at the next start */
}
