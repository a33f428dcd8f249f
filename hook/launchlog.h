/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LAUNCHLOG_H
#define VP_LAUNCHLOG_H

/* The launcher's own error, to the journal with its fields, else as a line to
 * syslog. syslog(3) waits while the log's reader stands still; this does not. */
void vp_launch_log(const char *guest, const char *operation, const char *text);

#endif
