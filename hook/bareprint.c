/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher's printing (see bare.c): %s, %.Ns, %.*s, %d, %ld and %%. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct out {
    char *text;
    size_t size, length; /* length counts what did not fit, too */
};

static void put(struct out *out, const char *text, size_t most)
{
    for (size_t i = 0; i < most && text[i] != '\0'; i++, out->length++)
        if (out->length + 1 < out->size)
            out->text[out->length] = text[i];
}

static void put_number(struct out *out, long number)
{
    unsigned long left = number < 0 ? -(unsigned long)number : (unsigned long)number;
    char digits[24];
    char *at = digits + sizeof(digits) - 1;

    *at = '\0';
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        *--at = '-';
    put(out, at, sizeof(digits));
}

/* After the %; returns what follows the directive. */
static const char *put_one(struct out *out, const char *format, va_list *args)
{
    size_t most = (size_t)-1;

    if (*format == '.' && format[1] == '*') {
        most = (size_t)va_arg(*args, int);
        format += 2;
    } else if (*format == '.') {
        char *end;

        most = (size_t)strtol(format + 1, &end, 10);
        format = end;
    }
    if (*format == 's')
        put(out, va_arg(*args, const char *), most);
    else if (*format == 'd')
        put_number(out, va_arg(*args, int));
    else if (*format == 'l' && *++format == 'd')
        put_number(out, va_arg(*args, long));
    else
        put(out, "%", 1);
    return format + 1;
}

int vsnprintf(char *restrict text, size_t size, const char *restrict format, va_list args)
{
    struct out out = {.text = text, .size = size};
    va_list own;

    va_copy(own, args);
    while (*format != '\0') {
        if (*format == '%') {
            format = put_one(&out, format + 1, &own);
        } else {
            put(&out, format, 1);
            format++;
        }
    }
    va_end(own);
    if (size > 0)
        text[out.length < size ? out.length : size - 1] = '\0';
    return (int)out.length;
}

int snprintf(char *restrict text, size_t size, const char *restrict format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, size, format, args);
    va_end(args);
    return length;
}

int dprintf(int fd, const char *restrict format, ...)
{
    char text[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return (int)write(fd, text, strlen(text));
}
