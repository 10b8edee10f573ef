/* The load generator's verbs. Each runs one measurement against 127.0.0.1:PORT, bounded by a number
 * of bytes or exchanges and by a deadline, prints one line of JSON on stdout and returns; whatever
 * keeps it from measuring ends the process with one line on stderr and status 1. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>

#include "order.h"

/* The deadline of a whole measurement: a hung tunnel is a failed metric, not a hung bench. */
enum { LOAD_LIMIT_S = 120 };

struct load_args {
    uint16_t port;
    uint64_t n[5]; /* the verb's numbers, in the order of its usage line */
};

void load_down(const struct load_args *a);
void load_up(const struct load_args *a);
void load_flood(const struct load_args *a);
void load_stall(const struct load_args *a);
void load_rtt(const struct load_args *a);
void load_exchanges(const struct load_args *a);
void load_connects(const struct load_args *a);
void load_burst(const struct load_args *a);
void load_idle(const struct load_args *a);
void load_events(const struct load_args *a);

/* The same over HTTP, against bench/engine. */
void load_http_requests(const struct load_args *a);
void load_http_first(const struct load_args *a);
void load_http_leave(const struct load_args *a);
void load_http_streams(const struct load_args *a);
void load_http_hold(const struct load_args *a);
void load_http_down(const struct load_args *a);
void load_http_up(const struct load_args *a);
void load_http_flood(const struct load_args *a);
void load_http_stall(const struct load_args *a);

/* Connects, blocking, and sends an order; ends the process when that fails. */
int load_open(uint16_t port, const struct order *o);
/* Reads or writes exactly `len` bytes on a blocking socket; ends the process when that fails. */
void load_read(int fd, void *data, uint32_t len);
void load_write(int fd, const void *data, uint32_t len);
/* Prints `line` at once and waits until stdin closes. */
void load_hold(const char *line);

#endif
