/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CLEANUP_H
#define VP_CLEANUP_H

#include <stdlib.h>

/* VP_AUTO(free) char *text = NULL; frees text when it leaves the scope. For
 * other types a module's header defines NAME_cleanup beside NAME_free with
 * VP_CLEANUP_FOR. */
#define VP_AUTO(name) __attribute__((cleanup(name##_cleanup)))
#define VP_CLEANUP_FOR(type, name)                                                                 \
    static inline void name##_cleanup(type *object)                                                \
    {                                                                                              \
        if (*object)                                                                               \
            name(*object);                                                                         \
    }

static inline void free_cleanup(void *pointer)
{
    free(*(void **)pointer);
}

/* Hands a pointer out of an automatic variable. */
#define VP_STEAL(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(pointer) stolen_ = (pointer);                                                   \
        (pointer) = NULL;                                                                          \
        stolen_;                                                                                   \
    })

#endif
