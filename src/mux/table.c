#include "mux/table.h"

#include <stddef.h>

#include "base/mem.h"
#include "mux/internal.h"

enum { FIRST_BUCKETS = 8 };

/* Ids of one side step by two and grow: dropping the low bit spreads them evenly. */
static uint32_t slot(const struct mux_table *t, uint32_t id)
{
    return (id >> 1) & (t->n_buckets - 1);
}

struct mux_stream *table_find(const struct mux_table *t, uint32_t id)
{
    struct mux_stream *s;

    if (t->n_buckets == 0)
        return NULL;
    for (s = t->buckets[slot(t, id)]; s != NULL && s->id != id; s = s->hash_next)
        ;
    return s;
}

static void place(struct mux_table *t, struct mux_stream *s)
{
    struct mux_stream **at = &t->buckets[slot(t, s->id)];

    s->hash_next = *at;
    *at = s;
}

static void grow(struct mux_table *t)
{
    struct mux_stream **old = t->buckets;
    uint32_t n_old = t->n_buckets;

    t->n_buckets = n_old ? n_old * 2 : FIRST_BUCKETS;
    t->buckets = mem_zalloc(t->n_buckets * sizeof(struct mux_stream *));
    for (uint32_t i = 0; i < n_old; i++) {
        struct mux_stream *s = old[i];

        while (s != NULL) {
            struct mux_stream *next = s->hash_next;

            place(t, s);
            s = next;
        }
    }
    mem_free(old);
}

void table_add(struct mux_table *t, struct mux_stream *s)
{
    if (t->count >= t->n_buckets)
        grow(t);
    place(t, s);
    t->count++;
}

void table_remove(struct mux_table *t, struct mux_stream *s)
{
    struct mux_stream **at = &t->buckets[slot(t, s->id)];

    while (*at != s)
        at = &(*at)->hash_next;
    *at = s->hash_next;
    t->count--;
}

void table_clear(struct mux_table *t)
{
    mem_free(t->buckets);
    *t = (struct mux_table){0};
}
