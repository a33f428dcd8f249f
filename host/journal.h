/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_JOURNAL_H
#define VP_JOURNAL_H

/* Log records with fields: systemd's journal by its native datagram protocol
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL), else syslog's /dev/log, else stderr
 * where `to_stderr` was asked for. Never blocks, never fails visibly. */

struct vp_field {
    const char *name;  /* upper case, e.g. "VIRTPIN_GUEST" */
    const char *value; /* NULL: left out */
};

/* Who speaks (SYSLOG_IDENTIFIER), and whether stderr gets it too. */
void vp_journal_open(const char *identifier, int to_stderr);

/* priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO of <syslog.h>.
 * message_id: 32 hex digits (vp_message_id below) or NULL. */
void vp_journal(int priority, const char *message_id, const struct vp_field *field,
                unsigned field_count, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* MESSAGE_ID of each kind of record, fixed for ever. */
#define VP_MSG_DRIFT "5f1d8a0f1c7b4f62a0d3c1f2e8b70a11"
#define VP_MSG_CONTESTED "a6d0c9e3b1424b59b1f7a8a27a20c3d2"
#define VP_MSG_CONTEST_OVER "e3c1f0a9d84c4d6e8f51b6c2a9d47f03"
#define VP_MSG_PLACED "0b9e7c52a3f84d1c9e60d7b845f1aa34"
#define VP_MSG_REFUSED "c8f2d6174e0b4a3f8b95e1a07d36bc45"
#define VP_MSG_DEFINITION "7a44e90d51c34c0ea2be36f9d08f1c56"
#define VP_MSG_POLICY "d1e5b83f60f74b2a97c4058ae31b9e67"
#define VP_MSG_HOOK_ERROR "39b07f1ec5a24e7d8da61c04f2958b78"

#endif
