/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the launcher needs of a C library, over bare system calls. A static
 * libc's start-up asks the processor for all it can do before main; on a
 * virtual machine each question is an exit to the hypervisor, and together
 * they take a third of the time that loading the worker takes. Nothing here
 * is thread-safe or complete; `make` links the static libc where this file
 * does not fit the machine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv);
void vp_bare_start(long *stack) __attribute__((noreturn, used));

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n"
        "\tcall vp_bare_start\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl vp_bare_start\n");

static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#endif

static int error_number;

int *__errno_location(void)
{
    return &error_number;
}

static long done(long result)
{
    if (result < 0 && result > -4096) {
        error_number = (int)-result;
        return -1;
    }
    return result;
}

#define CALL(number, a, b, c, d)                                                                   \
    done(call((number), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0))

void vp_bare_start(long *stack)
{
    _exit(main((int)stack[0], (char **)(stack + 1)));
}

/* ---- system calls ---- */

long syscall(long number, ...)
{
    long argument[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(args, long);
    va_end(args);
    return done(
        call(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]));
}

void _exit(int status)
{
    for (;;)
        call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

int open(const char *path, int flags, ...)
{
    return (int)CALL(SYS_openat, AT_FDCWD, path, flags, 0600);
}

int close(int fd)
{
    return (int)CALL(SYS_close, fd, 0, 0, 0);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    return CALL(SYS_read, fd, bytes, size, 0);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return CALL(SYS_write, fd, bytes, size, 0);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t at)
{
    return CALL(SYS_pread64, fd, bytes, size, at);
}

off_t lseek(int fd, off_t at, int whence)
{
    return CALL(SYS_lseek, fd, at, whence, 0);
}

int access(const char *path, int mode)
{
    return (int)CALL(SYS_faccessat, AT_FDCWD, path, mode, 0);
}

ssize_t readlink(const char *path, char *text, size_t size)
{
    return CALL(SYS_readlinkat, AT_FDCWD, path, text, size);
}

int fcntl(int fd, int command, ...)
{
    return (int)CALL(SYS_fcntl, fd, command, 0, 0);
}

int dup2(int from, int to)
{
    return from == to ? to : (int)CALL(SYS_dup3, from, to, 0, 0);
}

int memfd_create(const char *name, unsigned flags)
{
    return (int)CALL(SYS_memfd_create, name, flags, 0, 0);
}

int poll(struct pollfd *fds, nfds_t count, int ms)
{
    struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    return (int)CALL(SYS_ppoll, fds, count, &limit, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    return (int)CALL(SYS_clock_gettime, clock, now, 0, 0);
}

pid_t fork(void)
{
    return (pid_t)CALL(SYS_clone, SIGCHLD, 0, 0, 0);
}

int execve(const char *path, char *const argv[], char *const env[])
{
    return (int)CALL(SYS_execve, path, argv, env, 0);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    return (pid_t)CALL(SYS_wait4, pid, status, options, NULL);
}

int kill(pid_t pid, int number)
{
    return (int)CALL(SYS_kill, pid, number, 0, 0);
}

/* As the kernel has it; without a handler no restorer is needed. */
__sighandler_t signal(int number, __sighandler_t handler)
{
    struct {
        __sighandler_t handler;
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } action = {.handler = handler};

    return CALL(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)) < 0 ? SIG_ERR
                                                                                  : SIG_DFL;
}

int prctl(int option, ...)
{
    unsigned long argument;
    va_list args;

    va_start(args, option);
    argument = va_arg(args, unsigned long);
    va_end(args);
    return (int)CALL(SYS_prctl, option, argument, 0, 0);
}

int setpgid(pid_t pid, pid_t group)
{
    return (int)CALL(SYS_setpgid, pid, group, 0, 0);
}

pid_t getpid(void)
{
    return (pid_t)CALL(SYS_getpid, 0, 0, 0, 0);
}

pid_t getppid(void)
{
    return (pid_t)CALL(SYS_getppid, 0, 0, 0, 0);
}

uid_t geteuid(void)
{
    return (uid_t)CALL(SYS_geteuid, 0, 0, 0, 0);
}

int socket(int domain, int type, int protocol)
{
    return (int)CALL(SYS_socket, domain, type, protocol, 0);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
               socklen_t length)
{
    return done(call(SYS_sendto, fd, (long)bytes, (long)size, flags, (long)to, (long)length));
}

/* ---- strings ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = (char)byte;
    return to;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

char *strcpy(char *restrict to, const char *restrict from)
{
    return memcpy(to, from, strlen(from) + 1);
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i] || a[i] == '\0')
            return (unsigned char)a[i] - (unsigned char)b[i];
    return 0;
}

int strcmp(const char *a, const char *b)
{
    for (; *a != '\0' && *a == *b; a++)
        b++;
    return (unsigned char)*a - (unsigned char)*b;
}

char *strrchr(const char *text, int byte)
{
    const char *found = NULL;

    for (; *text != '\0'; text++)
        if (*text == (char)byte)
            found = text;
    return (char *)found;
}

size_t strcspn(const char *text, const char *bytes)
{
    size_t length = 0;

    while (text[length] != '\0' && text[length] != bytes[0])
        length++;
    return length;
}

char *strstr(const char *text, const char *part)
{
    size_t length = strlen(part);

    for (; *text != '\0'; text++)
        if (strncmp(text, part, length) == 0)
            return (char *)text;
    return NULL;
}

/* Decimal, without blanks before it. */
long long strtoll(const char *text, char **end, int base)
{
    bool minus = *text == '-';
    long long number = 0;

    for (text += minus; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, *text - '0', &number)) {
            number = 0x7fffffffffffffffLL;
            error_number = ERANGE;
        }
    }
    if (end)
        *end = (char *)text;
    return minus ? -number : number;
}

long strtol(const char *text, char **end, int base)
{
    return (long)strtoll(text, end, base);
}
