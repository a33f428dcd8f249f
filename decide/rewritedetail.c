/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewritecpupart.h"
#include "decide/rewritetree.h"

/* One function looks at each detail that the policy speaks of and fills in a
 * struct detail; checking and writing do the same for all. */

enum kind {
    DETAIL_CHECK,
    DETAIL_MIGRATABLE,
    DETAIL_CACHE,
    DETAIL_ADDR,
    DETAIL_PMU,
    DETAIL_HINT,
    DETAIL_FEATURE,
    DETAIL_NESTED,
};

struct detail {
    enum kind kind;
    bool met, same;       /* same: as a word, of another mode perhaps */
    const char *obstacle; /* why this guest cannot have it, or NULL */
    const char *value;    /* of the attribute */
    const char *name[2];  /* of features */
    char bits[8];
    char from[200], to[200];
};

typedef int visit_fn(const struct detail *detail, void *context);

static const char not_x86[] = "only x86 guests have that";
static const char not_real[] = "only host-passthrough and maximum take that";
static const char no_model[] = "the guest has no CPU model that it could be added to";

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool is_x86(const char *arch)
{
    return !arch || same(arch, "x86_64") || same(arch, "i686");
}

/* The modes whose CPU is the host's own, or all that QEMU has. */
static bool is_real(const struct vp_cpu_view *view)
{
    return same(view->mode, "host-passthrough") || same(view->mode, "maximum");
}

static void say(struct detail *detail, const char *name, const char *from, const char *to)
{
    const char *none = same(to, "none") ? "default" : "none";

    snprintf(detail->from, sizeof(detail->from), "%s=%.80s", name, from ? from : none);
    snprintf(detail->to, sizeof(detail->to), "%s=%.80s", name, to);
    detail->same = same(from, to);
}

/* ---- attributes of <cpu> ---- */

static bool look_check(const struct vp_cpu_view *view, struct detail *detail)
{
    static const char *const words[] = {NULL, "none", "partial", "full"};
    const char *now = view->fresh ? NULL : view->domain->cpu.check;

    detail->kind = DETAIL_CHECK;
    detail->value = words[view->policy->cpu.check];
    if (!detail->value)
        return false;
    /* A running guest's is full: libvirt has checked it (9.0.0). */
    detail->met = same(now, detail->value) || view->op != VP_OP_DEFINE;
    if (same(view->mode, "none"))
        detail->obstacle = no_model;
    say(detail, "check", view->domain->cpu.check, detail->value);
    return true;
}

static const char *switch_word(enum vp_switch value)
{
    return value == VP_SWITCH_ON ? "on" : "off";
}

static bool look_migratable(const struct vp_cpu_view *view, struct detail *detail)
{
    const char *now = view->fresh ? NULL : view->domain->cpu.migratable;

    if (view->policy->cpu.migratable == VP_SWITCH_KEEP || !is_real(view))
        return false;
    detail->kind = DETAIL_MIGRATABLE;
    detail->value = switch_word(view->policy->cpu.migratable);
    if (!now && view->op != VP_OP_DEFINE)
        now = "on";
    detail->met = same(now, detail->value);
    say(detail, "migratable", view->domain->cpu.migratable, detail->value);
    return true;
}

/* ---- children of <cpu> ---- */

static bool look_cache(const struct vp_cpu_view *view, struct detail *detail)
{
    static const char *const words[] = {NULL, "passthrough", "emulate", "disable"};
    const struct vp_guest_cpu *cpu = &view->domain->cpu;
    enum vp_cpu_cache wanted = view->policy->cpu.cache;

    detail->kind = DETAIL_CACHE;
    detail->value = words[wanted];
    if (!detail->value)
        return false;
    detail->met = same(cpu->cache, detail->value) &&
                  (wanted == VP_CACHE_EMULATE ? same(cpu->cache_level, "3") : !cpu->cache_level);
    if (!is_x86(view->domain->arch))
        detail->obstacle = not_x86;
    else if (wanted == VP_CACHE_PASSTHROUGH && !is_real(view))
        detail->obstacle = not_real;
    else if (same(view->mode, "none"))
        detail->obstacle = no_model;
    say(detail, "cache", cpu->cache, detail->value);
    return true;
}

