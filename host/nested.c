/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/nested.h"

#include <stdio.h>

bool vp_nested_allowed(const char *modules, enum vp_cpu_vendor vendor, char why[512])
{
    const char *module = vendor == VP_VENDOR_INTEL ? "kvm_intel" : "kvm_amd";
    char path[512];
    FILE *file;
    int first;

    if (vendor == VP_VENDOR_UNKNOWN)
        return true;
    snprintf(path, sizeof(path), "%s/%s/parameters/nested", modules, module);
    file = fopen(path, "re");
    if (!file)
        return true;
    first = fgetc(file);
    fclose(file);
    if (first != 'N' && first != '0')
        return true;
    snprintf(why, 512,
             "nested = on, but the kernel module %s has nested=%c: write \"options %s nested=1\" "
             "to /etc/modprobe.d/kvm.conf and, while no guest runs, modprobe -r %s && modprobe %s",
             module, first, module, module, module);
    return false;
}
