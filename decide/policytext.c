/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policytext.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where lines are wrapped; nothing but looks depends on it. */
enum { WRAP_AT = 100 };

static bool make_room(struct vp_text *text, size_t more)
{
    size_t room = text->room > 0 ? text->room : 256;
    char *bytes;

    if (text->failed)
        return false;
    while (room - text->length <= more)
        room *= 2;
    if (room == text->room)
        return true;
    bytes = realloc(text->bytes, room);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->room = room;
    return true;
}

void vp_text_put(struct vp_text *text, const char *bytes, size_t length)
{
    if (!make_room(text, length))
        return;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void vp_text_puts(struct vp_text *text, const char *string)
{
    vp_text_put(text, string, strlen(string));
}

void vp_text_putc(struct vp_text *text, char byte)
{
    vp_text_put(text, &byte, 1);
}

void vp_text_putu(struct vp_text *text, unsigned long long number)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    vp_text_put(text, digits + at, sizeof(digits) - at);
}

void vp_text_reset(struct vp_text *text)
{
    text->length = 0;
    if (text->bytes)
        text->bytes[0] = '\0';
}

void vp_text_free(struct vp_text *text)
{
    free(text->bytes);
    *text = (struct vp_text){0};
}

void vp_text_put_key(struct vp_text *text, const char *key, const char *value)
{
    size_t column = strlen(key) + 2;

    vp_text_put(text, key, column - 2);
    vp_text_put(text, " =", 2);
    while (*value != '\0') {
        size_t word = (size_t)(strchrnul(value, ' ') - value);

        if (column > 1 && column + 1 + word > WRAP_AT) {
            vp_text_put(text, "\n\t", 2);
            column = 1;
        } else {
            vp_text_putc(text, ' ');
            column++;
        }
        vp_text_put(text, value, word);
        column += word;
        value += word;
        while (*value == ' ')
            value++;
    }
    vp_text_putc(text, '\n');
}
