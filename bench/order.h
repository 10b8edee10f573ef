/* What a load generator asks of the service behind the tunnel: one fixed-size order opens every
 * connection. Both ends run on one machine, so the bytes are the struct as it lies in memory. */
#ifndef BENCH_ORDER_H
#define BENCH_ORDER_H

#include <stdint.h>

enum { ORDER_MAGIC = 0x6d6c6762 };

enum order_kind {
    ORDER_SOURCE = 1, /* send `bytes`, then wait for the other side to close */
    ORDER_SINK = 2,   /* take `bytes`, then answer with how many came (uint64_t) */
    ORDER_ECHO = 3,   /* for every `size` bytes send `size` bytes back */
    ORDER_EVENTS = 4, /* send `count` events of `size` bytes, one every `interval_ns` */
    ORDER_HOLD = 5,   /* answer with one byte and stay open */
};

struct order {
    uint32_t magic;
    uint32_t kind;
    uint64_t bytes;
    uint64_t interval_ns;
    uint32_t size;
    uint32_t count;
};

/* The beginning of an event; the rest up to `size` is filler. */
struct event {
    uint64_t sent_ns; /* CLOCK_MONOTONIC */
    uint64_t number;  /* 0, 1, 2 ... within its stream */
};

/* Bounds that the service holds an order to. */
enum {
    ORDER_MAX_SIZE = 4096, /* of an echo or an event; at least sizeof(struct event) */
    ORDER_MIN_SIZE = 16,
};

#endif
