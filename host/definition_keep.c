/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/policytext.h"
#include "host/clock.h"
#include "host/definition_priv.h"
#include "host/engine.h"

/* What was written back so often is not ours to fight for. */
#define CONTESTED_MS (10 * 60 * 1000)

void vp_work_report(struct vp_work *work, enum vp_grade grade, const char *text, const char *remedy)
{
    struct vp_finding finding = {.grade = grade,
                                 .policy = work->choice.policy->name,
                                 .text = (char *)(uintptr_t)text,
                                 .remedy = (char *)(uintptr_t)remedy};

    vp_findings_add(work->findings, &finding);
}

/* Whether this facet was written back so often that it is left alone now. */
static bool is_contested(const struct vp_work *work, struct vp_kept *kept, int64_t now)
{
    const struct vp_host_conf *conf = &work->engine->set->host;
    unsigned writes = 0;

    if (kept->contested_ms > now)
        return true;
    for (size_t i = 0; i < VP_KEPT_WRITES; i++)
        writes += kept->write[i] > now - conf->contested_ms;
    if (writes < conf->contested_count)
        return false;
    kept->contested_ms = now + CONTESTED_MS;
    return true;
}

static int take_original(struct vp_kept *kept, const struct vp_work *work, const char *name,
                         const char *print, const char *xml, size_t length)
{
    free(kept->original);
    kept->original = malloc(length + 1);
    if (!kept->original)
        return -1;
    memcpy(kept->original, xml, length + 1);
    kept->length = length;
    kept->since_ms = vp_now_ms();
    snprintf(kept->uuid, sizeof(kept->uuid), "%s", work->uuid);
    snprintf(kept->name, sizeof(kept->name), "%s", name);
    snprintf(kept->before, sizeof(kept->before), "%s", print);
    vp_text_hash(xml, length, kept->hash);
    return 0;
}

enum facet_verdict { FACET_WRITE, FACET_DROPPED, FACET_CONTESTED, FACET_FAILED };

/* Prepares the record of one facet that would change from `print` to `wanted`.
 * The first original stays for as long as what stands there is ours. */
static enum facet_verdict prepare_facet(struct vp_work *work, const struct vp_domain *before,
                                        enum vp_facet facet, const char *print, const char *wanted,
                                        const char *xml, size_t length, struct vp_error *err)
{
    struct vp_kept *kept = &work->kept[facet];
    char policy[VP_HASH_TEXT];
    int64_t now = vp_now_ms();
    int found = vp_kept_load(work->state_dir, work->uuid, facet, kept, err);

    vp_policy_print_of(work->choice.policy, policy);
    if (found < 0)
        return FACET_FAILED;
    /* the same was written before, and this is what libvirt has made of it */
    if (found == 1 && kept->got[0] && strcmp(print, kept->got) == 0 &&
        strcmp(wanted, kept->wrote) == 0 && strcmp(kept->policy, policy) == 0)
        return FACET_DROPPED;
    if (found == 0 || !vp_kept_is_ours(kept, print)) {
        if (found == 1 && is_contested(work, kept, now)) {
            if (!work->dry_run)
                vp_kept_save(work->state_dir, kept, NULL);
            return FACET_CONTESTED;
        }
        if (take_original(kept, work, before->name, print, xml, length) != 0) {
            vp_fail(err, VP_HOST, "out of memory");
            return FACET_FAILED;
        }
    }
    kept->got[0] = kept->after[0] = '\0';
    snprintf(kept->policy, sizeof(kept->policy), "%s", policy);
    return FACET_WRITE;
}

static int load_prior(struct vp_work *work, enum vp_facet facet, struct vp_error *err)
{
    int found = vp_kept_load(work->state_dir, work->uuid, facet, &work->prior[facet], err);

    work->had[facet] = found == 1;
    return found < 0 ? -1 : 0;
}

/* 1: write; 0: nothing to write; -1. */
int vp_work_prepare(struct vp_work *work, const struct vp_domain *before,
                    const struct vp_domain *after, const char *xml, size_t length,
                    struct vp_error *err)
{
    bool write = false, dropped = false;

    for (int i = 0; i < VP_FACETS; i++) {
        char print[VP_HASH_TEXT], wanted[VP_HASH_TEXT];

        vp_facet_print(before, (enum vp_facet)i, print);
        vp_facet_print(after, (enum vp_facet)i, wanted);
        if (strcmp(print, wanted) == 0)
            continue;
        switch (prepare_facet(work, before, (enum vp_facet)i, print, wanted, xml, length, err)) {
        case FACET_FAILED:
            return -1;
        case FACET_CONTESTED:
            work->contested = true;
            return 0;
        case FACET_DROPPED:
            dropped = true;
            break;
        case FACET_WRITE:
            if (load_prior(work, (enum vp_facet)i, err) != 0)
                return -1;
            snprintf(work->kept[i].wrote, VP_HASH_TEXT, "%s", wanted);
            work->keep[i] = write = true;
            break;
        }
    }
    if (dropped)
        vp_work_report(work, VP_WARNING,
                       "libvirt drops a part of what the policy asks of the definition",
                       "topology of the policy (libvirt 9.0 has no clusters)");
    return write;
}

int vp_work_save(struct vp_work *work, struct vp_error *err)
{
    for (int i = 0; i < VP_FACETS; i++)
        if (work->keep[i] && vp_kept_save(work->state_dir, &work->kept[i], err) != 0)
            return -1;
    return 0;
}

void vp_work_abandon(void *context)
{
    struct vp_work *work = context;

    for (int i = 0; i < VP_FACETS; i++) {
        if (!work->keep[i])
            continue;
        if (work->had[i])
            vp_kept_save(work->state_dir, &work->prior[i], NULL);
        else
            vp_kept_remove(work->state_dir, work->uuid, (enum vp_facet)i, NULL);
    }
}
