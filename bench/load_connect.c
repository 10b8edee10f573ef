/* New connections: from the start of connect() to the first byte of the service. */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "load.h"
#include "tool.h"

enum {
    MAX_CONNECTIONS = 20000,
    BURST_LIMIT_MS = 20 * 1000, /* who has no byte by then has failed */
    IDLE_AHEAD = 64,            /* connections being opened at a time */
};

static const struct order hold = {.magic = ORDER_MAGIC, .kind = ORDER_HOLD};

void load_connects(const struct load_args *a)
{
    struct samples took;
    uint8_t byte;

    if (a->n[0] > MAX_CONNECTIONS)
        tool_die("count");
    samples_init(&took, (size_t)a->n[0]);
    for (uint64_t i = 0; i < a->n[0]; i++) {
        uint64_t begun = tool_now_ns();
        int fd = load_open(a->port, &hold);

        load_read(fd, &byte, 1);
        samples_add(&took, tool_now_ns() - begun);
        close(fd);
    }
    printf("{\"count\": %zu, ", took.count);
    samples_print(&took);
    puts("}");
    samples_clear(&took);
}

/* ---- many at once -----------------------------------------------------------------------------
 */

enum stage {
    STAGE_CONNECTING = 1,
    STAGE_ASKED = 2,
    STAGE_ANSWERED = 3,
    STAGE_FAILED = 4,
};

struct visitor {
    int fd;
    enum stage stage;
};

struct crowd {
    int set;
    uint16_t port;
    struct visitor *visitors;
    uint32_t count;
    uint32_t begun;
    uint32_t answered;
    uint32_t failed;
    uint64_t began_ns;
    struct samples took;
};

static void over(struct crowd *c, struct visitor *v, enum stage stage)
{
    if (v->fd >= 0)
        tool_poll_remove(c->set, v->fd);
    v->stage = stage;
    if (stage == STAGE_FAILED) {
        c->failed++;
        return;
    }
    c->answered++;
    samples_add(&c->took, tool_now_ns() - c->began_ns);
}

static void begin(struct crowd *c)
{
    struct visitor *v = &c->visitors[c->begun++];

    v->stage = STAGE_CONNECTING;
    v->fd = tool_connect_start(c->port);
    if (v->fd >= 0)
        tool_poll_set(c->set, v->fd, EPOLLOUT, v);
    else
        over(c, v, STAGE_FAILED);
}

static void go_on(struct crowd *c, struct visitor *v, uint32_t events)
{
    uint8_t byte;

    if (v->stage == STAGE_CONNECTING && (events & (EPOLLERR | EPOLLHUP)) == 0) {
        if (send(v->fd, &hold, sizeof(hold), 0) != (ssize_t)sizeof(hold)) {
            over(c, v, STAGE_FAILED);
            return;
        }
        v->stage = STAGE_ASKED;
        tool_poll_set(c->set, v->fd, EPOLLIN, v);
        return;
    }
    over(c, v, recv(v->fd, &byte, 1, 0) == 1 ? STAGE_ANSWERED : STAGE_FAILED);
}

static void crowd_init(struct crowd *c, const struct load_args *a)
{
    if (a->n[0] == 0 || a->n[0] > MAX_CONNECTIONS)
        tool_die("count");
    c->port = a->port;
    c->count = (uint32_t)a->n[0];
    c->visitors = mem_zalloc(c->count * sizeof(*c->visitors));
    c->set = tool_poll_new();
    samples_init(&c->took, c->count);
    c->began_ns = tool_now_ns();
}

static uint32_t waiting(const struct crowd *c)
{
    return c->begun - c->answered - c->failed;
}

/* Opens all, at most `ahead` at a time, and waits for their first bytes. */
static void crowd_run(struct crowd *c, uint32_t ahead)
{
    uint64_t limit_ns = c->began_ns + (uint64_t)BURST_LIMIT_MS * 1000 * 1000;
    struct epoll_event events[256];

    while (c->answered + c->failed < c->count && tool_now_ns() < limit_ns) {
        int n;

        while (c->begun < c->count && waiting(c) < ahead)
            begin(c);
        n = epoll_wait(c->set, events, 256, 100);
        for (int i = 0; i < n; i++)
            go_on(c, events[i].data.ptr, events[i].events);
    }
    c->failed = c->count - c->answered;
}

static void crowd_clear(struct crowd *c)
{
    for (uint32_t i = 0; i < c->begun; i++)
        if (c->visitors[i].fd >= 0)
            close(c->visitors[i].fd);
    close(c->set);
    mem_free(c->visitors);
    samples_clear(&c->took);
}

void load_burst(const struct load_args *a)
{
    struct crowd c = {0};

    crowd_init(&c, a);
    crowd_run(&c, c.count);
    printf("{\"count\": %u, \"failed\": %u, ", c.count, c.failed);
    samples_print(&c.took);
    puts("}");
    crowd_clear(&c);
}

void load_idle(const struct load_args *a)
{
    struct crowd c = {0};
    char line[80];

    crowd_init(&c, a);
    crowd_run(&c, IDLE_AHEAD);
    snprintf(line, sizeof(line), "{\"open\": %u, \"failed\": %u}", c.answered, c.failed);
    load_hold(line);
    crowd_clear(&c);
}
