/* Chunks of memory for bytes in flight, and the one count of how many are really held. Streams that
 * hold nothing own no chunk; a pool keeps a few free chunks so that steady traffic does not go to
 * the heap. The limit is not enforced here: pool_over says it is passed, and the owner of the
 * streams decides who pays (the stream holding most is reset, reason `memory`). */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Three sizes: a token, a TLS record, a full socket read. Whole-chunk sizes, header included. */
enum { CHUNK_SIZES = 3 };

enum {
    /* Free bytes before the first one in every chunk: a mux frame's header is written there, so
     * that header and payload leave as one piece. */
    CHUNK_HEADROOM = 16,
    /* What the largest chunk holds: with a 12-byte header eight full TLS records. */
    CHUNK_MAX = 128 * 1024 - 12,
};

struct chunk {
    struct chunk *next;
    uint32_t size;  /* bytes in data[] */
    uint32_t start; /* first byte not yet consumed */
    uint32_t end;   /* first free byte */
    uint8_t kind;
    bool shared; /* was on loan: takes no more bytes */
    uint8_t data[];
};

/* What it costs, as `held` counts it. */
static inline size_t chunk_cost(const struct chunk *c)
{
    return sizeof(*c) + c->size;
}

struct pool {
    struct chunk *free[CHUNK_SIZES];
    unsigned n_free[CHUNK_SIZES];
    struct chunk *lent; /* see pool_lend */
    size_t held;        /* bytes of all chunks handed out, capacity included */
    size_t peak;        /* highest value of held */
    size_t limit;       /* 0: none */
    size_t leaving;     /* of `held`: owned by nobody any more, freed when libuv lets go of it */
};

void pool_init(struct pool *p, size_t limit);
/* Releases the free lists. Chunks still handed out stay their owners' and must not come back. */
void pool_clear(struct pool *p);
/* An empty chunk with room for `want` bytes, or of the largest size when `want` exceeds it. */
struct chunk *pool_take(struct pool *p, size_t want);
void pool_give(struct pool *p, struct chunk *c);
/* A read into memory that need not be copied again: the reader fills the chunk that pool_lend
 * returns, from its first free byte on, and shows the bytes around; whoever queues most of a chunk
 * (bytes_append) takes the chunk itself. pool_end_loan takes it back when nobody did. One loan at a
 * time, and nobody drains what took it before the event that shows the bytes has returned. */
struct chunk *pool_lend(struct pool *p);
void pool_end_loan(struct pool *p);
/* Gives half of the free chunks back to the heap: called now and then, so that memory follows load
 * down too. */
void pool_trim(struct pool *p);
bool pool_over(const struct pool *p);
/* Bytes held beyond the limit, without those that are leaving. Who sheds counts down from here what
 * each victim holds: what a mux still works on leaves the pool later. */
size_t pool_excess(const struct pool *p);

#endif
