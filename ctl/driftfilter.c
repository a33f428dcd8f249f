/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/driftfilter.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/error.h"

static int bad_kind(const char *word, size_t length, struct vp_error *err)
{
    char legal[256] = "";
    size_t used = 0;

    for (int kind = VP_DRIFT_AFFINITY; kind < VP_DRIFT_KINDS && used < sizeof(legal); kind++)
        used += (size_t)snprintf(legal + used, sizeof(legal) - used, "%s%s", used ? ", " : "",
                                 vp_drift_kind_word((enum vp_drift_kind)kind));
    return vp_fail(err, VP_INPUT, "--kind: found \"%.*s\"; legal: %s, several with commas",
                   (int)length, word, legal);
}

static int read_kinds(const char *text, unsigned *kinds, struct vp_error *err)
{
    for (;;) {
        size_t length = strcspn(text, ",");
        char word[32];
        int kind;

        snprintf(word, sizeof(word), "%.*s", (int)length, text);
        kind = vp_drift_kind_parse(word);
        if (kind < 0)
            return bad_kind(text, length, err);
        *kinds |= 1U << kind;
        if (text[length] == '\0')
            return 0;
        text += length + 1;
    }
}

static int read_time(const struct vp_ctl *ctl, const char *option, int64_t now_ms, int64_t *ms,
                     struct vp_error *err)
{
    const char *text = vp_ctl_option(ctl, option);

    if (text && vp_since_parse(text, now_ms, ms, err) != 0)
        return vp_wrap(err, "--%s", option);
    return 0;
}

int vp_drift_filter_read(const struct vp_ctl *ctl, int64_t now_ms, struct vp_drift_filter *filter,
                         struct vp_error *err)
{
    const char *kinds = vp_ctl_option(ctl, "kind");

    *filter = (struct vp_drift_filter){
        .guest = vp_ctl_option(ctl, "guest"),
        .by = vp_ctl_option(ctl, "by"),
    };
    if ((kinds && read_kinds(kinds, &filter->kinds, err) != 0) ||
        read_time(ctl, "since", now_ms, &filter->since_ms, err) != 0 ||
        read_time(ctl, "until", now_ms, &filter->until_ms, err) != 0)
        return -1;
    if (filter->until_ms != 0 && vp_ctl_option(ctl, "follow"))
        return vp_fail(err, VP_INPUT, "--follow shows what comes: it cannot have --until");
    if (filter->until_ms != 0 && filter->until_ms < filter->since_ms)
        return vp_fail(err, VP_INPUT, "--until is before --since: nothing lies between");
    return 0;
}

static bool has_unit(const char *wanted, const char *unit)
{
    char stem[sizeof(((struct vp_culprit *)0)->unit)];
    char *dot;

    if (fnmatch(wanted, unit, 0) == 0)
        return true;
    snprintf(stem, sizeof(stem), "%s", unit);
    dot = strrchr(stem, '.');
    if (dot)
        *dot = '\0';
    return dot && fnmatch(wanted, stem, 0) == 0;
}

static bool was_by(const char *wanted, const struct vp_culprit *by)
{
    if (strspn(wanted, "0123456789") == strlen(wanted))
        return strtoul(wanted, NULL, 10) == (unsigned long)by->pid && by->pid > 0;
    if (by->pid <= 0 && !by->comm[0])
        return strcmp(wanted, "unknown") == 0;
    return fnmatch(wanted, by->comm, 0) == 0 || (by->unit[0] && has_unit(wanted, by->unit)) ||
           (by->tty[0] && fnmatch(wanted, by->tty, 0) == 0);
}

bool vp_drift_filter_passes(const struct vp_drift_filter *filter,
                            const struct vp_drift_record *record)
{
    if (filter->guest && fnmatch(filter->guest, record->guest, 0) != 0 &&
        strcasecmp(filter->guest, record->uuid) != 0)
        return false;
    if (filter->kinds != 0 && !(filter->kinds & 1U << record->kind))
        return false;
    if (record->last_ms < filter->since_ms ||
        (filter->until_ms != 0 && record->first_ms > filter->until_ms))
        return false;
    return !filter->by || was_by(filter->by, &record->by);
}
