/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What doctor asks about others who move guests, their threads or interrupts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"

/* The first few names of a list, for a sentence. */
struct names {
    char text[256];
    char last[256];
    size_t count;
};

static void add_name(struct names *names, const char *name)
{
    size_t used = strlen(names->text);

    /* a running guest has a status file and a definition */
    if (strstr(names->text, name) || strcmp(names->last, name) == 0)
        return;
    names->count++;
    snprintf(names->last, sizeof(names->last), "%s", name);
    if (names->count <= 3)
        snprintf(names->text + used, sizeof(names->text) - used, "%s%.60s", used ? ", " : "", name);
    else if (names->count == 4)
        snprintf(names->text + used, sizeof(names->text) - used, ", ...");
}

/* ---- by metadata ---- */

static const struct manager {
    const char *name;
    const char *uri; /* begins the namespace of its metadata */
    const char *match;
} managers[] = {
    {"Nova", "http://openstack.org/xmlns/libvirt/nova/",
     "{http://openstack.org/xmlns/libvirt/nova/1.1}instance"},
    {"oVirt (vdsm)", "http://ovirt.org/vm/", "{http://ovirt.org/vm/1.0}vm"},
    {"KubeVirt", "http://kubevirt.io", "{http://kubevirt.io}kubevirt"},
};
#define MANAGERS (sizeof(managers) / sizeof(managers[0]))

static bool see_manager(void *context, const char *name, const char *xml)
{
    struct names *found = context;

    for (size_t i = 0; i < MANAGERS; i++)
        if (strstr(xml, managers[i].uri))
            add_name(&found[i], name);
    return true;
}

void vp_check_managers(struct vp_doctor *doctor)
{
    struct names found[MANAGERS] = {0};
    bool any = false;

    vp_doctor_guests(doctor, see_manager, found);
    for (size_t i = 0; i < MANAGERS; i++) {
        if (found[i].count == 0)
            continue;
        any = true;
        vp_doctor_say(
            doctor, VP_CHECK_WARNING,
            "%zu %s %s's (%s): it writes pins of its own at start and migration, and both "
            "would undo each other",
            found[i].count, found[i].count == 1 ? "guest is" : "guests are", managers[i].name,
            found[i].text);
        vp_doctor_remedy(doctor,
                         "a policy with mode = off, priority = 1000, match-metadata = %s for them; "
                         "or let virtpin place them and take the pins from %s",
                         managers[i].match, managers[i].name);
    }
    if (!any)
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "no guest is another manager's (Nova, oVirt, KubeVirt) by its metadata");
}

static bool see_auto(void *context, const char *name, const char *xml)
{
    const char *vcpu = strstr(xml, "<vcpu ");
    const char *end = vcpu ? strchr(vcpu, '>') : NULL;
    const char *numa = strstr(xml, "<numatune");
    const char *memory = numa ? strstr(numa, "<memory ") : NULL;
    const char *memory_end = memory ? strchr(memory, '>') : NULL;
    const char *at = vcpu ? strstr(vcpu, "placement='auto'") : NULL;
    bool found = at && end && at < end;

    at = memory ? strstr(memory, "placement='auto'") : NULL;
    if (found || (at && memory_end && at < memory_end))
        add_name(context, name);
    return true;
}

void vp_check_auto(struct vp_doctor *doctor)
{
    struct names found = {0};

    vp_doctor_guests(doctor, see_auto, &found);
    if (found.count == 0) {
        vp_doctor_say(doctor, VP_CHECK_OK, "no guest leaves its placement to numad");
        return;
    }
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "%zu %s placement='auto' (%s): libvirt asks numad for CPUs and nodes at each "
                  "start, and fails to start them where numad is not installed",
                  found.count, found.count == 1 ? "guest has" : "guests have", found.text);
    vp_doctor_remedy(doctor, "virsh edit NAME: placement='static' in <vcpu> and <numatune>");
}

/* ---- by running programs ---- */

static bool check_numad(struct vp_doctor *doctor)
{
    struct vp_program program;

    if (!vp_doctor_program(doctor, "numad", &program))
        return false;
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "numad runs (pid %d): it moves guests' threads and memory between nodes",
                  (int)program.pid);
    vp_doctor_remedy(doctor, "systemctl disable --now numad");
    return true;
}

static bool check_cgred(struct vp_doctor *doctor)
{
    struct vp_program program;

    if (!vp_doctor_program(doctor, "cgrulesengd", &program))
        return false;
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "cgrulesengd runs (pid %d): a rule of /etc/cgrules.conf may move guests to other "
                  "cgroups",
                  (int)program.pid);
    vp_doctor_remedy(doctor, "systemctl disable --now cgred");
    return true;
}

/* Profiles with the scheduler plugin set the affinity of every thread that
 * their ps_blacklist does not name, by the name of its command. */
static bool check_tuned(struct vp_doctor *doctor)
{
    char profile[128] = "";
    struct vp_program program;

    vp_doctor_line(doctor, "/etc/tuned/active_profile", profile, sizeof(profile));
    if (!vp_doctor_program(doctor, "tuned", &program) ||
        (!strstr(profile, "cpu-partitioning") && !strstr(profile, "realtime")))
        return false;
    vp_doctor_say(
        doctor, VP_CHECK_WARNING,
        "tuned runs (pid %d) with profile %s, which sets the affinity of threads, guests' "
        "too where their program is not on its list",
        (int)program.pid, profile);
    vp_doctor_remedy(doctor,
                     "ps_blacklist=.*qemu.* in [scheduler] of a profile in /etc/tuned with "
                     "include=%s",
                     profile);
    return true;
}

static bool check_irqbalance(struct vp_doctor *doctor, const struct vp_cpuset *dedicated)
{
    struct vp_program program;
    char list[256];

    if (vp_cpuset_empty(dedicated) || !vp_doctor_program(doctor, "irqbalance", &program))
        return false;
    vp_cpuset_print(dedicated, list, sizeof(list));
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "irqbalance runs (pid %d): it gives interrupts to dedicated CPUs (%s) too",
                  (int)program.pid, list);
    vp_doctor_remedy(doctor,
                     "IRQBALANCE_BANNED_CPULIST=%s in /etc/default/irqbalance "
                     "(/etc/sysconfig/irqbalance), and systemctl restart irqbalance",
                     list);
    return true;
}

void vp_check_balancers(struct vp_doctor *doctor)
{
    struct vp_cpuset dedicated;
    bool any = false;

    vp_doctor_dedicated(doctor, &dedicated);
    any |= check_numad(doctor);
    any |= check_cgred(doctor);
    any |= check_tuned(doctor);
    any |= check_irqbalance(doctor, &dedicated);
    if (!any)
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "nothing runs that moves guests' threads (numad, tuned's partitioning "
                      "profiles, cgrulesengd) or interrupts onto dedicated CPUs (irqbalance)");
}
