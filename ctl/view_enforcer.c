/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/view.h"
#include "host/threads.h"

static void take(struct vp_enforcer_facts *facts, uint64_t *start, const char *key,
                 const char *value)
{
    if (strcmp(key, "pid") == 0)
        facts->pid = (pid_t)strtol(value, NULL, 10);
    else if (strcmp(key, "start") == 0)
        *start = strtoull(value, NULL, 10);
    else if (strcmp(key, "since_ms") == 0)
        facts->since_ms = strtoll(value, NULL, 10);
    else if (strcmp(key, "last_sweep_ms") == 0)
        facts->last_sweep_ms = strtoll(value, NULL, 10);
    else if (strcmp(key, "sweep_lag_us") == 0)
        facts->sweep_lag_us = strtoll(value, NULL, 10);
    else if (strcmp(key, "sweep_us") == 0)
        facts->sweep_us = strtoll(value, NULL, 10);
    else if (strcmp(key, "libvirt") == 0)
        snprintf(facts->libvirt, sizeof(facts->libvirt), "%s", value);
    else if (strcmp(key, "can_repair") == 0)
        facts->can_repair = strcmp(value, "yes") == 0;
    else if (strcmp(key, "why") == 0)
        snprintf(facts->why, sizeof(facts->why), "%s", value);
    else if (strcmp(key, "remedy") == 0)
        snprintf(facts->remedy, sizeof(facts->remedy), "%.255s", value);
    else if (strcmp(key, "blind") == 0 &&
             facts->blind_count < sizeof(facts->blind) / sizeof(facts->blind[0]))
        snprintf(facts->blind[facts->blind_count++], sizeof(facts->blind[0]), "%.255s", value);
}

void vp_enforcer_read(const char *run_dir, struct vp_enforcer_facts *facts)
{
    char path[4096], line[1024];
    uint64_t start = 0;
    FILE *file;

    *facts = (struct vp_enforcer_facts){.sweep_lag_us = -1, .sweep_us = -1};
    snprintf(path, sizeof(path), "%s/enforcer", run_dir);
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        char *equal = strchr(line, '=');

        if (!equal)
            continue;
        *equal = '\0';
        equal[1 + strcspn(equal + 1, "\n")] = '\0';
        take(facts, &start, line, equal + 1);
    }
    fclose(file);
    facts->known = facts->pid > 0;
    facts->running = facts->known && start != 0 && vp_process_start("/proc", facts->pid) == start;
}
