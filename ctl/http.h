/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HTTP_H
#define VP_HTTP_H

#include <stddef.h>

struct vp_error;

/* One HTTP/1 request on a connection, for `virtpin metrics --http`. */

/* Reads a request's head, at most 8 KiB and 5 seconds. 200: it asks for GET (or
 * HEAD, *head set) of /metrics; else the status to answer. */
int vp_http_read(int fd, int *head);

/* Answers, with a body of plain text that HEAD leaves out; within 5 seconds.
 * 0, or -1 (VP_HOST): the other side is gone or does not read. */
int vp_http_answer(int fd, int status, int head, const char *body, size_t length,
                   struct vp_error *err);

#endif
