#include "wire.h"

#include <string.h>

#include "base/mem.h"

size_t wire_under_way(const struct wire *w)
{
    return (size_t)(w->sent - w->delivered);
}

static void add_portion(struct wire *w, uint64_t due_us)
{
    if (w->n_portions > 0 && w->portions[w->n_portions - 1].due_us >= due_us) {
        w->portions[w->n_portions - 1].end = w->sent;
        return;
    }
    w->portions = mem_array(w->portions, w->n_portions + 1, sizeof(w->portions[0]));
    w->portions[w->n_portions++] = (struct wire_portion){.end = w->sent, .due_us = due_us};
}

void wire_send(struct wire *w, uint64_t now_us, const void *data, size_t len)
{
    size_t held = wire_under_way(w);

    if (w->cut || len == 0)
        return;
    if (held + len > w->size) {
        w->size = (held + len) * 2;
        w->data = mem_realloc(w->data, w->size);
    }
    memcpy(w->data + held, data, len);
    w->sent += len;
    add_portion(w, now_us + w->delay_us);
}

size_t wire_due(const struct wire *w, uint64_t now_us)
{
    uint64_t end = w->delivered;

    if (w->frozen)
        return 0;
    for (size_t i = 0; i < w->n_portions && w->portions[i].due_us <= now_us; i++)
        end = w->portions[i].end;
    return (size_t)(end - w->delivered);
}

static void forget(struct wire *w, size_t len)
{
    size_t gone = 0;

    memmove(w->data, w->data + len, wire_under_way(w) - len);
    w->delivered += len;
    while (gone < w->n_portions && w->portions[gone].end <= w->delivered)
        gone++;
    if (gone == 0)
        return;
    w->n_portions -= gone;
    memmove(w->portions, w->portions + gone, w->n_portions * sizeof(w->portions[0]));
}

uint8_t *wire_take(struct wire *w, size_t len)
{
    uint8_t *copy = mem_alloc(len);

    memcpy(copy, w->data, len);
    forget(w, len);
    return copy;
}

void wire_clear(struct wire *w)
{
    mem_free(w->data);
    mem_free(w->portions);
    *w = (struct wire){0};
}
