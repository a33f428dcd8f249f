/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_ASSIGN_H
#define VP_PLACE_ASSIGN_H

#include <stddef.h>

#include "decide/place_priv.h"

/* Larger than every sum of costs, small enough that sums of it never overflow. */
#define VP_ASSIGN_NEVER ((vp_cost)1 << 116)

/* Each row gets a column of its own. cost[row * columns + column], from
 * VP_ASSIGN_NEVER on: never. */
struct vp_assign {
    const vp_cost *cost;
    size_t rows, columns; /* rows <= columns */
    size_t *match;        /* of each row its column */
    size_t *owner;        /* of each column its row, SIZE_MAX: none */
    __int128 *row_price, *column_price;
    /* Once solved: of each row the columns that it has in some cheapest assignment, as bits. */
    uint64_t *tight;
    size_t words;
};

bool vp_assign_begin(struct vp_arena *arena, const vp_cost *cost, size_t rows, size_t columns,
                     struct vp_assign *assign);

/* The least sum (shortest augmenting paths, at most rows * rows * columns
 * steps). 1: match, owner, prices and *sum are set; 0: impossible; -1: without
 * memory. */
int vp_assign_solve(struct vp_arena *arena, struct vp_assign *assign, vp_cost *sum);

/* Of the cheapest assignments, one in which `column` costs least of
 * weight[row * columns + column] (0 where it is not used). True if it got less.
 * scratch: 2 * columns + words. */
bool vp_assign_spare(struct vp_assign *assign, const unsigned *weight, size_t column,
                     size_t *scratch);
/* Moves rows from columns of large weight to unused ones of smaller weight as
 * long as the sum stays least; `held` keeps its row or its lack of one. */
void vp_assign_lighten(struct vp_assign *assign, const unsigned *weight, size_t held,
                       size_t *scratch);

#endif
