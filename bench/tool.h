/* What both generators need: sockets on loopback, the clock, samples. Anything that goes wrong with
 * the machine itself (no socket, no port) ends the process with one line on stderr. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoll_event;

enum { TOOL_SECOND_NS = 1000 * 1000 * 1000 };

void tool_die(const char *what) __attribute__((noreturn));
/* A decimal number up to `max`, or the end of the process. */
uint64_t tool_number(const char *text, uint64_t max);
uint64_t tool_now_ns(void);
/* Descriptors up to the hard limit, no signal for a closed socket, exact timers. */
void tool_prepare(void);

/* A listening socket on 127.0.0.1, not blocking. */
int tool_listen(uint16_t port);
/* Connects to 127.0.0.1 and waits for it. Negative when that fails. */
int tool_connect(uint16_t port);
/* Begins to connect, not blocking: writable once it is up. Negative when that fails. */
int tool_connect_start(uint16_t port);
/* The next connection of a listener, not blocking; negative when there is none. */
int tool_accept(int listener);
void tool_set_blocking(int fd, bool blocking);

/* An epoll set; `owner` comes back with each event. */
int tool_poll_new(void);
void tool_poll_set(int set, int fd, uint32_t events, void *owner);
void tool_poll_remove(int set, int fd);
/* epoll_wait with a time in nanoseconds, negative for as long as it takes. */
int tool_poll_wait(int set, struct epoll_event *events, int room, int64_t wait_ns);

/* Durations in nanoseconds, kept whole so that percentiles are exact. */
struct samples {
    uint64_t *at;
    size_t count;
    size_t room;
};

/* Up to `room` samples; more are refused by samples_add. */
void samples_init(struct samples *s, size_t room);
void samples_add(struct samples *s, uint64_t ns);
/* Prints "p50_us": .., "p99_us": .., "max_us": .. (no braces; null when there are none). Sorts. */
void samples_print(struct samples *s);
/* The same with `prefix` before each key. */
void samples_print_as(struct samples *s, const char *prefix);
void samples_clear(struct samples *s);

#endif
