/* A first-in first-out queue of bytes made of pooled chunks. Empty queues own no memory. The queue
 * has one owner, who passes the same pool to every call. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <sys/uio.h>

#include "base/budget.h"

struct bytes {
    struct chunk *head;
    struct chunk *tail;
    size_t len;  /* bytes queued */
    size_t held; /* what the chunks that hold them cost, as the budget counts it */
};

void bytes_append(struct bytes *q, struct pool *p, const void *data, size_t len);
/* The first contiguous run; *len is 0 when empty. Valid until the next call that changes q. */
const uint8_t *bytes_peek(const struct bytes *q, size_t *len);
/* At least CHUNK_HEADROOM writable bytes lie before what bytes_peek returns. */
uint8_t *bytes_headroom(const struct bytes *q);
/* Up to `max` runs from the front; returns how many were filled. */
int bytes_iov(const struct bytes *q, struct iovec *iov, int max);
/* Drops `len` bytes, at most q->len, from the front. */
void bytes_consume(struct bytes *q, struct pool *p, size_t len);
/* Makes the first `len` bytes one run, or as many as the largest chunk holds; nothing to do when
 * they are, or when the queue has fewer. */
void bytes_gather(struct bytes *q, struct pool *p, size_t len);
void bytes_clear(struct bytes *q, struct pool *p);
/* Drops everything behind the first run, which somebody else still reads. */
void bytes_clear_rest(struct bytes *q, struct pool *p);

#endif
