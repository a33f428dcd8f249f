/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TRIM_H
#define VP_TRIM_H

/* Gives pages back that only starting up needed: the heap's free ones, and
 * code and constants of the libraries (67 of them come with libvirt's client),
 * which the kernel maps again from its page cache when they are used. What is
 * writable, relocated data included, is left alone (madvise(2), MADV_DONTNEED
 * on read-only segments of files; elf(5), PT_LOAD without PF_W). */
void vp_trim(void);

#endif
