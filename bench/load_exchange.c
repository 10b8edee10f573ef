/* Requests and answers of a fixed size on established connections. */
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
    MAX_CONNECTIONS = 10000,
    MAX_EXCHANGES = 10 * 1000 * 1000,
    WARM_UP = 200, /* exchanges that do not count */
};

struct caller {
    int fd;
    uint32_t got; /* of the answer under way */
};

struct exchange {
    int set;
    struct caller *callers;
    uint32_t count;
    uint32_t size;
    uint64_t to_start; /* exchanges not yet begun */
    uint64_t to_finish;
};

static int open_echo(uint16_t port, uint32_t size)
{
    struct order o = {.magic = ORDER_MAGIC, .kind = ORDER_ECHO, .size = size};

    if (size < ORDER_MIN_SIZE || size > ORDER_MAX_SIZE)
        tool_die("size");
    return load_open(port, &o);
}

void load_rtt(const struct load_args *a)
{
    uint8_t request[ORDER_MAX_SIZE] = {0};
    uint32_t size = (uint32_t)a->n[1];
    int fd = open_echo(a->port, size);
    struct samples took;

    if (a->n[0] > MAX_EXCHANGES)
        tool_die("count");
    samples_init(&took, (size_t)a->n[0]);
    for (uint64_t i = 0; i < a->n[0] + WARM_UP; i++) {
        uint64_t begun = tool_now_ns();

        load_write(fd, request, size);
        load_read(fd, request, size);
        if (i >= WARM_UP)
            samples_add(&took, tool_now_ns() - begun);
    }
    printf("{\"count\": %zu, ", took.count);
    samples_print(&took);
    puts("}");
    samples_clear(&took);
    close(fd);
}

static void ask(struct exchange *x, struct caller *c)
{
    static const uint8_t request[ORDER_MAX_SIZE];

    if (x->to_start == 0)
        return;
    x->to_start--;
    c->got = 0;
    load_write(c->fd, request, x->size);
}

static void answered(struct exchange *x, struct caller *c)
{
    uint8_t answer[ORDER_MAX_SIZE];
    ssize_t n = recv(c->fd, answer, x->size - c->got, 0);

    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        tool_die("the connection ended early");
    }
    c->got += (uint32_t)n;
    if (c->got < x->size)
        return;
    x->to_finish--;
    ask(x, c);
}

static void turn(struct exchange *x)
{
    struct epoll_event events[64];
    int n = epoll_wait(x->set, events, 64, -1);

    for (int i = 0; i < n; i++)
        answered(x, events[i].data.ptr);
}

void load_exchanges(const struct load_args *a)
{
    struct exchange x = {.set = tool_poll_new(), .count = (uint32_t)a->n[0]};
    uint64_t begun;

    if (a->n[0] == 0 || a->n[0] > MAX_CONNECTIONS || a->n[1] < a->n[0])
        tool_die("connections or count");
    x.size = (uint32_t)a->n[2];
    x.to_start = a->n[1];
    x.to_finish = a->n[1];
    x.callers = mem_zalloc(x.count * sizeof(*x.callers));
    for (uint32_t i = 0; i < x.count; i++) {
        x.callers[i].fd = open_echo(a->port, x.size);
        tool_set_blocking(x.callers[i].fd, false);
        tool_poll_set(x.set, x.callers[i].fd, EPOLLIN, &x.callers[i]);
    }
    begun = tool_now_ns();
    for (uint32_t i = 0; i < x.count; i++)
        ask(&x, &x.callers[i]);
    while (x.to_finish > 0)
        turn(&x);
    printf("{\"count\": %llu, \"seconds\": %.6f}\n", (unsigned long long)a->n[1],
           (double)(tool_now_ns() - begun) / TOOL_SECOND_NS);
    for (uint32_t i = 0; i < x.count; i++)
        close(x.callers[i].fd);
    mem_free(x.callers);
    close(x.set);
}
