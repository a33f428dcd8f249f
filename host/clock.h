/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CLOCK_H
#define VP_CLOCK_H

#include <stdint.h>

/* The time of day, in milliseconds since 1970: what records and the ledger hold. */
int64_t vp_now_ms(void);

/* CLOCK_MONOTONIC, which no one sets: for limits and durations. */
int64_t vp_clock_us(void);
int64_t vp_clock_ms(void);

#endif
