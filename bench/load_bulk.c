/* Bulk: a fixed number of bytes, shared evenly by some streams, counted at the receiving end. */
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
    BLOCK = 128 * 1024,
    MAX_STREAMS = 1000,
};

struct lane {
    int fd;
    uint64_t left;
};

struct bulk {
    int set;
    uint8_t *block;
    struct lane *lanes;
    uint32_t streams;
    uint32_t busy; /* lanes that are not done */
};

/* Moves what it can; the end of the process when the tunnel breaks or adds a byte. */
static void take(struct bulk *b, struct lane *l)
{
    ssize_t n = recv(l->fd, b->block, BLOCK, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || (uint64_t)n > l->left) {
        errno = n < 0 ? errno : 0;
        tool_die(n > 0 ? "more bytes than were sent" : "the stream ended early");
    }
    l->left -= (uint64_t)n;
    b->busy -= l->left == 0;
}

static void push(struct bulk *b, struct lane *l)
{
    uint64_t count = 0;
    ssize_t n;

    if (l->left > 0) {
        n = send(l->fd, b->block, l->left < BLOCK ? (size_t)l->left : BLOCK, 0);
        if (n < 0 && errno != EAGAIN)
            tool_die("send");
        l->left -= n > 0 ? (uint64_t)n : 0;
        if (l->left == 0)
            tool_poll_set(b->set, l->fd, EPOLLIN, l);
        return;
    }
    /* the service answers with what it counted once all of it came */
    if (recv(l->fd, &count, sizeof(count), 0) != (ssize_t)sizeof(count))
        tool_die("the stream ended before the service had all");
    tool_poll_remove(b->set, l->fd);
    b->busy--;
}

static void set_up(struct bulk *b, const struct load_args *a)
{
    b->streams = (uint32_t)a->n[0];
    if (b->streams == 0 || b->streams > MAX_STREAMS || a->n[1] / b->streams == 0)
        tool_die("streams or bytes");
    b->set = tool_poll_new();
    b->block = mem_zalloc(BLOCK);
    b->lanes = mem_zalloc(b->streams * sizeof(*b->lanes));
    b->busy = b->streams;
    for (uint32_t i = 0; i < b->streams; i++) {
        b->lanes[i].fd = tool_connect(a->port);
        b->lanes[i].left = a->n[1] / b->streams;
        if (b->lanes[i].fd < 0)
            tool_die("connect");
    }
}

static void start(struct bulk *b, enum order_kind kind)
{
    for (uint32_t i = 0; i < b->streams; i++) {
        struct lane *l = &b->lanes[i];
        struct order o = {.magic = ORDER_MAGIC, .kind = kind, .bytes = l->left};

        load_write(l->fd, &o, sizeof(o));
        tool_set_blocking(l->fd, false);
        tool_poll_set(b->set, l->fd, kind == ORDER_SINK ? EPOLLOUT : EPOLLIN, l);
    }
}

static void turn(struct bulk *b, void (*move)(struct bulk *b, struct lane *l))
{
    struct epoll_event events[64];
    int n = epoll_wait(b->set, events, 64, -1);

    for (int i = 0; i < n; i++) {
        struct lane *l = events[i].data.ptr;

        if (events[i].events & (EPOLLIN | EPOLLOUT))
            move(b, l);
        else
            tool_die("the tunnel closed a stream");
    }
}

static void clear(struct bulk *b)
{
    for (uint32_t i = 0; i < b->streams; i++)
        close(b->lanes[i].fd);
    close(b->set);
    mem_free(b->lanes);
    mem_free(b->block);
}

static void run(const struct load_args *a, enum order_kind kind,
                void (*move)(struct bulk *b, struct lane *l))
{
    struct bulk b;
    uint64_t begun;
    uint64_t took;

    set_up(&b, a);
    begun = tool_now_ns();
    start(&b, kind);
    while (b.busy > 0)
        turn(&b, move);
    took = tool_now_ns() - begun;
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)(a->n[1] / b.streams * b.streams), (double)took / TOOL_SECOND_NS);
    clear(&b);
}

void load_down(const struct load_args *a)
{
    run(a, ORDER_SOURCE, take);
}

void load_up(const struct load_args *a)
{
    run(a, ORDER_SINK, push);
}

/* ---- company for the streams of events ------------------------------------------------------- */

void load_flood(const struct load_args *a)
{
    struct order o = {.magic = ORDER_MAGIC, .kind = ORDER_SINK, .bytes = INT64_MAX};
    struct epoll_event events[2];
    uint8_t *block = mem_zalloc(BLOCK);
    uint64_t begun = tool_now_ns();
    uint64_t sent = 0;
    int set = tool_poll_new();
    int fd = load_open(a->port, &o);

    tool_set_blocking(fd, false);
    tool_poll_set(set, fd, EPOLLOUT, &fd);
    tool_poll_set(set, STDIN_FILENO, EPOLLIN, NULL);
    puts("ready");
    fflush(stdout);
    /* a lone event of the socket: stdin is still open */
    while (epoll_wait(set, events, 2, -1) == 1 && events[0].data.ptr == &fd) {
        ssize_t n = send(fd, block, BLOCK, 0);

        if (n < 0 && errno != EAGAIN)
            tool_die("send");
        sent += n > 0 ? (uint64_t)n : 0;
    }
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent,
           (double)(tool_now_ns() - begun) / TOOL_SECOND_NS);
    mem_free(block);
    close(fd);
    close(set);
}

void load_stall(const struct load_args *a)
{
    struct order o = {.magic = ORDER_MAGIC, .kind = ORDER_SOURCE, .bytes = INT64_MAX};
    int fd = load_open(a->port, &o);

    load_hold("ready");
    puts("{}");
    close(fd);
}
