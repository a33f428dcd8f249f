/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_POLICYTEXT_H
#define VP_POLICYTEXT_H

#include <stdbool.h>
#include <stddef.h>

struct vp_policy_set;

/* What a line of a policy file may hold, in bytes without the newline: inih
 * cuts lines at 199 and hands the rest over as a line of its own. */
#define VP_LINE_MAX 190

/* A text that grows. After a failed allocation it stays short and `failed`. */
struct vp_text {
    char *bytes; /* NUL-terminated once anything was put; owned */
    size_t length, room;
    bool failed;
};

void vp_text_put(struct vp_text *text, const char *bytes, size_t length);
void vp_text_puts(struct vp_text *text, const char *string);
void vp_text_putc(struct vp_text *text, char byte);
void vp_text_putu(struct vp_text *text, unsigned long long number);

/* Makes it empty and keeps its memory. */
void vp_text_reset(struct vp_text *text);
void vp_text_free(struct vp_text *text);

/* "KEY = VALUE\n"; a value too long for one line goes on in lines that start
 * with a tab. No word of the value (words are parted by one blank) may be
 * longer than VP_LINE_MAX - 1, as none that was read can be. */
void vp_text_put_key(struct vp_text *text, const char *key, const char *value);

/* "sha256:" and 64 hex digits of the text into hash[72]. */
void vp_text_hash(const char *bytes, size_t length, char hash[72]);

#endif
