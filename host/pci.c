/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/pci.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/cgroupfile.h"

void vp_pci_nodes(const char *root, const struct vp_strings *devices, struct vp_cpuset *nodes,
                  bool *unknown)
{
    *nodes = (struct vp_cpuset){0};
    *unknown = false;
    for (size_t i = 0; i < devices->count; i++) {
        char path[PATH_MAX], text[32];
        long node = -1;
        char *end;

        if (root[0] != '\0' &&
            snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%.32s/numa_node", root,
                     devices->item[i]) < (int)sizeof(path) &&
            vp_file_read_line(AT_FDCWD, path, text, sizeof(text)) > 0) {
            node = strtol(text, &end, 10);
            if (*end != '\0' || node >= VP_CPU_MAX)
                node = -1;
        }
        if (node >= 0)
            vp_cpuset_add(nodes, (int)node);
        else
            *unknown = true;
    }
}
