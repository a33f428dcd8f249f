/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOOK_PROTOCOL_H
#define VP_HOOK_PROTOCOL_H

/* What launcher and worker have agreed on. */

/* The worker's exit statuses: 0 good, 1 refused (its stderr is the sentence
 * for libvirt's client), anything else failed (on-error decides). */
#define VP_WORKER_REFUSED 1
#define VP_WORKER_FAILED 3

/* A file in which the worker says "limit=MS" and "on-error=allow|refuse" as
 * soon as it knows them. */
#define VP_CONTROL_FD 3

/* It also says "run-dir=DIR": there the launcher appends a line for each run to
 * DIR/hook-runs, "OPERATION MICROSECONDS ok|refused|failed", for the metrics. */
#define VP_RUN_DIR_MOST 128 /* bytes of DIR with its NUL; longer ones are not counted */
#define VP_RUNS_FILE "hook-runs"
#define VP_RUNS_MOST (1 << 20) /* bytes; nobody reads it then */

/* The same words, kept for launches whose worker cannot say them. A worker
 * with another run-dir leaves the file alone. */
#ifndef VP_LAUNCHER_FILE
#define VP_LAUNCHER_FILE "/run/virtpin/launcher"
#endif

#ifndef VP_LOG_SOCKET
#define VP_LOG_SOCKET "/dev/log"
#endif
#ifndef VP_JOURNAL_SOCKET
#define VP_JOURNAL_SOCKET "/run/systemd/journal/socket"
#endif

#endif
