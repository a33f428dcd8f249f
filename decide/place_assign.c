/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_assign.h"

typedef __int128 signed_cost;

/* Rows and columns are counted from 1; column 0 is the start of every search. */
struct assign {
    const vp_cost *cost;
    size_t rows, columns;
    signed_cost *row_price, *column_price, *slack;
    size_t *owner; /* row of a column, 0: free */
    size_t *from;  /* column before on the way */
    bool *done;
};

static bool prepare(struct vp_arena *arena, struct assign *a)
{
    a->row_price = vp_arena_get(arena, a->rows + 1, sizeof(*a->row_price));
    a->column_price = vp_arena_get(arena, a->columns + 1, sizeof(*a->column_price));
    a->slack = vp_arena_get(arena, a->columns + 1, sizeof(*a->slack));
    a->owner = vp_arena_get(arena, a->columns + 1, sizeof(*a->owner));
    a->from = vp_arena_get(arena, a->columns + 1, sizeof(*a->from));
    a->done = vp_arena_get(arena, a->columns + 1, sizeof(*a->done));
    if (arena->failed)
        return false;
    for (size_t i = 0; i <= a->rows; i++)
        a->row_price[i] = 0;
    for (size_t i = 0; i <= a->columns; i++) {
        a->column_price[i] = 0;
        a->owner[i] = 0;
    }
    return true;
}

static signed_cost edge(const struct assign *a, size_t row, size_t column)
{
    vp_cost cost = a->cost[(row - 1) * a->columns + column - 1];

    return (signed_cost)(cost < VP_ASSIGN_NEVER ? cost : VP_ASSIGN_NEVER) - a->row_price[row] -
           a->column_price[column];
}

/* Scans the edges of the row that owns `column`; the column to visit next. */
static size_t relax(struct assign *a, size_t column, signed_cost *step)
{
    size_t row = a->owner[column], next = 0;

    for (size_t i = 1; i <= a->columns; i++) {
        signed_cost cost;

        if (a->done[i])
            continue;
        cost = edge(a, row, i);
        if (cost < a->slack[i]) {
            a->slack[i] = cost;
            a->from[i] = column;
        }
        if (next == 0 || a->slack[i] < *step) {
            *step = a->slack[i];
            next = i;
        }
    }
    return next;
}

static void reprice(struct assign *a, signed_cost step)
{
    for (size_t i = 0; i <= a->columns; i++) {
        if (a->done[i]) {
            a->row_price[a->owner[i]] += step;
            a->column_price[i] -= step;
        } else {
            a->slack[i] -= step;
        }
    }
}

static void add_row(struct assign *a, size_t row)
{
    size_t column = 0;

    a->owner[0] = row;
    for (size_t i = 0; i <= a->columns; i++) {
        a->slack[i] = (signed_cost)1 << 126;
        a->done[i] = false;
    }
    do {
        signed_cost step = 0;
        size_t next;

        a->done[column] = true;
        next = relax(a, column, &step);
        reprice(a, step);
        column = next;
    } while (a->owner[column] != 0);
    while (column != 0) {
        size_t before = a->from[column];

        a->owner[column] = a->owner[before];
        column = before;
    }
}

int vp_assign(struct vp_arena *arena, const vp_cost *cost, size_t rows, size_t columns,
              size_t *match, vp_cost *sum)
{
    struct assign a = {.cost = cost, .rows = rows, .columns = columns};

    if (rows > columns)
        return 0;
    if (!prepare(arena, &a))
        return -1;
    for (size_t row = 1; row <= rows; row++)
        add_row(&a, row);
    *sum = 0;
    for (size_t i = 1; i <= columns; i++) {
        vp_cost paid;

        if (a.owner[i] == 0)
            continue;
        match[a.owner[i] - 1] = i - 1;
        paid = cost[(a.owner[i] - 1) * columns + i - 1];
        if (paid >= VP_ASSIGN_NEVER)
            return 0;
        *sum += paid;
    }
    return 1;
}
