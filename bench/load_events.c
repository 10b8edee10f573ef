/* Token-like streams: many slow streams of small stamped events; how long each one was under way,
 * and whether the tunnel glued some together. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "load.h"
#include "tool.h"

enum {
    MAX_STREAMS = 10000,
    MAX_EVENTS = 20 * 1000 * 1000,
    READ_SIZE = 64 * 1024,
    GRACE_S = 5, /* beyond the planned duration, for events that are late */
};

struct listener {
    int fd;
    uint32_t got;  /* of the event under way */
    uint64_t next; /* the number that must come */
    uint8_t head[sizeof(struct event)];
};

struct hall {
    int set;
    struct listener *listeners;
    uint32_t streams;
    uint32_t size;
    uint32_t count;  /* events each */
    uint32_t open;   /* streams that still expect something */
    uint32_t failed; /* streams that ended before their time */
    uint64_t glued;  /* events that came in one read with the one before */
    uint8_t *buffer;
    struct samples transit;
};

static void finish(struct hall *h, struct listener *l)
{
    h->open--;
    h->failed += l->next < h->count;
    close(l->fd);
    l->fd = -1;
}

static void heard(struct hall *h, struct listener *l, uint64_t now)
{
    struct event e;

    memcpy(&e, l->head, sizeof(e));
    if (e.number != l->next) {
        errno = 0;
        tool_die("an event out of order or altered");
    }
    l->next++;
    samples_add(&h->transit, now - e.sent_ns);
}

/* An event counts as arrived when its last byte is there. Returns how many ended in `data`. */
static uint32_t split(struct hall *h, struct listener *l, const uint8_t *data, size_t len,
                      uint64_t now)
{
    uint32_t whole = 0;

    while (len > 0) {
        size_t n = h->size - l->got < len ? h->size - l->got : len;

        if (l->got < sizeof(l->head)) {
            size_t head = sizeof(l->head) - l->got;

            memcpy(l->head + l->got, data, n < head ? n : head);
        }
        l->got += (uint32_t)n;
        data += n;
        len -= n;
        if (l->got == h->size) {
            l->got = 0;
            heard(h, l, now);
            whole++;
        }
    }
    return whole;
}

static void hear(struct hall *h, struct listener *l)
{
    ssize_t n = recv(l->fd, h->buffer, READ_SIZE, 0);
    uint32_t whole;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        whole = split(h, l, h->buffer, (size_t)n, tool_now_ns());
        h->glued += whole > 1 ? whole - 1 : 0;
    }
    if (n <= 0 || l->next >= h->count)
        finish(h, l);
}

static void open_streams(struct hall *h, const struct load_args *a)
{
    struct order o = {.magic = ORDER_MAGIC,
                      .kind = ORDER_EVENTS,
                      .interval_ns = a->n[1] * 1000,
                      .size = h->size,
                      .count = h->count};

    for (uint32_t i = 0; i < h->streams; i++) {
        struct listener *l = &h->listeners[i];

        l->fd = load_open(a->port, &o);
        tool_set_blocking(l->fd, false);
        tool_poll_set(h->set, l->fd, EPOLLIN, l);
    }
}

static void listen_until(struct hall *h, uint64_t limit_ns)
{
    struct epoll_event events[256];

    while (h->open > 0 && tool_now_ns() < limit_ns) {
        int n = epoll_wait(h->set, events, 256, 100);

        for (int i = 0; i < n; i++)
            hear(h, events[i].data.ptr);
    }
}

static void report(struct hall *h)
{
    uint64_t expected = (uint64_t)h->streams * h->count;

    printf(
        "{\"expected\": %llu, \"missing\": %llu, \"failed_streams\": %u, \"glued_share\": %.6f, ",
        (unsigned long long)expected, (unsigned long long)(expected - h->transit.count),
        h->failed + h->open, h->transit.count ? (double)h->glued / (double)h->transit.count : 0.0);
    samples_print(&h->transit);
    puts("}");
}

void load_events(const struct load_args *a)
{
    struct hall h = {.set = tool_poll_new(), .streams = (uint32_t)a->n[0]};

    if (a->n[0] == 0 || a->n[0] > MAX_STREAMS || a->n[3] == 0 || a->n[3] > MAX_EVENTS / a->n[0] ||
        a->n[2] < ORDER_MIN_SIZE || a->n[2] > ORDER_MAX_SIZE)
        tool_die("streams, size or count");
    h.size = (uint32_t)a->n[2];
    h.count = (uint32_t)a->n[3];
    h.open = h.streams;
    h.listeners = mem_zalloc(h.streams * sizeof(*h.listeners));
    h.buffer = mem_alloc(READ_SIZE);
    samples_init(&h.transit, (size_t)h.streams * h.count);
    open_streams(&h, a);
    listen_until(&h, tool_now_ns() + a->n[1] * 1000 * a->n[3] + GRACE_S * (uint64_t)TOOL_SECOND_NS);
    report(&h);
    for (uint32_t i = 0; i < h.streams; i++)
        if (h.listeners[i].fd >= 0)
            close(h.listeners[i].fd);
    samples_clear(&h.transit);
    mem_free(h.buffer);
    mem_free(h.listeners);
    close(h.set);
}
