/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What doctor asks about that which confines libvirt's daemon and its hooks. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"

/* Where `make install-selinux` and the rpm leave it. */
#define SELINUX_MODULE "/usr/share/selinux/packages/virtpin.pp"

/* Debian's and Ubuntu's profile of the daemon: a hook in /etc/libvirt/hooks
 * runs inside it, one behind a link to these directories outside. */
static bool runs_unconfined(const char *target)
{
    return strncmp(target, "/usr/sbin/", 10) == 0 || strncmp(target, "/usr/bin/", 9) == 0 ||
           strncmp(target, "/sbin/", 6) == 0 || strncmp(target, "/bin/", 5) == 0;
}

static const char *enforced_profile(const struct vp_doctor *doctor)
{
    static const char *const names[] = {"libvirtd", "virtqemud"};
    static char text[65536];
    char line[64];

    if (vp_doctor_read(doctor, "/sys/kernel/security/apparmor/profiles", text, sizeof(text)) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *at;

        snprintf(line, sizeof(line), "%s (enforce)", names[i]);
        at = strstr(text, line);
        if (at && (at == text || at[-1] == '\n' || at[-1] == '/'))
            return names[i];
    }
    return NULL;
}

void vp_check_apparmor(struct vp_doctor *doctor)
{
    const char *profile = enforced_profile(doctor);
    size_t count;
    struct vp_hook_entry *list = vp_doctor_hooks(doctor, &count);
    const struct vp_hook_entry *ours = vp_hook_ours(list, count);

    if (!profile) {
        vp_doctor_say(doctor, VP_CHECK_OK, "AppArmor does not confine libvirt's daemon");
    } else if (ours && vp_hook_runs(ours) && ours->link && !runs_unconfined(ours->target)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "AppArmor's profile %s denies %s, because its link ends in %s: libvirt "
                      "refuses every start, and ends running guests when its daemon is restarted",
                      profile, ours->path, ours->target);
        vp_doctor_remedy(doctor, "install -m 755 %s " VP_LAUNCHER " && ln -sfn " VP_LAUNCHER " %s",
                         ours->target, ours->path);
    } else if (ours && vp_hook_runs(ours) && !ours->link) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "the hook %s is no link, so it runs inside AppArmor's profile %s, which may "
                      "deny it its worker in " VP_LIBEXECDIR,
                      ours->path, profile);
        vp_doctor_remedy(doctor, "install -m 755 %s " VP_LAUNCHER " && ln -sfn " VP_LAUNCHER " %s",
                         ours->path, ours->path);
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "AppArmor confines libvirt's daemon, and the hook may "
                      "run");
    }
    free(list);
}

static bool has_module(const struct vp_doctor *doctor)
{
    static const char *const priorities[] = {"100", "200", "300", "400"};
    char path[PATH_MAX];
    struct stat st;

    for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
        snprintf(path, sizeof(path), "/var/lib/selinux/targeted/active/modules/%s/virtpin",
                 priorities[i]);
        if (vp_doctor_stat(doctor, path, &st))
            return true;
    }
    return false;
}

void vp_check_selinux(struct vp_doctor *doctor)
{
    char enforce[8];
    struct stat st;

    if (!vp_doctor_line(doctor, "/sys/fs/selinux/enforce", enforce, sizeof(enforce))) {
        vp_doctor_say(doctor, VP_CHECK_OK, "SELinux is not in use");
    } else if (strcmp(enforce, "1") != 0) {
        vp_doctor_say(doctor, VP_CHECK_OK, "SELinux is permissive");
    } else if (has_module(doctor)) {
        vp_doctor_say(doctor, VP_CHECK_OK, "SELinux is enforcing, with virtpin's module");
    } else {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "SELinux is enforcing without a module of virtpin's: where the distribution "
                      "confines libvirt's hooks (Fedora 40 and later) it may deny the worker");
        if (vp_doctor_stat(doctor, SELINUX_MODULE, &st))
            vp_doctor_remedy(doctor, "semodule -X 200 -i " SELINUX_MODULE
                                     " && restorecon -R /etc/libvirt/hooks "
                                     "/usr/sbin/virtpin-hook " VP_LIBEXECDIR);
        else
            vp_doctor_remedy(doctor,
                             "ausearch -m avc -ts today -c virtpin-hook (nothing: all is well)");
    }
}
