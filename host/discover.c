/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/discover.h"

#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"
#include "host/discover_files.h"
#include "host/discover_hwloc.h"

#define CPU_DIR "/sys/devices/system/cpu"

enum source { THIS_HOST, XML_FILE, RECORDED_ROOT, SYNTHETIC };

static enum source source_of(const char *spec)
{
    struct stat st;

    if (!spec)
        return THIS_HOST;
    if (stat(spec, &st) < 0)
        return SYNTHETIC;
    return S_ISDIR(st.st_mode) ? RECORDED_ROOT : XML_FILE;
}

static int set_source(hwloc_topology_t hwloc, enum source source, const char *spec,
                      struct vp_error *err)
{
    struct stat st;
    char path[PATH_MAX];

    switch (source) {
    case THIS_HOST:
        break;
    case XML_FILE:
        if (hwloc_topology_set_xml(hwloc, spec) < 0)
            return vp_fail_errno(err, VP_INPUT, errno, "%s: hwloc cannot read it as XML", spec);
        break;
    case RECORDED_ROOT:
        snprintf(path, sizeof(path), "%s%s", spec, CPU_DIR);
        if (stat(path, &st) < 0)
            return vp_fail(err, VP_INPUT, "%s: no recorded root, it has no %s", spec, CPU_DIR);
        break;
    case SYNTHETIC:
        if (hwloc_topology_set_synthetic(hwloc, spec) < 0)
            return vp_fail(err, VP_INPUT,
                           "topology \"%.200s\": neither a file, nor a directory, nor a synthetic "
                           "string that hwloc takes, such as \"pack:2 core:4 pu:2\"",
                           spec);
        break;
    }
    return 0;
}

/* hwloc's linux backend takes its root from the environment alone and only
 * while it loads. */
static int load_below(hwloc_topology_t hwloc, const char *root)
{
    const char *before = getenv("HWLOC_FSROOT");
    VP_AUTO(free) char *saved = before ? strdup(before) : NULL;
    int result;

    if ((before && !saved) || setenv("HWLOC_FSROOT", root, 1) < 0)
        return -1;
    result = hwloc_topology_load(hwloc);
    if (saved)
        setenv("HWLOC_FSROOT", saved, 1);
    else
        unsetenv("HWLOC_FSROOT");
    return result;
}

/* The x86 backend asks the CPU that it runs on: wrong below a recorded root,
 * and on this host it visits every CPU to learn what sysfs says too. */
static int prepare(hwloc_topology_t hwloc)
{
    if (hwloc_topology_set_flags(hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) < 0 ||
        hwloc_topology_set_components(hwloc, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86") < 0)
        return -1;
    return hwloc_topology_set_cache_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE) < 0 ||
                   hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_L3CACHE,
                                                  HWLOC_TYPE_FILTER_KEEP_ALL) < 0
               ? -1
               : 0;
}

static int load(hwloc_topology_t *hwloc, enum source source, const char *spec, struct vp_error *err)
{
    int result;

    if (hwloc_topology_init(hwloc) < 0)
        return vp_fail(err, VP_HOST, "hwloc_topology_init failed");
    if (prepare(*hwloc) < 0) {
        result = vp_fail_errno(err, VP_HOST, errno, "hwloc");
    } else if (set_source(*hwloc, source, spec, err) < 0) {
        result = -1;
    } else {
        result = source == RECORDED_ROOT ? load_below(*hwloc, spec) : hwloc_topology_load(*hwloc);
        if (result < 0)
            result = vp_fail_errno(err, spec ? VP_INPUT : VP_HOST, errno,
                                   "%s: hwloc cannot load it", spec ? spec : "this host");
        else if (source == THIS_HOST && !hwloc_topology_is_thissystem(*hwloc))
            result = vp_fail(err, VP_INPUT, "HWLOC_* in the environment names another machine");
    }
    if (result < 0)
        hwloc_topology_destroy(*hwloc);
    return result;
}

/* hwloc gives a synthetic node 1 GiB unless the string says memory=. Which
 * nodes it meant shows a second load in which every stated size is another. */
static int forget_default_memory(struct vp_topology *topology, const char *spec,
                                 struct vp_error *err)
{
    VP_AUTO(free) char *marked = NULL;
    const char *at = spec;
    char *out;
    hwloc_topology_t hwloc;

    topology->memory_known = false;
    if (!strstr(spec, "memory=")) {
        for (size_t i = 0; i < topology->node_count; i++)
            topology->node[i].memory_kib = 0;
        return 0;
    }
    out = marked = malloc(strlen(spec) * 2 + 1);
    if (!marked)
        return vp_fail(err, VP_HOST, "no memory");
    for (const char *hit; (hit = strstr(at, "memory=")); at = hit + strcspn(hit, " )")) {
        memcpy(out, at, (size_t)(hit - at));
        out += hit - at;
        out = stpcpy(out, "memory=3072");
    }
    strcpy(out, at);
    if (load(&hwloc, SYNTHETIC, marked, err) < 0)
        return -1;
    for (size_t i = 0; i < topology->node_count; i++) {
        hwloc_obj_t node = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, (unsigned)i);

        if (node && node->attr->numanode.local_memory == 3072)
            topology->memory_known = true;
        else
            topology->node[i].memory_kib = 0;
    }
    hwloc_topology_destroy(hwloc);
    return 0;
}

/* What sysfs says and hwloc does not: switched-off and isolated CPUs. */
static int add_kernel_sets(struct vp_topology *topology, const char *root, struct vp_error *err)
{
    struct vp_cpuset present, nohz_full;

    if (vp_discover_cpus(root, CPU_DIR "/present", &present, err) < 0 ||
        vp_discover_cpus(root, CPU_DIR "/isolated", &topology->isolated, err) < 0 ||
        vp_discover_cpus(root, CPU_DIR "/nohz_full", &nohz_full, err) < 0)
        return -1;
    vp_cpuset_or(&topology->isolated, &nohz_full);
    topology->offline = present;
    vp_cpuset_minus(&topology->offline, &topology->online);
    vp_cpuset_or(&present, &topology->online);
    vp_cpuset_and(&topology->isolated, &present);
    return 0;
}

int vp_discover(const char *spec, struct vp_topology **topology, struct vp_error *err)
{
    VP_AUTO(vp_topology) struct vp_topology *draft = vp_topology_new();
    enum source source = source_of(spec);
    hwloc_topology_t hwloc;
    int result;

    if (!draft)
        return vp_fail(err, VP_HOST, "no memory");
    if (load(&hwloc, source, spec, err) < 0)
        return -1;
    result = vp_hwloc_fill(hwloc, draft, err);
    hwloc_topology_destroy(hwloc);
    if (result == 0 && source == SYNTHETIC)
        result = forget_default_memory(draft, spec, err);
    if (result == 0 && (source == THIS_HOST || source == RECORDED_ROOT))
        result = add_kernel_sets(draft, source == RECORDED_ROOT ? spec : "", err);
    if (result < 0)
        return spec ? vp_wrap(err, "topology %.200s", spec) : vp_wrap(err, "this host");
    *topology = VP_STEAL(draft);
    return 0;
}
