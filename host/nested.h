/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_NESTED_H
#define VP_NESTED_H

#include <stdbool.h>

#include "decide/policy.h"

/* Whether the kernel lets guests on CPUs of that vendor run guests of their
 * own: the parameter "nested" of kvm_intel or kvm_amd below `modules`
 * (/sys/module; Documentation/virt/kvm/x86/running-nested-guests.rst). If not,
 * why (512 bytes) says how to set it. True where the module is not there or
 * the vendor is not known. */
bool vp_nested_allowed(const char *modules, enum vp_cpu_vendor vendor, char why[512]);

#endif
