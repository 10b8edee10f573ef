/* What a request wants of the engine: told by its path and the numbers in its query. */
#ifndef BENCH_ENGINE_ASK_H
#define BENCH_ENGINE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum ask_kind {
    ASK_FIXED = 1,   /* an answer that never changes */
    ASK_TOKENS = 2,  /* a stream of events (token.h): a chat with a number of events */
    ASK_SOURCE = 3,  /* `bytes` bytes */
    ASK_SINK = 4,    /* how many bytes the body had */
    ASK_PROXIED = 5, /* whether the request came through mlnode_proxy.py */
    ASK_WATCH = 6,   /* told about every stream whose reader left, until the watcher leaves */
    ASK_NOTHING = 7, /* 404 */
};

struct ask {
    enum ask_kind kind;
    const char *text; /* ASK_FIXED: the body */
    uint64_t bytes;
    uint64_t interval_ns;
    uint32_t events; /* then the stream ends, or is silent for ever when `hold` is set */
    uint32_t size;
    uint32_t id; /* what a watcher is told */
    bool hold;
};

/* `m` is past its head. Numbers out of bounds make it ASK_NOTHING. */
void ask_read(struct ask *a, const struct message *m);

#endif
