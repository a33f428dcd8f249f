/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/ctl.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"

const char *vp_view_state_word(enum vp_view_state state)
{
    static const char *const words[] = {"lease", "running", "reserved", "unmanaged", "unplaced"};

    return words[state];
}

static void guest_clear(struct vp_view_guest *guest)
{
    free(guest->name);
    free(guest->policy);
    free(guest->pending);
    free(guest->unplaced);
    free(guest->thread);
    free(guest->memory);
}

void vp_view_clear(struct vp_view *view)
{
    for (size_t i = 0; i < view->guest_count; i++)
        guest_clear(&view->guest[i]);
    free(view->guest);
    free(view->pool);
    vp_strangers_clear(&view->strangers);
    vp_findings_clear(&view->findings);
    *view = (struct vp_view){0};
}

/* The policies in force were written when they were last found to have changed. */
static int64_t loaded_ms(const struct vp_engine *engine, int64_t now_ms)
{
    char path[4096];
    struct stat st;

    snprintf(path, sizeof(path), "%s/policy.good", engine->set->host.run_dir);
    if (stat(path, &st) != 0)
        return now_ms;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

static int keep_only(struct vp_view *view, const char *name, struct vp_error *err)
{
    size_t kept = 0;

    for (size_t i = 0; i < view->guest_count; i++) {
        struct vp_view_guest *guest = &view->guest[i];

        if (strcmp(guest->name, name) == 0 || strcasecmp(guest->uuid, name) == 0)
            view->guest[kept++] = *guest;
        else
            guest_clear(guest);
    }
    view->guest_count = kept;
    if (kept == 0)
        return vp_fail(err, VP_INPUT,
                       "no guest \"%s\" runs or holds CPUs here (virtpin status lists them)", name);
    return 0;
}

int vp_view_gather(const struct vp_ctl *ctl, struct vp_engine *engine, const char *only,
                   struct vp_view *view, struct vp_error *err)
{
    *view = (struct vp_view){.now_ms = vp_now_ms()};
    snprintf(view->host, sizeof(view->host), "%s", engine->nodename);
    view->enabled = !vp_conf_disabled(&ctl->where, view->disabled_why);
    view->policy_loaded_ms = loaded_ms(engine, view->now_ms);
    vp_enforcer_read(engine->set->host.run_dir, &view->enforcer);
    /* what a killed one has left behind says nothing */
    if (!view->enforcer.running || !vp_memoryfile_read(engine->set->host.run_dir, &view->moving))
        view->moving.uuid[0] = '\0';
    if (view->enforcer.running &&
        vp_strangers_read(&view->strangers, engine->set->host.run_dir) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    if (vp_ctl_ledger(ctl, engine, false, err) != 0 || vp_view_guests(engine, view, err) != 0)
        return -1;
    if (vp_view_exclusive(view) != 0 || vp_view_findings(engine, view) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return only ? keep_only(view, only, err) : 0;
}

bool vp_view_has_finding(const struct vp_view *view)
{
    if (!view->enforcer.running)
        return true;
    for (size_t i = 0; i < view->guest_count; i++) {
        const struct vp_view_guest *guest = &view->guest[i];

        if (guest->open || guest->contested || (guest->exclusive_known && !guest->exclusive))
            return true;
    }
    return false;
}
