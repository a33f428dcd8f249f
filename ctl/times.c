/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/output.h"
#include "decide/error.h"

char *vp_time_text(int64_t ms, char text[VP_TIME_TEXT])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t used;

    gmtime_r(&seconds, &tm);
    used = strftime(text, VP_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, VP_TIME_TEXT - used, ".%03dZ", (int)(ms % 1000));
    return text;
}

char *vp_span_text(int64_t ms, char text[VP_TIME_TEXT])
{
    if (ms < 0)
        ms = 0;
    if (ms < 60 * 1000)
        snprintf(text, VP_TIME_TEXT, "%.1f s", (double)ms / 1000);
    else if (ms < 2 * 3600 * 1000)
        snprintf(text, VP_TIME_TEXT, "%" PRId64 " min", ms / 60000);
    else if (ms < 48 * (int64_t)3600 * 1000)
        snprintf(text, VP_TIME_TEXT, "%" PRId64 " h", ms / 3600000);
    else
        snprintf(text, VP_TIME_TEXT, "%" PRId64 " d", ms / 86400000);
    return text;
}

static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(units[i].name, unit) == 0)
            return units[i].ms;
    return 0;
}

int vp_span_parse(const char *text, int64_t *ms, struct vp_error *err)
{
    unsigned long number;
    int64_t unit = 0;
    char *end = NULL;

    if (text[0] >= '0' && text[0] <= '9' && strlen(text) < 12) {
        number = strtoul(text, &end, 10);
        unit = unit_ms(end);
    }
    if (unit == 0 || (int64_t)number > (int64_t)3650 * 86400000 / unit)
        return vp_fail(err, VP_INPUT,
                       "found \"%s\" where a time is asked; legal: 30s, 10m, 24h, 7d, at most 10 "
                       "years",
                       text);
    *ms = (int64_t)number * unit;
    return 0;
}

/* Milliseconds behind a point, as far as they are written. */
static const char *parse_fraction(const char *rest, int *ms)
{
    int scale = 100;

    *ms = 0;
    if (*rest != '.')
        return rest;
    for (rest++; *rest >= '0' && *rest <= '9'; rest++, scale /= 10)
        *ms += (*rest - '0') * scale;
    return rest;
}

int vp_since_parse(const char *text, int64_t now_ms, int64_t *ms, struct vp_error *err)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    struct vp_error ignored;
    int fraction;

    if (vp_span_parse(text, ms, &ignored) == 0) {
        *ms = now_ms - *ms;
        return 0;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);

        if (!rest)
            continue;
        rest = parse_fraction(rest, &fraction);
        if (*rest == 'Z')
            rest++;
        if (*rest != '\0')
            continue;
        *ms = (int64_t)timegm(&tm) * 1000 + fraction;
        return 0;
    }
    return vp_fail(err, VP_INPUT,
                   "found \"%s\"; legal: a time back from now (10m, 24h) or a date in UTC "
                   "(2026-01-31, 2026-01-31T12:00:00Z)",
                   text);
}
