#include "base/budget.h"

#include "base/mem.h"

enum { CHUNK_OVERHEAD = sizeof(struct chunk) + CHUNK_HEADROOM };

static const uint32_t class_bytes[CHUNK_SIZES] = {
    2048,
    CHUNK_OVERHEAD + 16 * 1024,
    CHUNK_OVERHEAD + CHUNK_MAX,
};
/* Free chunks kept per size: enough for a busy turn of the loop, at most ~1.3 MiB in all. */
static const unsigned class_keep[CHUNK_SIZES] = {64, 16, 8};

void pool_init(struct pool *p, size_t limit)
{
    *p = (struct pool){.limit = limit};
}

static void free_down_to(struct pool *p, int kind, unsigned keep)
{
    while (p->n_free[kind] > keep) {
        struct chunk *c = p->free[kind];

        p->free[kind] = c->next;
        p->n_free[kind]--;
        mem_free(c);
    }
}

void pool_clear(struct pool *p)
{
    for (int i = 0; i < CHUNK_SIZES; i++)
        free_down_to(p, i, 0);
}

void pool_trim(struct pool *p)
{
    for (int i = 0; i < CHUNK_SIZES; i++)
        free_down_to(p, i, p->n_free[i] / 2);
}

static uint8_t class_for(size_t want)
{
    uint8_t kind = 0;

    while (kind < CHUNK_SIZES - 1 && want > class_bytes[kind] - CHUNK_OVERHEAD)
        kind++;
    return kind;
}

struct chunk *pool_take(struct pool *p, size_t want)
{
    uint8_t kind = class_for(want);
    struct chunk *c = p->free[kind];

    if (c != NULL) {
        p->free[kind] = c->next;
        p->n_free[kind]--;
    } else {
        c = mem_alloc(class_bytes[kind]);
        c->kind = kind;
        c->size = class_bytes[kind] - (uint32_t)sizeof(struct chunk);
    }
    c->next = NULL;
    c->shared = false;
    c->start = CHUNK_HEADROOM;
    c->end = CHUNK_HEADROOM;
    p->held += chunk_cost(c);
    if (p->held > p->peak)
        p->peak = p->held;
    return c;
}

void pool_give(struct pool *p, struct chunk *c)
{
    p->held -= chunk_cost(c);
    if (p->n_free[c->kind] >= class_keep[c->kind]) {
        mem_free(c);
        return;
    }
    c->next = p->free[c->kind];
    p->free[c->kind] = c;
    p->n_free[c->kind]++;
}

struct chunk *pool_lend(struct pool *p)
{
    pool_end_loan(p);
    p->lent = pool_take(p, CHUNK_MAX);
    return p->lent;
}

void pool_end_loan(struct pool *p)
{
    if (p->lent != NULL)
        pool_give(p, p->lent);
    p->lent = NULL;
}

size_t pool_excess(const struct pool *p)
{
    size_t stays = p->held - p->leaving;

    return p->limit != 0 && stays > p->limit ? stays - p->limit : 0;
}

bool pool_over(const struct pool *p)
{
    return pool_excess(p) > 0;
}
