/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_ASSIGN_H
#define VP_PLACE_ASSIGN_H

#include <stddef.h>

#include "decide/place_priv.h"

/* Larger than every sum of costs, small enough that sums of it never overflow. */
#define VP_ASSIGN_NEVER ((vp_cost)1 << 116)

/* Gives each of `rows` a column of its own at the least sum of
 * cost[row * columns + column] (Hungarian method, rows * rows * columns
 * steps). 1: match[row] is set and *sum; 0: impossible; -1: without memory. */
int vp_assign(struct vp_arena *arena, const vp_cost *cost, size_t rows, size_t columns,
              size_t *match, vp_cost *sum);

#endif
