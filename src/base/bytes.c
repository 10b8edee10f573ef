#include "base/bytes.h"

#include <string.h>

static size_t chunk_fill(struct chunk *c, const uint8_t *data, size_t len)
{
    size_t room = c->shared ? 0 : c->size - c->end;
    size_t n = len < room ? len : room;

    memcpy(c->data + c->end, data, n);
    c->end += (uint32_t)n;
    return n;
}

static void push(struct bytes *q, struct chunk *c)
{
    if (q->tail != NULL)
        q->tail->next = c;
    else
        q->head = c;
    q->tail = c;
    q->held += chunk_cost(c);
}

/* Bytes that fill most of a chunk on loan are queued by taking the chunk. Nothing is added behind
 * them: the reader may still be looking at the rest of what it read. */
static bool take_loan(struct bytes *q, struct pool *p, const uint8_t *data, size_t len)
{
    struct chunk *c = p->lent;

    if (c == NULL || data != c->data + c->start || len < c->size / 2)
        return false;
    p->lent = NULL;
    c->shared = true;
    c->end = c->start + (uint32_t)len;
    push(q, c);
    return true;
}

void bytes_append(struct bytes *q, struct pool *p, const void *data, size_t len)
{
    const uint8_t *from = data;

    q->len += len;
    if (take_loan(q, p, from, len))
        return;
    if (len > 0 && q->tail != NULL) {
        size_t n = chunk_fill(q->tail, from, len);

        from += n;
        len -= n;
    }
    while (len > 0) {
        struct chunk *c = pool_take(p, len);
        size_t n = chunk_fill(c, from, len);

        push(q, c);
        from += n;
        len -= n;
    }
}

const uint8_t *bytes_peek(const struct bytes *q, size_t *len)
{
    if (q->head == NULL) {
        *len = 0;
        return NULL;
    }
    *len = q->head->end - q->head->start;
    return q->head->data + q->head->start;
}

uint8_t *bytes_headroom(const struct bytes *q)
{
    return q->head->data + q->head->start - CHUNK_HEADROOM;
}

int bytes_iov(const struct bytes *q, struct iovec *iov, int max)
{
    int n = 0;

    for (struct chunk *c = q->head; c != NULL && n < max; c = c->next) {
        iov[n].iov_base = c->data + c->start;
        iov[n].iov_len = c->end - c->start;
        n++;
    }
    return n;
}

static void pop(struct bytes *q, struct pool *p)
{
    struct chunk *c = q->head;

    q->head = c->next;
    if (q->head == NULL)
        q->tail = NULL;
    q->held -= chunk_cost(c);
    pool_give(p, c);
}

void bytes_consume(struct bytes *q, struct pool *p, size_t len)
{
    while (len > 0 && q->head != NULL) {
        size_t have = q->head->end - q->head->start;
        size_t n = len < have ? len : have;

        q->head->start += (uint32_t)n;
        q->len -= n;
        len -= n;
        if (n == have)
            pop(q, p);
    }
}

void bytes_gather(struct bytes *q, struct pool *p, size_t len)
{
    struct chunk *c;

    if (len > q->len)
        len = q->len;
    if (len > CHUNK_MAX)
        len = CHUNK_MAX;
    if (q->head == NULL || q->head->end - q->head->start >= len)
        return;
    c = pool_take(p, len);
    while (len > 0) {
        size_t run;
        const uint8_t *from = bytes_peek(q, &run);
        size_t n = chunk_fill(c, from, run < len ? run : len);

        bytes_consume(q, p, n);
        len -= n;
    }
    q->len += c->end - c->start;
    q->held += chunk_cost(c);
    c->next = q->head;
    q->head = c;
    if (q->tail == NULL)
        q->tail = c;
}

void bytes_clear(struct bytes *q, struct pool *p)
{
    bytes_consume(q, p, q->len);
}

void bytes_clear_rest(struct bytes *q, struct pool *p)
{
    struct bytes rest = *q;

    if (q->head == NULL)
        return;
    rest.head = q->head->next;
    rest.len -= q->head->end - q->head->start;
    q->head->next = NULL;
    q->tail = q->head;
    q->held = chunk_cost(q->head);
    q->len -= rest.len;
    bytes_clear(&rest, p);
}
