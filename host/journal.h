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

/* MESSAGE_ID of each kind of record, fixed for ever. systemd/virtpin.catalog says of each what it
 * means and what to do, virtpind(8) lists them. */
#define VP_MSG_DRIFT "5f1d8a0f1c7b4f62a0d3c1f2e8b70a11"
#define VP_MSG_CONTESTED "a6d0c9e3b1424b59b1f7a8a27a20c3d2"
#define VP_MSG_CONTEST_OVER "e3c1f0a9d84c4d6e8f51b6c2a9d47f03"
#define VP_MSG_PLACED "0b9e7c52a3f84d1c9e60d7b845f1aa34"
#define VP_MSG_MEMORY "4e8b1c0d7f2a4b6e9d35c7a1e06f8b92"
#define VP_MSG_REFUSED "c8f2d6174e0b4a3f8b95e1a07d36bc45"
#define VP_MSG_DEFINITION "7a44e90d51c34c0ea2be36f9d08f1c56"
#define VP_MSG_POLICY "d1e5b83f60f74b2a97c4058ae31b9e67"
#define VP_MSG_HOOK_ERROR "39b07f1ec5a24e7d8da61c04f2958b78"
#define VP_MSG_UNFINISHED "18914b5857014ea1afc248fa7c2ed3cc"
#define VP_MSG_LEDGER "a53a2678ecd545159afccfc4b005b25e"
#define VP_MSG_TROUBLE "b97176737c9c4723af65671197629c41"
#define VP_MSG_LIBVIRT "d4193666dbf8497eb1db0fff2553870c"
#define VP_MSG_HOST "cddd2be99bce4cd1bdf7b51684bc937d"
#define VP_MSG_SWITCH "eed256719ed14462ab9bcb88f92dc4ed"
#define VP_MSG_BLIND "09ec5382e2d349c7a185c97d03a4017d"
#define VP_MSG_FATAL "6a99c7397dad4e8f95eb1c3f812a2258"

#endif
