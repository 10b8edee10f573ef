/* The service behind the tunnel: one thread, one port, does what the order at the beginning of each
 * connection says. Lives until its stdin closes, so that it cannot outlast the runner. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "order.h"
#include "tool.h"

enum {
    BLOCK = 128 * 1024, /* what one read or write of bulk moves */
    WAKEUPS = 256,
};

struct peer {
    struct list due; /* on service->due while it has an event to wait for */
    int fd;
    uint32_t watched;
    struct order order;
    size_t order_got;
    uint64_t left;    /* bulk: bytes still to move; events: events still to send */
    uint64_t next_ns; /* when the next event is due */
    uint64_t number;  /* of the next event */
    uint8_t *out;     /* an answer that the kernel did not take whole */
    size_t out_len;
    size_t out_sent;
    bool late; /* behind: what fell due meanwhile is stamped with the time it was due at */
};

struct service {
    int set;
    int listener;
    struct list due; /* peers by next_ns, earliest first */
    uint8_t *block;
};

static void watch(struct service *s, struct peer *p, uint32_t events)
{
    if (p->watched == events)
        return;
    p->watched = events;
    tool_poll_set(s->set, p->fd, events, p);
}

static void drop(struct peer *p)
{
    list_remove(&p->due);
    close(p->fd);
    mem_free(p->out);
    mem_free(p);
}

/* Equal intervals make this a push at the tail. */
static void await(struct service *s, struct peer *p)
{
    struct list *before = s->due.prev;

    while (before != &s->due && LIST_ENTRY(before, struct peer, due)->next_ns > p->next_ns)
        before = before->prev;
    list_push(before->next, &p->due);
}

/* Whether everything went out; if not, the rest waits in p->out. -1: the connection is gone. */
static int flush(struct service *s, struct peer *p)
{
    while (p->out_sent < p->out_len) {
        ssize_t n = send(p->fd, p->out + p->out_sent, p->out_len - p->out_sent, 0);

        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0) {
            watch(s, p, EPOLLIN | EPOLLOUT);
            return 0;
        }
        p->out_sent += (size_t)n;
    }
    p->out_len = 0;
    p->out_sent = 0;
    return 1;
}

/* ---- one function per kind of order ---------------------------------------------------------- */

static int send_bulk(struct service *s, struct peer *p)
{
    while (p->left > 0) {
        size_t want = p->left < BLOCK ? (size_t)p->left : BLOCK;
        ssize_t n = send(p->fd, s->block, want, 0);

        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0) {
            watch(s, p, EPOLLOUT);
            return 0;
        }
        p->left -= (uint64_t)n;
    }
    watch(s, p, EPOLLIN);
    return 0;
}

static int take_bulk(struct service *s, struct peer *p, size_t len)
{
    if (len > p->left)
        return -1; /* more than was announced: the tunnel made bytes up */
    p->left -= len;
    if (p->left > 0)
        return 0;
    memcpy(p->out, &p->order.bytes, sizeof(p->order.bytes));
    p->out_len = sizeof(p->order.bytes);
    return flush(s, p) < 0 ? -1 : 0;
}

static int echo(struct service *s, struct peer *p, size_t len)
{
    p->left += len;
    while (p->left >= p->order.size) {
        if (p->out_len > 0)
            return -1; /* the generator waits for each answer */
        p->left -= p->order.size;
        p->out_len = p->order.size;
        if (flush(s, p) < 0)
            return -1;
    }
    return 0;
}

static int send_event(struct service *s, struct peer *p)
{
    struct event e = {.sent_ns = p->late ? p->next_ns : tool_now_ns(), .number = p->number++};
    int done;

    memcpy(p->out, &e, sizeof(e));
    p->out_len = p->order.size;
    p->next_ns += p->order.interval_ns;
    p->left--;
    done = flush(s, p);
    p->late = done == 0 || (p->late && p->next_ns <= tool_now_ns());
    if (done > 0 && p->left > 0)
        await(s, p);
    return done < 0 ? -1 : 0;
}

