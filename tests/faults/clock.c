/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the test of a clock that jumps: in processes named virtp*, the wall
 * clock is off by the seconds that the file says. Put into /etc/ld.so.preload
 * of a private host: a kernel has one wall clock, which namespaces do not
 * divide (time_namespaces(7) has the monotonic and the boot clock alone). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void)
{
    static int ours = -1;
    char text[32] = "";
    int fd;

    if (ours < 0) {
        char name[16] = "";

        ours = prctl(PR_GET_NAME, name) == 0 && strncmp(name, "virtp", 5) == 0;
    }
    if (!ours || (fd = open("/run/faults/clock", O_RDONLY | O_CLOEXEC)) < 0)
        return 0;
    if (read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    close(fd);
    return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec exact;

    clock_gettime(CLOCK_REALTIME, &exact);
    if (out)
        *out = exact.tv_sec;
    return exact.tv_sec;
}
