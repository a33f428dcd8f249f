/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/unable.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "host/journal.h"

bool vp_unable_is(int number)
{
    return number == EPERM || number == EROFS || number == EIO || number == ENOTCONN ||
           number == ENOSYS || number == ESHUTDOWN;
}

static void remedy_of(const struct vp_enforcer *enforcer, int number, char *text, size_t size)
{
    const char *mount = enforcer->engine.cgroups.mount;

    switch (number) {
    case EPERM:
        snprintf(text, size,
                 "virtpind runs as root with CAP_SYS_NICE and CAP_DAC_OVERRIDE: see "
                 "CapabilityBoundingSet= in systemctl cat virtpind, and journalctl -k for denials");
        break;
    case EROFS:
        snprintf(text, size,
                 "mount -o remount,rw %.100s; ProtectControlGroups= in systemctl cat virtpind",
                 mount);
        break;
    default:
        snprintf(text, size, "findmnt %.100s; journalctl -k", mount);
        break;
    }
}

void vp_unable_begin(struct vp_enforcer *enforcer, const struct vp_watched *guest, int number,
                     const struct vp_error *err)
{
    struct vp_unable *unable = &enforcer->unable;
    bool news = !unable->why[0];

    snprintf(unable->why, sizeof(unable->why), "%.250s", err->text);
    remedy_of(enforcer, number, unable->remedy, sizeof(unable->remedy));
    snprintf(unable->uuid, sizeof(unable->uuid), "%s", guest->row.uuid);
    if (!news)
        return;
    vp_journal(LOG_ERR, VP_MSG_TROUBLE,
               (const struct vp_field[]){{"VIRTPIN_GUEST", guest->row.name},
                                         {"VIRTPIN_UUID", guest->row.uuid}},
               2, "cannot repair: %s (%s)", unable->why, unable->remedy);
    vp_enforcer_state(enforcer);
}

static void end(struct vp_enforcer *enforcer, const char *how)
{
    vp_journal(LOG_NOTICE, VP_MSG_TROUBLE, NULL, 0, "can repair again: %s", how);
    enforcer->unable = (struct vp_unable){.why = ""};
    vp_enforcer_state(enforcer);
}

void vp_unable_over(struct vp_enforcer *enforcer, const struct vp_watched *guest, bool repaired)
{
    if (!enforcer->unable.why[0])
        return;
    if (repaired)
        end(enforcer, "a repair was made");
    else if (strcmp(enforcer->unable.uuid, guest->row.uuid) == 0)
        end(enforcer, "what could not be repaired has gone by itself");
}

void vp_unable_check(struct vp_enforcer *enforcer)
{
    if (enforcer->unable.why[0] && !vp_enforcer_guest(enforcer, enforcer->unable.uuid))
        end(enforcer, "the guest that could not be repaired is no more");
}
