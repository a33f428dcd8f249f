/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/clock.h"

#include <time.h>

static int64_t micros(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t vp_now_ms(void)
{
    return micros(CLOCK_REALTIME) / 1000;
}

int64_t vp_clock_us(void)
{
    return micros(CLOCK_MONOTONIC);
}

int64_t vp_clock_ms(void)
{
    return micros(CLOCK_MONOTONIC) / 1000;
}
