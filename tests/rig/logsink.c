/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logsink SYSLOG JOURNAL OUT: what a private host has for syslog and journal. Listens on the two
 * datagram sockets and appends one line a record to OUT: "syslog<TAB>text" or
 * "journal<TAB>KEY=value<TAB>KEY=value...". The formats are those of RFC 3164 as glibc's syslog(3)
 * sends it, and systemd's "Native Journal Protocol" (a record too large for a datagram comes as a
 * sealed memfd).
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RECORD_MAX (256 * 1024)

static int listen_on(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path)) {
        fprintf(stderr, "logsink: %s: %s\n", path, strerror(fd < 0 ? errno : ENAMETOOLONG));
        exit(1);
    }
    strcpy(addr.sun_path, path);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0666) < 0) {
        fprintf(stderr, "logsink: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return fd;
}

/* One record is one line: control characters of a value become blanks. */
static void put_text(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        putc(c < ' ' || c == 0x7f ? ' ' : c, out);
    }
}

static void put_journal(FILE *out, const char *buf, size_t len)
{
    const char *end = buf + len;

    fputs("journal", out);
    while (buf < end) {
        const char *eol = memchr(buf, '\n', (size_t)(end - buf));
        const char *name = buf;
        size_t name_len = (size_t)((eol != NULL ? eol : end) - buf);
        uint64_t size;

        if (eol == NULL || memchr(buf, '=', name_len) != NULL) {
            putc('\t', out);
            put_text(out, buf, name_len);
            buf = eol != NULL ? eol + 1 : end;
            continue;
        }
        buf = eol + 1;
        if ((size_t)(end - buf) < sizeof(size)) {
            break;
        }
        memcpy(&size, buf, sizeof(size));
        size = le64toh(size);
        buf += sizeof(size);
        if (size > (uint64_t)(end - buf)) {
            break;
        }
        putc('\t', out);
        put_text(out, name, name_len);
        putc('=', out);
        put_text(out, buf, (size_t)size);
        buf += size < (uint64_t)(end - buf) ? size + 1 : size;
    }
    putc('\n', out);
}

static void receive(int fd, bool is_journal, FILE *out)
{
    static char buf[RECORD_MAX];
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = len < 0 ? NULL : CMSG_FIRSTHDR(&msg);

    if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
        int memfd;

        memcpy(&memfd, CMSG_DATA(cmsg), sizeof(memfd));
        len = pread(memfd, buf, sizeof(buf), 0);
        close(memfd);
    }
    if (len <= 0) {
        return;
    }
    if (is_journal) {
        put_journal(out, buf, (size_t)len);
    } else {
        fputs("syslog\t", out);
        put_text(out, buf, (size_t)len);
        putc('\n', out);
    }
}

int main(int argc, char **argv)
{
    struct pollfd fds[2];
    FILE *out;

    if (argc != 4) {
        fprintf(stderr, "usage: logsink SYSLOG JOURNAL OUT\n");
        return 2;
    }
    fds[0] = (struct pollfd){.fd = listen_on(argv[1]), .events = POLLIN};
    fds[1] = (struct pollfd){.fd = listen_on(argv[2]), .events = POLLIN};
    out = fopen(argv[3], "ae");
    if (out == NULL) {
        fprintf(stderr, "logsink: %s: %s\n", argv[3], strerror(errno));
        return 1;
    }
    setvbuf(out, NULL, _IOLBF, 0);
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return 1;
        }
        for (int i = 0; i < 2; i++) {
            if ((fds[i].revents & POLLIN) != 0) {
                receive(fds[i].fd, i == 1, out);
            }
        }
    }
}