static bool look_addr(const struct vp_cpu_view *view, struct detail *detail)
{
    const struct vp_guest_cpu *cpu = &view->domain->cpu;
    const struct vp_maxphysaddr *wanted = &view->policy->cpu.maxphysaddr;
    char from[100] = "none", to[100];

    if (wanted->mode == VP_ADDR_KEEP)
        return false;
    detail->kind = DETAIL_ADDR;
    detail->value = wanted->mode == VP_ADDR_EMULATE ? "emulate" : "passthrough";
    if (wanted->mode == VP_ADDR_EMULATE)
        snprintf(detail->bits, sizeof(detail->bits), "%u", wanted->bits);
    detail->met = same(cpu->addr_mode, detail->value) &&
                  (detail->bits[0] != '\0' ? same(cpu->addr_bits, detail->bits) : !cpu->addr_bits);
    if (!is_x86(view->domain->arch))
        detail->obstacle = not_x86;
    else if (wanted->mode == VP_ADDR_PASSTHROUGH && !is_real(view))
        detail->obstacle = not_real;
    else if (same(view->mode, "none"))
        detail->obstacle = no_model;
    if (cpu->addr_mode)
        snprintf(from, sizeof(from), "%.40s%s%.20s", cpu->addr_mode, cpu->addr_bits ? ":" : "",
                 cpu->addr_bits ? cpu->addr_bits : "");
    snprintf(to, sizeof(to), "%s%s%s", detail->value, detail->bits[0] != '\0' ? ":" : "",
             detail->bits);
    say(detail, "maxphysaddr", from, to);
    return true;
}

/* ---- in <features> ---- */

static bool look_pmu(const struct vp_cpu_view *view, struct detail *detail)
{
    if (view->policy->cpu.pmu == VP_SWITCH_KEEP)
        return false;
    detail->kind = DETAIL_PMU;
    detail->value = switch_word(view->policy->cpu.pmu);
    detail->met = same(view->domain->cpu.pmu, detail->value);
    say(detail, "pmu", view->domain->cpu.pmu, detail->value);
    return true;
}

/* Without the element the hint is off. */
static bool look_hint(const struct vp_cpu_view *view, struct detail *detail)
{
    enum vp_switch wanted = view->policy->cpu.hint_dedicated;
    const char *now = view->domain->cpu.hint_dedicated;

    if (wanted == VP_SWITCH_KEEP)
        return false;
    if (wanted == VP_SWITCH_AUTO)
        wanted = view->policy->placement == VP_PLACE_DEDICATED && is_real(view) ? VP_SWITCH_ON
                                                                                : VP_SWITCH_OFF;
    detail->kind = DETAIL_HINT;
    detail->value = switch_word(wanted);
    detail->met = wanted == VP_SWITCH_ON ? same(now, "on") : !same(now, "on");
    if (wanted == VP_SWITCH_ON && !is_real(view))
        detail->obstacle = not_real;
    say(detail, "kvm-hint-dedicated", now, detail->value);
    return true;
}

/* ---- CPU features ---- */

/* "none" where <cpu> does not name it; libvirt's default is require. */
static const char *feature_now(const struct vp_cpu_view *view, const char *name)
{
    const struct vp_guest_cpu *cpu = &view->domain->cpu;

    for (size_t i = 0; i < cpu->feature_count; i++)
        if (same(cpu->feature[i].name, name))
            return cpu->feature[i].policy ? cpu->feature[i].policy : "require";
    return "none";
}

static bool is_off(const char *policy)
{
    return same(policy, "disable") || same(policy, "forbid");
}

static bool is_on(const char *policy)
{
    return same(policy, "require") || same(policy, "force");
}

/* Of a running guest libvirt has made up its mind: what was optional is there
 * or not, what was forced or forbidden may be called required or disabled. */
static bool feature_met(const struct vp_cpu_view *view, const char *now, const char *wanted)
{
    if (same(now, wanted))
        return true;
    if (view->op == VP_OP_DEFINE)
        return false;
    return same(wanted, "optional") || (is_on(wanted) && is_on(now)) ||
           (is_off(wanted) && is_off(now));
}

