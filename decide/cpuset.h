/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CPUSET_H
#define VP_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vp_error;

/* CPUs by the operating system's number, 0 to 8191 (x86's largest NR_CPUS,
 * arch/x86/Kconfig). Also used for NUMA nodes and vCPU lists. A plain value:
 * copied by assignment, zeroed by {0}, nothing to free. */
#define VP_CPU_MAX 8192
#define VP_CPUSET_WORDS (VP_CPU_MAX / 64)

struct vp_cpuset {
    uint64_t w[VP_CPUSET_WORDS];
};

/* `cpu` outside 0..8191: add and remove do nothing, has is false. */
void vp_cpuset_add(struct vp_cpuset *set, int cpu);
void vp_cpuset_add_range(struct vp_cpuset *set, int first, int last);
void vp_cpuset_remove(struct vp_cpuset *set, int cpu);
bool vp_cpuset_has(const struct vp_cpuset *set, int cpu);

bool vp_cpuset_empty(const struct vp_cpuset *set);
bool vp_cpuset_equal(const struct vp_cpuset *a, const struct vp_cpuset *b);
bool vp_cpuset_within(const struct vp_cpuset *inner, const struct vp_cpuset *outer);
bool vp_cpuset_meets(const struct vp_cpuset *a, const struct vp_cpuset *b); /* share a CPU */
unsigned vp_cpuset_count(const struct vp_cpuset *set);

/* The lowest member above `after` (-1: the lowest of all), -1 if none:
 * for (int c = vp_cpuset_next(s, -1); c >= 0; c = vp_cpuset_next(s, c)) */
int vp_cpuset_next(const struct vp_cpuset *set, int after);
int vp_cpuset_last(const struct vp_cpuset *set); /* highest member, -1 if empty */

/* *to is changed in place. */
void vp_cpuset_or(struct vp_cpuset *to, const struct vp_cpuset *other);
void vp_cpuset_and(struct vp_cpuset *to, const struct vp_cpuset *other);
void vp_cpuset_minus(struct vp_cpuset *to, const struct vp_cpuset *other);

/* Reads libvirt's list syntax: "0-3,8,^2", no blanks inside, no empty parts.
 * "" is an error. A leading digit is asked of every number; ranges ascend.
 * *set is written only on success. Error: VP_INPUT, quoting the text and
 * naming the legal form and range. */
int vp_cpuset_parse(struct vp_cpuset *set, const char *text, struct vp_error *err);

/* Reads what the kernel prints ("0-3,8\n", "" or "\n" = empty set). */
int vp_cpuset_parse_kernel(struct vp_cpuset *set, const char *text, struct vp_error *err);

/* The shortest libvirt list ("0-3,8"; "" if empty) into buf; returns the
 * length that the whole list has, as snprintf does. VP_CPUSET_TEXT always
 * suffices for any set: the longest is that of pairs, 0-1,3-4,... */
#define VP_CPUSET_TEXT 28672
size_t vp_cpuset_print(const struct vp_cpuset *set, char *buf, size_t size);

/* The same on the heap; the caller frees; NULL without memory. */
char *vp_cpuset_format(const struct vp_cpuset *set);

#endif
