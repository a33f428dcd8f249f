/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"

static void print_hold(const struct vp_ctl *ctl, const char *guest, int64_t until_ms)
{
    json_object *object;
    char time[VP_TIME_TEXT];

    if (ctl->json) {
        object = vp_json_new("virtpin.hold/1");
        vp_json_string(object, "guest", guest);
        vp_json_time(object, "held_until", until_ms);
        vp_json_print(object);
    } else if (until_ms > 0) {
        printf("%s: drift is left alone until %s\n", guest, vp_time_text(until_ms, time));
    } else {
        printf("%s: drift is repaired again\n", guest);
    }
}

int vp_verb_hold(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    const char *span = vp_ctl_option(ctl, "for");
    struct vp_guest_row row = {0};
    int64_t for_ms, until_ms;
    int result;

    if (!span)
        return vp_fail(err, VP_INPUT, "hold: --for T is missing, e.g. --for 30m");
    if (vp_span_parse(span, &for_ms, err) != 0)
        return vp_wrap(err, "--for");
    if (vp_ctl_engine(ctl, &engine, err) != 0 || vp_ctl_ledger(ctl, &engine, false, err) != 0 ||
        vp_guest_row_find(&engine, ctl->argv[0], &row, err) != 0)
        return -1;
    until_ms = for_ms > 0 ? vp_now_ms() + for_ms : 0;
    result = vp_guest_row_hold(&engine, row.uuid, until_ms, err);
    if (result == 0)
        print_hold(ctl, row.name, until_ms);
    vp_guest_row_clear(&row);
    return result == 0 ? VP_EXIT_GOOD : -1;
}
