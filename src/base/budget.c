#include "base/budget.h"

#include "base/mem.h"

static const uint32_t class_bytes[CHUNK_SIZES] = {2048, 16 * 1024 + 512, 64 * 1024 + 512};
/* Free chunks kept per size: enough for a busy turn of the loop, at most ~1.3 MiB in all. */
static const unsigned class_keep[CHUNK_SIZES] = {64, 16, 16};

void pool_init(struct pool *p, size_t limit)
{
    *p = (struct pool){.limit = limit};
}

static void free_down_to(struct pool *p, int class, unsigned keep)
{
    while (p->n_free[class] > keep) {
        struct chunk *c = p->free[class];

        p->free[class] = c->next;
        p->n_free[class]--;
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
    uint8_t class = 0;

    while (class < CHUNK_SIZES - 1 && want > class_bytes[class] - sizeof(struct chunk))
        class ++;
    return class;
}

struct chunk *pool_take(struct pool *p, size_t want)
{
    uint8_t class = class_for(want);
    struct chunk *c = p->free[class];

    if (c != NULL) {
        p->free[class] = c->next;
        p->n_free[class]--;
    } else {
        c = mem_alloc(class_bytes[class]);
        c->class = class;
        c->size = class_bytes[class] - (uint32_t)sizeof(struct chunk);
    }
    c->next = NULL;
    c->start = 0;
    c->end = 0;
    p->held += class_bytes[class];
    if (p->held > p->peak)
        p->peak = p->held;
    return c;
}

void pool_give(struct pool *p, struct chunk *c)
{
    p->held -= class_bytes[c->class];
    if (p->n_free[c->class] >= class_keep[c->class]) {
        mem_free(c);
        return;
    }
    c->next = p->free[c->class];
    p->free[c->class] = c;
    p->n_free[c->class]++;
}

bool pool_over(const struct pool *p)
{
    return p->limit != 0 && p->held > p->limit;
}
