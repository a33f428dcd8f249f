/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_assign.h"

#define NONE SIZE_MAX
#define FAR ((__int128)1 << 118)

bool vp_assign_begin(struct vp_arena *arena, const vp_cost *cost, size_t rows, size_t columns,
                     struct vp_assign *assign)
{
    *assign = (struct vp_assign){.cost = cost, .rows = rows, .columns = columns};
    assign->match = vp_arena_get(arena, rows + 1, sizeof(*assign->match));
    assign->owner = vp_arena_get(arena, columns + 1, sizeof(*assign->owner));
    assign->row_price = vp_arena_get(arena, rows + 1, sizeof(*assign->row_price));
    assign->column_price = vp_arena_get(arena, columns + 1, sizeof(*assign->column_price));
    assign->words = (columns + 63) / 64;
    assign->tight = vp_arena_get(arena, rows * assign->words + 1, sizeof(*assign->tight));
    return !arena->failed;
}

static __int128 edge(const struct vp_assign *assign, size_t row, size_t column)
{
    vp_cost cost = assign->cost[row * assign->columns + column];

    if (cost >= VP_ASSIGN_NEVER)
        return FAR;
    return (__int128)cost - assign->row_price[row] - assign->column_price[column];
}

/* Rows pay their cheapest column; those who find it free have it. */
static void take_cheapest(struct vp_assign *assign)
{
    for (size_t i = 0; i < assign->columns; i++) {
        assign->owner[i] = NONE;
        assign->column_price[i] = 0;
    }
    for (size_t row = 0; row < assign->rows; row++) {
        const vp_cost *cost = assign->cost + row * assign->columns;
        size_t best = 0;

        for (size_t i = 1; i < assign->columns; i++)
            if (cost[i] < cost[best] || (cost[i] == cost[best] && assign->owner[best] != NONE))
                best = i;
        assign->match[row] = NONE;
        assign->row_price[row] = cost[best] < VP_ASSIGN_NEVER ? (__int128)cost[best] : 0;
        if (cost[best] < VP_ASSIGN_NEVER && assign->owner[best] == NONE) {
            assign->owner[best] = row;
            assign->match[row] = best;
        }
    }
}

/* One search for the shortest path from a row to a free column. */
struct path {
    __int128 *distance;
    size_t *from; /* the row before a column */
    size_t *todo; /* columns: [0, done) are settled */
    size_t done;
    size_t end; /* the free column */
};

/* Paths by way of that row; where in `todo` the nearest column not settled is: of
 * equals a free one, then the first. */
static size_t relax(const struct vp_assign *assign, size_t row, __int128 so_far, struct path *path)
{
    const vp_cost *cost = assign->cost + row * assign->columns;
    __int128 before = so_far - assign->row_price[row], least = FAR * 2;
    size_t best = path->done;

    for (size_t k = path->done; k < assign->columns; k++) {
        size_t column = path->todo[k];
        __int128 known = path->distance[column];

        if (cost[column] < VP_ASSIGN_NEVER) {
            __int128 distance = before + (__int128)cost[column] - assign->column_price[column];

            if (distance < known) {
                path->distance[column] = known = distance;
                path->from[column] = row;
            }
        }
        if (known < least || (known == least && assign->owner[column] == NONE &&
                              assign->owner[path->todo[best]] != NONE)) {
            least = known;
            best = k;
        }
    }
    return best;
}

/* The nearest column goes to todo[done]. False if it cannot be reached. */
static bool settle(struct path *path, size_t best)
{
    size_t swap = path->todo[best];

    path->todo[best] = path->todo[path->done];
    path->todo[path->done++] = swap;
    return path->distance[swap] < FAR / 2;
}

static bool find(const struct vp_assign *assign, size_t row, struct path *path)
{
    __int128 so_far = 0;

    path->done = 0;
    for (size_t i = 0; i < assign->columns; i++) {
        path->todo[i] = i;
        path->distance[i] = FAR;
    }
    for (;;) {
        size_t column, best = relax(assign, row, so_far, path);

        if (path->done == assign->columns || !settle(path, best))
            return false;
        column = path->todo[path->done - 1];
        so_far = path->distance[column];
        if (assign->owner[column] == NONE) {
            path->end = column;
            return true;
        }
        row = assign->owner[column];
    }
}

static void reprice(struct vp_assign *assign, size_t start, const struct path *path)
{
    __int128 length = path->distance[path->end];

    assign->row_price[start] += length;
    for (size_t k = 0; k + 1 < path->done; k++) {
        size_t column = path->todo[k];

        assign->row_price[assign->owner[column]] += length - path->distance[column];
        assign->column_price[column] -= length - path->distance[column];
    }
}

static void augment(struct vp_assign *assign, size_t start, const struct path *path)
{
    size_t column = path->end, row;

    do {
        size_t before;

        row = path->from[column];
        before = assign->match[row];
        assign->owner[column] = row;
        assign->match[row] = column;
        column = before;
    } while (row != start);
}

