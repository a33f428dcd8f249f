/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int vp_fail(struct vp_error *err, enum vp_code code, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return -1;
}

int vp_fail_errno(struct vp_error *err, enum vp_code code, int number, const char *format, ...)
{
    const char *reason;
    va_list args;
    size_t used;

    if (!err)
        return -1;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    reason = strerrordesc_np(number);
    if (reason)
        snprintf(err->text + used, sizeof(err->text) - used, ": %s", reason);
    else
        snprintf(err->text + used, sizeof(err->text) - used, ": unknown error %d", number);
    return -1;
}

int vp_wrap(struct vp_error *err, const char *format, ...)
{
    char inner[VP_ERROR_TEXT];
    va_list args;
    size_t used;

    if (!err)
        return -1;
    memcpy(inner, err->text, sizeof(inner));
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    return -1;
}

int vp_exit_code(enum vp_code code)
{
    switch (code) {
    case VP_OK:
        return 0;
    case VP_REFUSED:
        return 1;
    case VP_INPUT:
        return 2;
    case VP_HOST:
    case VP_BUSY:
    case VP_GONE:
        break;
    }
    return 3;
}
