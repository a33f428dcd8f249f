/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFINITION_REDEFINE_H
#define VP_DEFINITION_REDEFINE_H

#include <libvirt/libvirt.h>
#include <stddef.h>

struct vp_error;

/* libvirt has no "define if it is still what I read": this is as near to it as
 * one can come. Read, make the new text, read again just before the define
 * (other: begin again), watch libvirt's file meanwhile, read back. */

struct vp_redefine_ops {
    /* Makes the new definition of the one in xml: 1 and *text (the caller
     * frees), 0 nothing to do, -1 with *err. Called again when the definition
     * changed meanwhile. */
    int (*make)(void *context, const char *xml, size_t length, char **text, size_t *text_length,
                struct vp_error *err);
    /* Whether this definition, as libvirt has it after the define, is what was
     * meant: 1 yes, 0 somebody else wrote it, -1 with *err. No side effect. */
    int (*check)(void *context, const char *xml, size_t length, struct vp_error *err);
    /* What make has made last stands now, as libvirt has it in xml (what it has
     * by now may be somebody's again). May be NULL. */
    int (*done)(void *context, const char *xml, size_t length, struct vp_error *err);
    /* What make has made last was not defined. May be NULL. */
    void (*abandon)(void *context);
};

enum vp_redefined {
    VP_REDEFINED_NOTHING, /* make had nothing to do */
    VP_REDEFINED_DONE,
    VP_REDEFINED_GONE,      /* the domain was undefined: before, or meanwhile and again by us */
    VP_REDEFINED_CONTESTED, /* somebody else writes all the time */
    VP_REDEFINED_FAILED,
};

/* Defines over `connection` of the domain. */
enum vp_redefined vp_redefine(virDomainPtr domain, const struct vp_redefine_ops *ops, void *context,
                              struct vp_error *err);

/* The definition, INACTIVE|SECURE; NULL: *err, VP_GONE where there is none.
 * The caller frees. */
char *vp_definition_read(virDomainPtr domain, struct vp_error *err);

#endif
