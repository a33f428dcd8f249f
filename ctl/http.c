/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/http.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"

#define LIMIT_MS 5000
#define HEAD_MOST 8192

static bool await(int fd, short events, int64_t deadline)
{
    struct pollfd wait = {.fd = fd, .events = events};
    int64_t left = deadline - vp_clock_ms();

    return left > 0 && poll(&wait, 1, (int)left) > 0;
}

/* ---- the request ---- */

static bool is_whole(const char *text)
{
    return strstr(text, "\r\n\r\n") || strstr(text, "\n\n");
}

/* "GET /metrics HTTP/1.1"; what follows a ? is ignored. */
static int judge(const char *text, int *head)
{
    size_t method = strcspn(text, " \r\n");
    const char *path = text + method + 1, *version;
    size_t length;

    if (text[method] != ' ')
        return 400;
    length = strcspn(path, " \r\n");
    version = path + length + 1;
    if (path[length] != ' ' || strncmp(version, "HTTP/1.", 7) != 0)
        return 400;
    *head = method == 4 && strncmp(text, "HEAD", 4) == 0;
    if (!*head && !(method == 3 && strncmp(text, "GET", 3) == 0))
        return 405;
    length = strcspn(path, " ?\r\n");
    return length == 8 && strncmp(path, "/metrics", 8) == 0 ? 200 : 404;
}

int vp_http_read(int fd, int *head)
{
    int64_t deadline = vp_clock_ms() + LIMIT_MS;
    char text[HEAD_MOST + 1];
    size_t length = 0;

    *head = 0;
    while (length < HEAD_MOST) {
        ssize_t got;

        if (!await(fd, POLLIN, deadline))
            return 408;
        got = recv(fd, text + length, HEAD_MOST - length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return 400;
        length += (size_t)got;
        text[length] = '\0';
        if (is_whole(text))
            return strlen(text) == length ? judge(text, head) : 400;
    }
    return 431;
}

/* ---- the answer ---- */

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    default:
        return "Bad Request";
    }
}

static bool send_all(int fd, const char *bytes, size_t length, int64_t deadline)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0 && !await(fd, POLLOUT, deadline)) {
            errno = ETIMEDOUT;
            return false;
        }
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
    return true;
}

/* What is still unread at the end would make the kernel cut our answer off. */
static void finish(int fd, int64_t deadline)
{
    char rest[4096];

    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 64 && await(fd, POLLIN, deadline); i++)
        if (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
            return;
}

int vp_http_answer(int fd, int status, int head, const char *body, size_t length,
                   struct vp_error *err)
{
    int64_t deadline = vp_clock_ms() + LIMIT_MS;
    char text[512];
    int used;

    used = snprintf(text, sizeof(text),
                    "HTTP/1.1 %d %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                    status, reason(status), length, status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!send_all(fd, text, (size_t)used, deadline) ||
        (!head && !send_all(fd, body, length, deadline)))
        return vp_fail_errno(err, VP_HOST, errno, "answering the request");
    finish(fd, deadline);
    return 0;
}
