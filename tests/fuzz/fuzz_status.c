/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/xmlerror.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every status that is read is whole; every refusal has a sentence. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vp_status *status = NULL;
    struct vp_error err = {0};

    if (vp_status_parse((const char *)data, size, &status, &err) < 0) {
        if (status || err.code == VP_OK || err.text[0] == '\0' || strchr(err.text, '\n'))
            abort();
        return 0;
    }
    if (!status->domain || !status->domain->name || status->domain->vcpus < 1)
        abort();
    for (size_t i = 0; i < status->vcpu_count; i++)
        if (status->vcpu[i].tid <= 0 || status->vcpu[i].id >= VP_VCPUS_MAX)
            abort();
    vp_status_free(status);
    return 0;
}