static void look_feature(const struct vp_cpu_view *view, const char *item, struct detail *detail)
{
    const char *now = feature_now(view, item + 1);
    char name[100];

    detail->kind = DETAIL_FEATURE;
    detail->name[0] = item + 1;
    detail->value = vp_cpu_feature_word(item[0]);
    detail->met = feature_met(view, now, detail->value);
    if (same(view->mode, "none"))
        detail->obstacle = no_model;
    snprintf(name, sizeof(name), "feature %.80s", item + 1);
    say(detail, name, now, detail->value);
}

/* Where the host's vendor is not known, one of both meets the policy: whoever
 * wrote it may have known. */
static bool look_nested(const struct vp_cpu_view *view, struct detail *detail)
{
    const char *vmx = feature_now(view, "vmx"), *svm = feature_now(view, "svm");
    enum vp_cpu_vendor vendor =
        view->op == VP_OP_DEFINE ? view->policy->cpu.vendor : VP_VENDOR_UNKNOWN;
    bool on = view->policy->cpu.nested == VP_SWITCH_ON;
    bool met_vmx = on ? is_on(vmx) : is_off(vmx), met_svm = on ? is_on(svm) : is_off(svm);

    if (view->policy->cpu.nested == VP_SWITCH_KEEP || (!on && !is_x86(view->domain->arch)))
        return false;
    detail->kind = DETAIL_NESTED;
    detail->value = on ? "require" : "disable";
    detail->name[0] = vendor == VP_VENDOR_AMD ? "svm" : "vmx";
    detail->name[1] = vendor == VP_VENDOR_UNKNOWN ? "svm" : NULL;
    detail->met = vendor == VP_VENDOR_INTEL ? met_vmx
                  : vendor == VP_VENDOR_AMD ? met_svm
                                            : met_vmx || met_svm;
    if (!is_x86(view->domain->arch))
        detail->obstacle = not_x86;
    else if (same(view->mode, "none"))
        detail->obstacle = no_model;
    else if (on && vendor == VP_VENDOR_UNKNOWN)
        detail->obstacle = "not known whether the host's CPU has vmx or svm";
    snprintf(detail->from, sizeof(detail->from), "nested (vmx=%.20s svm=%.20s)", vmx, svm);
    snprintf(detail->to, sizeof(detail->to), "nested %s (%s=%s%s)", on ? "on" : "off",
             detail->name[0], detail->value,
             !detail->name[1] ? ""
             : on             ? " or svm=require"
                              : " svm=disable");
    return true;
}

static int visit(const struct vp_cpu_view *view, visit_fn *fn, void *context)
{
    static bool (*const look[])(const struct vp_cpu_view *view, struct detail *detail) = {
        look_check, look_migratable, look_cache, look_addr, look_nested, look_pmu, look_hint,
    };
    const struct vp_strings *features = &view->policy->cpu.features;

    for (size_t i = 0; i < sizeof(look) / sizeof(look[0]); i++) {
        struct detail detail = {0};

        if (look[i](view, &detail) && !detail.met && fn(&detail, context) < 0)
            return -1;
    }
    for (size_t i = 0; i < features->count; i++) {
        struct detail detail = {0};

        look_feature(view, features->item[i], &detail);
        if (!detail.met && fn(&detail, context) < 0)
            return -1;
    }
    return 0;
}

static enum vp_facet facet_of(const struct detail *detail)
{
    return detail->kind == DETAIL_CHECK || detail->kind == DETAIL_MIGRATABLE ? VP_FACET_CPU
                                                                             : VP_FACET_FEATURES;
}

static int add(const struct detail *detail, void *context)
{
    const char *obstacle = detail->obstacle;
    char to[400];

    if (!obstacle && detail->same && facet_of(detail) == VP_FACET_CPU)
        return 0; /* it is written anew, and says the same */
    snprintf(to, sizeof(to), "%s%s%s", detail->to, obstacle ? ": " : "", obstacle ? obstacle : "");
    return vp_changes_add(context, facet_of(detail), obstacle != NULL, detail->from, to);
}

int vp_cpu_details_check(const struct vp_cpu_view *view, struct vp_changes *changes)
{
    return visit(view, add, changes);
}

/* ---- writing ---- */

struct writer {
    xmlNode *root, *cpu;
    struct vp_error *err;
};

/* A new child behind its predecessors and its like in libvirt's order
 * (virCPUDefFormatBuf, 9.0.0). */