static void note_tight(struct vp_assign *assign)
{
    for (size_t row = 0; row < assign->rows; row++) {
        uint64_t *bits = assign->tight + row * assign->words;

        for (size_t w = 0; w < assign->words; w++)
            bits[w] = 0;
        for (size_t i = 0; i < assign->columns; i++)
            bits[i / 64] |= (uint64_t)(edge(assign, row, i) == 0) << (i % 64);
    }
}

static bool is_tight(const struct vp_assign *assign, size_t row, size_t column)
{
    return (assign->tight[row * assign->words + column / 64] >> (column % 64) & 1) != 0;
}

int vp_assign_solve(struct vp_arena *arena, struct vp_assign *assign, vp_cost *sum)
{
    struct path path = {
        .distance = vp_arena_get(arena, assign->columns, sizeof(*path.distance)),
        .from = vp_arena_get(arena, assign->columns, sizeof(*path.from)),
        .todo = vp_arena_get(arena, assign->columns, sizeof(*path.todo)),
    };

    if (arena->failed)
        return -1;
    if (assign->rows > assign->columns)
        return 0;
    take_cheapest(assign);
    for (size_t row = 0; row < assign->rows; row++) {
        if (assign->match[row] != NONE)
            continue;
        if (!find(assign, row, &path))
            return 0;
        reprice(assign, row, &path);
        augment(assign, row, &path);
    }
    *sum = 0;
    for (size_t row = 0; row < assign->rows; row++)
        *sum += assign->cost[row * assign->columns + assign->match[row]];
    note_tight(assign);
    return 1;
}

/* ---- among the cheapest ---- */

/* Columns that tight edges lead to from `start` (a column to be left by its
 * row, or an unused one to be given one), without entering `start` again or
 * `held`; from[column]: the column whose row comes. */
static size_t reach(const struct vp_assign *assign, size_t start, size_t held, size_t *scratch)
{
    size_t *from = scratch, *queue = from + assign->columns, *unseen = queue + assign->columns;
    size_t first = 0, last = 0;

    for (size_t w = 0; w < assign->words; w++)
        unseen[w] = SIZE_MAX;
    if (held != NONE)
        unseen[held / 64] &= ~((size_t)1 << held % 64);
    unseen[start / 64] &= ~((size_t)1 << start % 64);
    queue[last++] = start;
    from[start] = start;
    for (; first < last; first++) {
        size_t row = assign->owner[queue[first]];

        for (size_t w = 0; row != NONE && w < assign->words; w++) {
            uint64_t found = assign->tight[row * assign->words + w] & unseen[w];

            unseen[w] &= ~found;
            for (; found != 0; found &= found - 1) {
                size_t column = w * 64 + (size_t)__builtin_ctzll(found);

                from[column] = queue[first];
                queue[last++] = column;
            }
        }
    }
    return last;
}

/* Every row on the way to `end` moves one column on; the first column's row is
 * left out of `owner` there. */
static void shift(struct vp_assign *assign, size_t end, const size_t *from)
{
    while (from[end] != end) {
        size_t row = assign->owner[from[end]];

        assign->owner[end] = row;
        assign->match[row] = end;
        end = from[end];
    }
    assign->owner[end] = NONE;
}

bool vp_assign_spare(struct vp_assign *assign, const unsigned *weight, size_t column,
                     size_t *scratch)
{
    size_t *from = scratch, *queue = scratch + assign->columns, row = assign->owner[column];
    size_t count, best_row = NONE;
    unsigned best;

    if (row == NONE)
        return false;
    best = weight[row * assign->columns + column];
    count = reach(assign, column, NONE, scratch);
    for (size_t k = 1; k < count; k++) {
        size_t there = assign->owner[queue[k]];

        if (there == NONE && assign->column_price[column] == 0) {
            shift(assign, queue[k], from);
            return true;
        }
        if (there == NONE || !is_tight(assign, there, column) ||
            weight[there * assign->columns + column] >= best)
            continue;
        best = weight[there * assign->columns + column];
        best_row = there;
    }
    if (best_row == NONE)
        return false;
    shift(assign, assign->match[best_row], from);
    assign->owner[column] = best_row;
    assign->match[best_row] = column;
    return true;
}

/* The unused column that `column`'s row can make room for and that weighs least. */
static size_t lightest(const struct vp_assign *assign, const unsigned *weight, const size_t *queue,
                       size_t count, size_t column)
{
    size_t best = column;

    for (size_t k = 1; k < count; k++)
        if (assign->owner[queue[k]] == NONE && weight[queue[k]] < weight[best])
            best = queue[k];
    return best;
}

void vp_assign_lighten(struct vp_assign *assign, const unsigned *weight, size_t held,
                       size_t *scratch)
{
    size_t *from = scratch, *queue = scratch + assign->columns;
    bool again = true;

    for (int round = 0; again && round < 3; round++) {
        again = false;
        for (size_t column = 0; column < assign->columns; column++) {
            size_t count, to;

            if (column == held || assign->owner[column] == NONE ||
                assign->column_price[column] != 0)
                continue;
            count = reach(assign, column, held, scratch);
            to = lightest(assign, weight, queue, count, column);
            if (to == column)
                continue;
            shift(assign, to, from);
            again = true;
        }
    }
}
