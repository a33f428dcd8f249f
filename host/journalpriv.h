/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_JOURNALPRIV_H
#define VP_JOURNALPRIV_H

#include <stddef.h>

#include "host/journal.h"

/* For the tests: other sockets than the machine's. NULL: as shipped. */
void vp_journal_paths(const char *journal, const char *syslog);

/* One record in the journal's native form or as an RFC 3164 line into buf; the
 * length. What does not fit is left out, the message last of all. */
size_t vp_journal_native(char *buf, size_t size, const char *identifier, int priority,
                         const char *message_id, const char *message, const struct vp_field *field,
                         unsigned field_count);
size_t vp_journal_syslog(char *buf, size_t size, const char *identifier, int priority,
                         const char *message, const struct vp_field *field, unsigned field_count);

#endif
