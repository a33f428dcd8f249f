/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MADEUP_IDS_H
#define VP_MADEUP_IDS_H

/* The kernel's own ids end at 4,194,304. */
#define MADEUP_FIRST_ID 5000000

#endif