static xmlNode *new_child(struct writer *to, const char *name)
{
    static const char *const order[] = {"arch",        "model",   "vendor",   "microcode",
                                        "signature",   "counter", "topology", "cache",
                                        "maxphysaddr", "feature", NULL};
    const char *before[sizeof(order) / sizeof(order[0])] = {0};
    xmlNode *child = vp_tree_element(to->cpu->doc, name);

    if (!child) {
        vp_xml_no_memory(to->err);
        return NULL;
    }
    for (size_t i = 0; order[i] && (i == 0 || strcmp(order[i - 1], name) != 0); i++)
        before[i] = order[i];
    if (vp_tree_insert(to->cpu, vp_tree_last_of(to->cpu, before), child, to->err) < 0)
        return NULL;
    return child;
}

static xmlNode *cpu_child(struct writer *to, const char *name)
{
    return vp_xml_child(to->cpu, name) ?: new_child(to, name);
}

static int set(struct writer *to, xmlNode *node, const char *name, const char *value)
{
    bool changed = false;

    return node ? vp_tree_set(node, name, value, &changed, to->err) : -1;
}

static int write_feature(struct writer *to, const char *name, const char *policy)
{
    xmlNode *node = vp_xml_child(to->cpu, "feature");

    while (node && !same(vp_xml_attr(node, "name"), name))
        node = vp_xml_again(node);
    if (node)
        return set(to, node, "policy", policy);
    node = new_child(to, "feature");
    return set(to, node, "policy", policy) < 0 ? -1 : set(to, node, "name", name);
}

/* Of <features> or <kvm>. */
static xmlNode *last_element(const xmlNode *parent)
{
    xmlNode *node = parent->last;

    while (node && node->type != XML_ELEMENT_NODE)
        node = node->prev;
    return node;
}

static xmlNode *switch_in(struct writer *to, xmlNode *parent, const char *name)
{
    xmlNode *node = parent ? vp_xml_child(parent, name) : NULL;

    if (!parent || node)
        return node;
    node = vp_tree_element(parent->doc, name);
    if (!node) {
        vp_xml_no_memory(to->err);
        return NULL;
    }
    return vp_tree_insert(parent, last_element(parent), node, to->err) < 0 ? NULL : node;
}

static int write_detail(const struct detail *detail, void *context)
{
    struct writer *to = context;
    xmlNode *node;

    if (detail->obstacle)
        return 0;
    switch (detail->kind) {
    case DETAIL_CHECK:
        return set(to, to->cpu, "check", detail->value);
    case DETAIL_MIGRATABLE:
        return set(to, to->cpu, "migratable", detail->value);
    case DETAIL_CACHE:
        node = cpu_child(to, "cache");
        if (set(to, node, "level", same(detail->value, "emulate") ? "3" : NULL) < 0)
            return -1;
        return set(to, node, "mode", detail->value);
    case DETAIL_ADDR:
        node = cpu_child(to, "maxphysaddr");
        if (set(to, node, "mode", detail->value) < 0)
            return -1;
        return set(to, node, "bits", detail->bits[0] != '\0' ? detail->bits : NULL);
    case DETAIL_PMU:
        node = switch_in(to, vp_tree_part(to->root, "features", to->err), "pmu");
        return set(to, node, "state", detail->value);
    case DETAIL_HINT:
        node = switch_in(to, vp_tree_part(to->root, "features", to->err), "kvm");
        return set(to, switch_in(to, node, "hint-dedicated"), "state", detail->value);
    case DETAIL_NESTED:
        if (detail->name[1] && write_feature(to, detail->name[1], detail->value) < 0)
            return -1;
        break;
    case DETAIL_FEATURE:
        break;
    }
    return write_feature(to, detail->name[0], detail->value);
}

/* <cpu> is made only for what stands in it. */
static int needs_cpu(const struct detail *detail, void *context)
{
    if (!detail->obstacle && detail->kind != DETAIL_PMU && detail->kind != DETAIL_HINT)
        *(bool *)context = true;
    return 0;
}

int vp_cpu_details_write(const struct vp_cpu_view *view, xmlNode *root, struct vp_error *err)
{
    struct writer to = {.root = root, .err = err};
    bool cpu = false;

    visit(view, needs_cpu, &cpu);
    if (cpu && !(to.cpu = vp_tree_part(root, "cpu", err)))
        return -1;
    return visit(view, write_detail, &to);
}
