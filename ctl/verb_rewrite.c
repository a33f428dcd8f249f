/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/decision.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine.h"

static int parse_op(const char *word, enum vp_rewrite_op *op, struct vp_error *err)
{
    static const char *const words[] = {
        [VP_OP_DEFINE] = "define", [VP_OP_MIGRATE] = "migrate", [VP_OP_RESTORE] = "restore"};

    *op = VP_OP_DEFINE;
    if (!word)
        return 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i], word) == 0) {
            *op = (enum vp_rewrite_op)i;
            return 0;
        }
    return vp_fail(err, VP_INPUT, "--op: found \"%s\"; legal: define, migrate, restore", word);
}

static int print(xmlDoc *doc, bool changed, const char *xml, size_t length, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t text_length;

    if (vp_xml_print(doc, changed, xml, length, &text, &text_length, err) != 0)
        return -1;
    if (fwrite(text, 1, text_length, stdout) != text_length)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write to stdout");
    return VP_EXIT_GOOD;
}

/* Needs neither policies nor a host. */
static int strip(char *xml, size_t length, struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(xml, length, err);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    bool changed = false;

    if (!doc || vp_domain_read(xmlDocGetRootElement(doc), &domain, err) != 0 ||
        vp_rewrite_strip(xmlDocGetRootElement(doc), &changed, err) != 0)
        return -1;
    return print(doc, changed, xml, length, err);
}

/* What is not as the policy has it and goes through all the same. */
static void note(const struct vp_decision *decision, enum vp_rewrite_op op)
{
    char text[1024];

    if (decision->choice.warning[0])
        fprintf(stderr, "virtpin: %s\n", decision->choice.warning);
    if (decision->host_cannot[0])
        fprintf(stderr, "virtpin: the guest CPU stays as it is: %s\n", decision->host_cannot);
    for (size_t i = 0; i < decision->changes.count; i++) {
        const struct vp_change *change = &decision->changes.item[i];

        if (op == VP_OP_DEFINE && !change->impossible)
            continue;
        vp_change_text(change, text, sizeof(text));
        fprintf(stderr, "virtpin: %s misses policy %s: %s\n", decision->domain->name,
                decision->choice.policy->name, text);
    }
    if (decision->no_place && !decision->refused)
        fprintf(stderr, "virtpin: %s\n", decision->why);
    for (size_t i = 0; i < decision->findings.count; i++)
        fprintf(stderr, "virtpin: %s\n", decision->findings.item[i].text);
}

/* Where a definition would go does not matter to it, unless its pins do. */
static bool is_refused(const struct vp_decision *decision, enum vp_rewrite_op op)
{
    if (!decision->refused)
        return false;
    if (op != VP_OP_DEFINE || !decision->no_place)
        return true;
    return decision->choice.policy->placement == VP_PLACE_FIXED;
}

static int rewrite(struct vp_ctl *ctl, struct vp_engine *engine, char *xml, size_t length,
                   enum vp_rewrite_op op, struct vp_error *err)
{
    VP_AUTO(vp_decision) struct vp_decision decision = {0};
    bool changed = false;

    if (vp_decide(ctl, engine, xml, length, op, &decision, err) != 0)
        return -1;
    if (is_refused(&decision, op))
        return vp_fail(err, VP_REFUSED, "%s: refused: %s%s%s", decision.domain->name, decision.why,
                       decision.answer.help[0] ? "; what would help: " : "", decision.answer.help);
    note(&decision, op);
    if (vp_decision_apply(&decision, op, &changed, err) != 0)
        return -1;
    return print(decision.doc, changed, decision.xml, decision.length, err);
}

int vp_verb_rewrite(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    VP_AUTO(free) char *xml = NULL;
    enum vp_rewrite_op op;
    size_t length;

    if (parse_op(vp_ctl_option(ctl, "op"), &op, err) != 0)
        return -1;
    if (ctl->json)
        return vp_fail(err, VP_INPUT, "rewrite prints XML: --json is of no use here");
    if (vp_ctl_read(NULL, &xml, &length, err) != 0)
        return -1;
    if (vp_ctl_option(ctl, "strip"))
        return strip(xml, length, err);
    if (vp_ctl_engine(ctl, &engine, err) != 0 || vp_ctl_ledger(ctl, &engine, false, err) != 0)
        return -1;
    return rewrite(ctl, &engine, VP_STEAL(xml), length, op, err);
}
