/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cpuset.h"
#include "decide/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read prints, and reads again to the same set. */
static void check_print(const struct vp_cpuset *set)
{
    struct vp_cpuset again;
    char *text = vp_cpuset_format(set);

    if (!text || vp_cpuset_parse_kernel(&again, text, NULL) < 0)
        abort();
    if (!vp_cpuset_equal(set, &again))
        abort();
    if (!vp_cpuset_empty(set) &&
        (vp_cpuset_parse(&again, text, NULL) < 0 || !vp_cpuset_equal(set, &again)))
        abort();
    free(text);
}

static void check_walk(const struct vp_cpuset *set)
{
    unsigned count = 0;
    int last = -1;

    for (int cpu = vp_cpuset_next(set, -1); cpu >= 0; cpu = vp_cpuset_next(set, cpu)) {
        if (cpu <= last || !vp_cpuset_has(set, cpu))
            abort();
        last = cpu;
        count++;
    }
    if (last != vp_cpuset_last(set) || count != vp_cpuset_count(set))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vp_cpuset set = {0};
    struct vp_error err = {0};
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    if (vp_cpuset_parse(&set, text, &err) == 0) {
        check_print(&set);
        check_walk(&set);
    } else if (err.code != VP_INPUT || err.text[0] == '\0') {
        abort();
    }
    if (vp_cpuset_parse_kernel(&set, text, &err) == 0)
        check_print(&set);
    free(text);
    return 0;
}
