#include "tunnel/guard.h"

#include <string.h>

#include "base/mem.h"

void guard_init(struct guard *g, uint64_t seed)
{
    *g = (struct guard){0};
    map_init(&g->sources, seed);
    list_init(&g->known);
}

static void forget_slowly(struct guard_source *src, uint64_t now_us)
{
    while (src->failures > 0 && now_us - src->halved_us >= GUARD_HALVE_US) {
        src->failures /= 2;
        src->halved_us += GUARD_HALVE_US;
    }
    if (src->failures == 0)
        src->halved_us = now_us;
}

static struct guard_source *remember(struct guard *g, const char *address, uint64_t now_us)
{
    struct guard_source *src = map_get(&g->sources, address);
    size_t len = strlen(address) + 1;

    if (src != NULL || g->sources.count >= GUARD_SOURCES)
        return src;
    src = mem_zalloc(sizeof(*src) + len);
    memcpy(src->address, address, len);
    src->halved_us = now_us;
    map_put(&g->sources, address, src);
    list_push(&g->known, &src->node);
    return src;
}

struct guard_source *guard_open(struct guard *g, const char *address, uint64_t now_us)
{
    struct guard_source *src = remember(g, address, now_us);

    g->openings++;
    if (src == NULL)
        return NULL;
    forget_slowly(src, now_us);
    src->openings++;
    return src;
}

static void forget_if_clean(struct guard *g, struct guard_source *src)
{
    if (src->openings > 0 || src->failures > 0)
        return;
    list_remove(&src->node);
    map_remove(&g->sources, src->address);
    mem_free(src);
}

void guard_close(struct guard *g, struct guard_source *src, bool failed, uint64_t now_us)
{
    g->openings--;
    if (src == NULL)
        return;
    src->openings--;
    forget_slowly(src, now_us);
    if (failed)
        src->failures++;
    forget_if_clean(g, src);
}

void guard_tick(struct guard *g, uint64_t now_us)
{
    LIST_FOREACH (it, &g->known) {
        struct guard_source *src = LIST_ENTRY(it, struct guard_source, node);

        forget_slowly(src, now_us);
        forget_if_clean(g, src);
    }
}

void guard_clear(struct guard *g)
{
    LIST_FOREACH (it, &g->known) {
        struct guard_source *src = LIST_ENTRY(it, struct guard_source, node);

        src->failures = 0;
        forget_if_clean(g, src);
    }
    map_clear(&g->sources);
}

bool guard_source_full(const struct guard_source *src)
{
    return src != NULL && src->failures >= GUARD_BAD_FAILURES && src->openings > GUARD_BAD_OPENINGS;
}

bool guard_full(const struct guard *g)
{
    return g->openings > GUARD_OPENINGS;
}
