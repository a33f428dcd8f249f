/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/journal.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "host/journalpriv.h"

/* A datagram for each record, from a socket of its own: whoever restarts the
 * journal costs us nothing, and no descriptor is kept by a hook or a fork. */

#define RECORD_MAX 32768
#define MESSAGE_MAX 2048

static const char *journal_path = "/run/systemd/journal/socket";
static const char *syslog_path = "/dev/log";
static char own_identifier[32] = "virtpin";
static int own_stderr;

void vp_journal_paths(const char *journal, const char *syslog)
{
    journal_path = journal ? journal : "/run/systemd/journal/socket";
    syslog_path = syslog ? syslog : "/dev/log";
}

void vp_journal_open(const char *identifier, int to_stderr)
{
    snprintf(own_identifier, sizeof(own_identifier), "%s", identifier);
    own_stderr = to_stderr;
}

/* ---- the two forms ---- */

struct record {
    char *buf;
    size_t size, used;
};

static void put_bytes(struct record *record, const void *bytes, size_t length)
{
    memcpy(record->buf + record->used, bytes, length);
    record->used += length;
}

/* NAME=value, or with a length before it where the value has a newline. All or
 * nothing: half a field would make the whole record unreadable. */
static void put_field(struct record *record, const char *name, const char *value)
{
    size_t name_length = strlen(name), length = strlen(value);
    bool binary = memchr(value, '\n', length) != NULL;
    uint64_t little = htole64(length);

    if (name_length + length + 2 + (binary ? sizeof(little) : 0) > record->size - record->used)
        return;
    put_bytes(record, name, name_length);
    put_bytes(record, binary ? "\n" : "=", 1);
    if (binary)
        put_bytes(record, &little, sizeof(little));
    put_bytes(record, value, length);
    put_bytes(record, "\n", 1);
}

size_t vp_journal_native(char *buf, size_t size, const char *identifier, int priority,
                         const char *message_id, const char *message, const struct vp_field *field,
                         unsigned field_count)
{
    struct record record = {.buf = buf, .size = size};
    char number[16];

    put_field(&record, "MESSAGE", message);
    snprintf(number, sizeof(number), "%d", priority);
    put_field(&record, "PRIORITY", number);
    put_field(&record, "SYSLOG_IDENTIFIER", identifier);
    snprintf(number, sizeof(number), "%d", LOG_DAEMON >> 3);
    put_field(&record, "SYSLOG_FACILITY", number);
    if (message_id)
        put_field(&record, "MESSAGE_ID", message_id);
    for (unsigned i = 0; i < field_count; i++)
        if (field[i].value)
            put_field(&record, field[i].name, field[i].value);
    return record.used;
}

/* Control characters become blanks: a line is a record there. */
static void put_line(struct record *record, const char *text)
{
    for (; *text && record->used < record->size; text++)
        record->buf[record->used++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
}

size_t vp_journal_syslog(char *buf, size_t size, const char *identifier, int priority,
                         const char *message, const struct vp_field *field, unsigned field_count)
{
    struct record record = {.buf = buf, .size = size};
    char head[128], stamp[32];
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm);
    snprintf(head, sizeof(head), "<%d>%s %s[%d]: ", LOG_DAEMON | priority, stamp, identifier,
             (int)getpid());
    put_line(&record, head);
    put_line(&record, message);
    for (unsigned i = 0; i < field_count; i++) {
        if (!field[i].value)
            continue;
        put_line(&record, " ");
        put_line(&record, field[i].name);
        put_line(&record, "=\"");
        put_line(&record, field[i].value);
        put_line(&record, "\"");
    }
    return record.used;
}

/* ---- sending ---- */

static bool send_to(const char *path, const char *record, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    bool sent;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return false;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    sent = sendto(fd, record, length, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
                  sizeof(address)) == (ssize_t)length;
    close(fd);
    return sent;
}

static void put_stderr(const char *message)
{
    char line[MESSAGE_MAX + 64];
    int length = snprintf(line, sizeof(line), "%s: %s\n", own_identifier, message);

    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* there is nobody left to tell */
}

void vp_journal(int priority, const char *message_id, const struct vp_field *field,
                unsigned field_count, const char *format, ...)
{
    char message[MESSAGE_MAX], record[RECORD_MAX];
    int saved = errno;
    va_list args;
    size_t length;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    length = vp_journal_native(record, sizeof(record), own_identifier, priority, message_id,
                               message, field, field_count);
    if (!send_to(journal_path, record, length)) {
        length = vp_journal_syslog(record, sizeof(record), own_identifier, priority, message, field,
                                   field_count);
        send_to(syslog_path, record, length);
    }
    if (own_stderr)
        put_stderr(message);
    errno = saved;
}
