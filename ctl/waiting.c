/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "ctl/output.h"

/* A call into libvirt cannot be asked how long it will take: a timer's signal
 * says what is waited for. Only write(2) and _exit(2) here. */
static const char *volatile what;
static volatile unsigned seconds, limit;
static volatile sig_atomic_t terminal;

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

static void on_alarm(int number)
{
    (void)number;
    seconds++;
    if (limit && seconds >= limit) {
        say("virtpin: gave up ");
        say(what);
        say("\n");
        _exit(3);
    }
    if (terminal && seconds % 10 == 1) {
        say("virtpin: ");
        say(what);
        say(" ...\n");
    }
    alarm(1);
}

void vp_waiting(const char *doing, unsigned limit_s)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};

    what = doing;
    seconds = 0;
    limit = limit_s;
    terminal = isatty(STDERR_FILENO);
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
}

void vp_waited(void)
{
    alarm(0);
}
