/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What needs a hash, apart: the hook takes a set whose hash is known. */
#include <sha2.h>
#include <stdint.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/policy.h"
#include "decide/policydraftpriv.h"
#include "decide/policytext.h"

void vp_text_hash(const char *bytes, size_t length, char hash[72])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA2_CTX context;

    SHA256Init(&context);
    SHA256Update(&context, (const uint8_t *)bytes, length);
    SHA256Final(digest, &context);
    memcpy(hash, "sha256:", 7);
    for (size_t i = 0; i < sizeof(digest); i++) {
        hash[7 + 2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hash[8 + 2 * i] = "0123456789abcdef"[digest[i] & 15];
    }
    hash[7 + 2 * sizeof(digest)] = '\0';
}

struct vp_policy_set *vp_policy_set_defaults(void)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_policy_set *set = NULL;

    if (draft)
        vp_draft_finish(draft, "", &set, &findings);
    vp_draft_free(draft);
    vp_findings_clear(&findings);
    return set;
}

void vp_policy_set_hash(struct vp_policy_set *set)
{
    vp_text_hash(set->text, strlen(set->text), set->hash);
}

struct vp_draft *vp_draft_new(void)
{
    struct vp_draft *draft = vp_draft_new_known();

    if (draft) {
        draft->known = false;
        draft->hash = vp_policy_set_hash;
    }
    return draft;
}
