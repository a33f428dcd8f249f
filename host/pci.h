/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PCI_H
#define VP_PCI_H

#include <stdbool.h>

#include "decide/cpuset.h"
#include "decide/policy.h"

/* The NUMA nodes (the kernel's numbers) of PCI devices "0000:3b:00.0", by
 * ROOT/sys/bus/pci/devices/ADDRESS/numa_node. *unknown: some device is not
 * there, or its firmware does not say (-1, as on hosts of one node). root "":
 * a host without files, nothing is known. */
void vp_pci_nodes(const char *root, const struct vp_strings *devices, struct vp_cpuset *nodes,
                  bool *unknown);

#endif
