/* First four bytes: a seed for the cuts; the rest: a stream. However it is cut, the same messages
 * come out, and the same error ends them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    SEED_LEN = 4,
    EVENTS_MAX = 512,
};

struct event {
    int rc;
    size_t end; /* where the message ends in the stream; 0 for an error */
    uint64_t hash;
};

struct trace {
    struct event events[EVENTS_MAX];
    size_t n;
};

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 1099511628211U;
    return hash;
}

static uint64_t hash_msg(const struct msg *m)
{
    static uint8_t out[MSG_FRAME_MAX];
    size_t len;
    int rc = msg_encode(m, out, sizeof out, &len);
    uint64_t hash = hash_bytes(14695981039346656037U, out, len);

    hash = hash_bytes(hash, &rc, sizeof rc);
    hash = hash_bytes(hash, &m->type, sizeof m->type);
    return hash_bytes(hash, &m->is_null, sizeof m->is_null);
}

/* One call of the reader on memory of exactly `len` bytes. */
static int feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used,
                struct msg *m)
{
    uint8_t *copy = mem_alloc(len);
    int rc;

    memcpy(copy, data, len);
    rc = frame_feed(r, copy, len, used, m);
    mem_free(copy);
    CHECK(*used <= len);
    return rc;
}

/* Cuts pieces of at most `most` bytes, sizes drawn from *seed when it is not NULL. */
static void run(struct trace *t, const uint8_t *data, size_t size, size_t most, uint32_t *seed)
{
    struct frame_reader r = {0};
    size_t at = 0;
    int rc = ERR_MORE;

    t->n = 0;
    while (at < size && (rc == 0 || rc == ERR_MORE) && t->n < EVENTS_MAX) {
        size_t piece = size - at < most ? size - at : most;
        struct msg m;
        size_t used;

        if (seed != NULL) {
            *seed = *seed * 1664525 + 1013904223;
            piece = (*seed >> 8) % (piece + 1);
        }
        rc = feed(&r, data + at, piece, &used, &m);
        at += used;
        CHECK(rc != ERR_MORE || used == piece);
        if (rc == ERR_MORE)
            continue;
        t->events[t->n++] = (struct event){rc, rc == 0 ? at : 0, rc == 0 ? hash_msg(&m) : 0};
        CHECK(r.body == NULL);
        if (rc == 0)
            msg_clear(&m);
    }
    frame_reader_clear(&r);
}

static void check_same(const struct trace *a, const struct trace *b)
{
    CHECK(a->n == b->n);
    for (size_t i = 0; i < a->n; i++) {
        CHECK(a->events[i].rc == b->events[i].rc);
        CHECK(a->events[i].end == b->events[i].end);
        CHECK(a->events[i].hash == b->events[i].hash);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trace whole, bytes, cut;
    uint32_t seed;

    if (size < SEED_LEN)
        return 0;
    memcpy(&seed, data, SEED_LEN);
    data += SEED_LEN;
    size -= SEED_LEN;
    run(&whole, data, size, size, NULL);
    run(&bytes, data, size, 1, NULL);
    check_same(&whole, &bytes);
    run(&cut, data, size, 40, &seed);
    check_same(&whole, &cut);
    return 0;
}