static int catch_up(struct service *s, struct peer *p)
{
    int done = flush(s, p);

    if (done <= 0)
        return done;
    watch(s, p, EPOLLIN);
    if (p->order.kind != ORDER_EVENTS || p->left == 0)
        return 0;
    if (p->next_ns <= tool_now_ns())
        return send_event(s, p);
    p->late = false;
    await(s, p);
    return 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool order_is_good(const struct order *o)
{
    bool sized = o->size >= ORDER_MIN_SIZE && o->size <= ORDER_MAX_SIZE;

    if (o->magic != ORDER_MAGIC)
        return false;
    if (o->kind == ORDER_EVENTS)
        return sized && o->interval_ns > 0;
    return o->kind == ORDER_ECHO ? sized : o->kind <= ORDER_HOLD;
}

static int begin(struct service *s, struct peer *p)
{
    struct order *o = &p->order;

    if (!order_is_good(o))
        return -1;
    p->out =
        mem_zalloc(o->kind == ORDER_ECHO || o->kind == ORDER_EVENTS ? o->size : ORDER_MIN_SIZE);
    p->left = o->kind == ORDER_SOURCE || o->kind == ORDER_SINK ? o->bytes : 0;
    if (o->kind == ORDER_SOURCE)
        return send_bulk(s, p);
    if (o->kind == ORDER_EVENTS && o->count > 0) {
        p->left = o->count;
        /* the phases of the streams are spread over the interval */
        p->next_ns = tool_now_ns() + (uint64_t)p->fd * 2654435761U % o->interval_ns;
        await(s, p);
    }
    if (o->kind == ORDER_HOLD) {
        p->out_len = 1;
        return flush(s, p) < 0 ? -1 : 0;
    }
    return 0;
}

static int take(struct service *s, struct peer *p, size_t len)
{
    switch ((enum order_kind)p->order.kind) {
    case ORDER_SINK:
        return take_bulk(s, p, len);
    case ORDER_ECHO:
        return echo(s, p, len);
    case ORDER_SOURCE:
    case ORDER_EVENTS:
    case ORDER_HOLD:
        break;
    }
    return 0;
}

static int read_some(struct service *s, struct peer *p)
{
    uint8_t *into = s->block;
    size_t room = BLOCK;
    ssize_t n;

    if (p->order_got < sizeof(p->order)) {
        into = (uint8_t *)&p->order + p->order_got;
        room = sizeof(p->order) - p->order_got;
    }
    n = recv(p->fd, into, room, 0);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if (n == 0)
        return -1;
    if (into == s->block)
        return take(s, p, (size_t)n);
    p->order_got += (size_t)n;
    return p->order_got < sizeof(p->order) ? 0 : begin(s, p);
}

static void ready(struct service *s, struct peer *p, uint32_t events)
{
    int result = 0;

    if (events & EPOLLOUT)
        result = p->order.kind == ORDER_SOURCE ? send_bulk(s, p) : catch_up(s, p);
    if (result == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        result = read_some(s, p);
    if (result < 0)
        drop(p);
}

static void accept_all(struct service *s)
{
    int fd;

    while ((fd = tool_accept(s->listener)) >= 0) {
        struct peer *p = mem_zalloc(sizeof(*p));

        p->fd = fd;
        list_init(&p->due);
        watch(s, p, EPOLLIN);
    }
}

/* Sends what is due; returns how long to sleep, -1 for as long as it takes. */
static int64_t run_due(struct service *s)
{
    uint64_t now = tool_now_ns();

    while (!list_empty(&s->due)) {
        struct peer *p = LIST_ENTRY(s->due.next, struct peer, due);

        if (p->next_ns > now)
            return (int64_t)(p->next_ns - now);
        list_remove(&p->due);
        if (send_event(s, p) < 0)
            drop(p);
        now = tool_now_ns();
    }
    return -1;
}

static void serve(struct service *s)
{
    struct epoll_event events[WAKEUPS];

    for (;;) {
        int n = tool_poll_wait(s->set, events, WAKEUPS, run_due(s));

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                return; /* stdin closed */
            if (events[i].data.ptr == s)
                accept_all(s);
            else
                ready(s, events[i].data.ptr, events[i].events);
        }
    }
}

int main(int argc, char **argv)
{
    struct service s;

    if (argc != 2) {
        fputs("usage: service PORT\n", stderr);
        return 2;
    }
    tool_prepare();
    list_init(&s.due);
    s.block = mem_zalloc(BLOCK);
    s.set = tool_poll_new();
    s.listener = tool_listen((uint16_t)tool_number(argv[1], UINT16_MAX));
    tool_poll_set(s.set, s.listener, EPOLLIN, &s);
    tool_poll_set(s.set, STDIN_FILENO, EPOLLIN, NULL);
    puts("ready");
    fflush(stdout);
    serve(&s);
    return 0;
}
