#include "gateway/internal.h"

#include <stdio.h>

void refusals_note(struct gateway *g, const char *line, const char *peer, const char *why)
{
    struct refusal *r = &g->refusals[g->n_refusals++ % REFUSALS_KEPT];

    r->at_us = gateway_now(g);
    r->why = why;
    snprintf(r->peer, sizeof(r->peer), "%s", peer);
    snprintf(r->line, sizeof(r->line), "%s", line);
}

const struct refusal *refusals_at(const struct gateway *g, size_t i)
{
    if (i >= REFUSALS_KEPT || i >= g->n_refusals)
        return NULL;
    return &g->refusals[(g->n_refusals - 1 - i) % REFUSALS_KEPT];
}
