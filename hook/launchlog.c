/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hook/launchlog.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hook/protocol.h"
#include "host/journal.h" /* VP_MSG_HOOK_ERROR; its code is not linked */

#define LOG_DAEMON_ERR 27 /* syslog(3): facility daemon, level err */

static bool send_record(const char *path, const char *record, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool sent;

    if (fd < 0)
        return false;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    sent = sendto(fd, record, length, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
                  sizeof(address)) == (ssize_t)length;
    close(fd);
    return sent;
}

void vp_launch_log(const char *guest, const char *operation, const char *text)
{
    char record[4096];
    int length;

    length = snprintf(record, sizeof(record),
                      "MESSAGE=%s\nPRIORITY=3\nSYSLOG_IDENTIFIER=virtpin-hook\nSYSLOG_FACILITY=3\n"
                      "MESSAGE_ID=" VP_MSG_HOOK_ERROR
                      "\nVIRTPIN_GUEST=%.250s\nVIRTPIN_OPERATION=%.32s\n",
                      text, guest, operation);
    if (!strchr(text, '\n') && !strchr(guest, '\n') && !strchr(operation, '\n') &&
        length < (int)sizeof(record) && send_record(VP_JOURNAL_SOCKET, record, (size_t)length))
        return;
    length = snprintf(record, sizeof(record), "<%d>virtpin-hook[%d]: %s", LOG_DAEMON_ERR,
                      (int)getpid(), text);
    if (length >= (int)sizeof(record))
        length = (int)sizeof(record) - 1;
    if (!send_record(VP_LOG_SOCKET, record, (size_t)length))
        record[0] = '\0'; /* there is nobody else to tell */
}
