/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For bench_scale's guests that are files: ids above every real one have this
 * process's mask, asked of the kernel all the same, so that it costs what it
 * costs. All else of such a guest is on a made-up /proc and made-up groups. */
#include <dlfcn.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/madeup/ids.h"

int sched_getaffinity(pid_t tid, size_t size, cpu_set_t *mask)
{
    static int (*real)(pid_t, size_t, cpu_set_t *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sched_getaffinity");
    return real(tid >= MADEUP_FIRST_ID ? 0 : tid, size, mask);
}

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long of[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        of[i] = va_arg(list, long);
    va_end(list);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_sched_getaffinity && (int)of[0] >= MADEUP_FIRST_ID)
        of[0] = 0;
    return real(number, of[0], of[1], of[2], of[3], of[4], of[5]);
}
