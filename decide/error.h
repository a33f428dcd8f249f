/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ERROR_H
#define VP_ERROR_H

/* Errors are objects: a code and a text. Functions that can fail take a
 * `struct vp_error *` last, return 0 or -1, and add context on the way up;
 * only a main or a loop prints. The object has a fixed size so that reporting
 * an error can never fail itself. */

#define VP_ERROR_TEXT 1024

enum vp_code {
    VP_OK = 0,
    VP_REFUSED, /* a finding: the policy says no, it does not fit; exit 1 */
    VP_INPUT,   /* wrong use or unreadable input; exit 2 */
    VP_HOST,    /* this host failed: I/O, memory, libvirt; exit 3 */
    VP_BUSY,    /* a lock or a peer was not to be had in time; exit 3 */
    VP_GONE,    /* the guest or thread ended meanwhile; exit 3 where it matters */
};

struct vp_error {
    enum vp_code code;
    char text[VP_ERROR_TEXT]; /* one sentence, no newline; cut at the end if too long */
};

/* Fills *err (which may be NULL) and returns -1, so that a failing function
 * can end with `return vp_fail(err, VP_HOST, "...", ...)`. */
int vp_fail(struct vp_error *err, enum vp_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As vp_fail, with ": " and the text of errno `number` appended. */
int vp_fail_errno(struct vp_error *err, enum vp_code code, int number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "CONTEXT: " before the text of *err (which may be NULL), keeps the
 * code, returns -1. */
int vp_wrap(struct vp_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The exit status that CLI.md's table gives to a code: 0, 1, 2 or 3. */
int vp_exit_code(enum vp_code code);

#endif
