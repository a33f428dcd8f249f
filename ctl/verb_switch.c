/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"

static int print_switch(const struct vp_ctl *ctl, const char *schema, bool enabled, int64_t until)
{
    json_object *object;
    char time[VP_TIME_TEXT];

    if (ctl->json) {
        object = vp_json_new(schema);
        vp_json_bool(object, "enabled", enabled);
        vp_json_time(object, "until", until);
        vp_json_print(object);
    } else if (enabled) {
        printf("virtpin is enabled\n");
    } else if (until > 0) {
        printf("virtpin is disabled until %s\n", vp_time_text(until, time));
    } else {
        printf("virtpin is disabled until `virtpin enable`\n");
    }
    return VP_EXIT_GOOD;
}

int vp_verb_disable(struct vp_ctl *ctl, struct vp_error *err)
{
    const char *span = vp_ctl_option(ctl, "for");
    int64_t for_ms = 0;

    if (span && vp_span_parse(span, &for_ms, err) != 0)
        return vp_wrap(err, "--for");
    if (span && for_ms == 0)
        return vp_fail(err, VP_INPUT, "--for: found \"%s\", legal are times above 0", span);
    if (ctl->argv[0][0] == '\0' || strpbrk(ctl->argv[0], "\n\r"))
        return vp_fail(err, VP_INPUT, "REASON has to be one line of text");
    if (vp_conf_disable(&ctl->where, ctl->argv[0], for_ms, err) != 0)
        return -1;
    return print_switch(ctl, "virtpin.disable/1", false, for_ms ? vp_now_ms() + for_ms : 0);
}

int vp_verb_enable(struct vp_ctl *ctl, struct vp_error *err)
{
    if (vp_conf_enable(&ctl->where, err) != 0)
        return -1;
    return print_switch(ctl, "virtpin.enable/1", true, 0);
}
