/* Bodies of many bytes, and readers that never read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "load.h"
#include "load_http.h"
#include "tool.h"

enum {
    BLOCK = 128 * 1024,
    PATIENCE_S = 60,
};

static void print(uint64_t bytes, uint64_t begun)
{
    printf("{\"bytes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)bytes,
           (double)(tool_now_ns() - begun) / TOOL_SECOND_NS);
}

static int begin(uint16_t port, bool post, const char *target, uint64_t body)
{
    char head[HTTP_REQUEST_HEAD];
    size_t len = http_head(head, post, target, body);
    int fd = http_send(port, head, len, PATIENCE_S);

    if (fd < 0)
        tool_die("connect");
    return fd;
}

void load_http_down(const struct load_args *a)
{
    uint64_t begun = tool_now_ns();
    char target[64];
    uint64_t got;
    int fd;

    snprintf(target, sizeof(target), "/v1/source?b=%llu", (unsigned long long)a->n[0]);
    fd = begin(a->port, false, target, 0);
    http_read_all(fd, &got);
    if (got != a->n[0])
        tool_die("not as many bytes as were asked for");
    print(got, begun);
    close(fd);
}

void load_http_up(const struct load_args *a)
{
    uint8_t *block = mem_zalloc(BLOCK);
    uint64_t begun = tool_now_ns();
    int fd = begin(a->port, true, "/v1/sink", a->n[0]);
    uint64_t answer;

    for (uint64_t sent = 0; sent < a->n[0];) {
        size_t want = a->n[0] - sent < BLOCK ? (size_t)(a->n[0] - sent) : BLOCK;
        ssize_t n = send(fd, block, want, 0);

        if (n < 0)
            tool_die("send");
        sent += (uint64_t)n;
    }
    http_read_all(fd, &answer);
    print(a->n[0], begun);
    mem_free(block);
    close(fd);
}

/* ---- company for the streams of events ------------------------------------------------------- */

struct flood {
    uint16_t port;
    int fd;
    uint64_t body; /* of each request */
    uint64_t left; /* of this one */
    uint64_t sent;
    uint64_t answers;
    uint8_t *block;
};

static void next_body(struct flood *f)
{
    char head[HTTP_REQUEST_HEAD];
    size_t len = http_head(head, true, "/api/v1/sink", f->body);

    f->left = f->body;
    load_write(f->fd, head, (uint32_t)len);
}

static void push(struct flood *f)
{
    ssize_t n = send(f->fd, f->block, f->left < BLOCK ? (size_t)f->left : BLOCK, 0);

    if (n < 0 && errno != EAGAIN)
        tool_die("send");
    f->sent += n > 0 ? (uint64_t)n : 0;
    f->left -= n > 0 ? (uint64_t)n : 0;
}

/* All of a body is out: its answer, then the next one. */
static void turn(struct flood *f, int set)
{
    uint64_t bytes;

    if (f->left > 0) {
        push(f);
        if (f->left == 0)
            tool_poll_set(set, f->fd, EPOLLIN, f);
        return;
    }
    tool_set_blocking(f->fd, true);
    http_read_all(f->fd, &bytes);
    f->answers++;
    next_body(f);
    tool_set_blocking(f->fd, false);
    tool_poll_set(set, f->fd, EPOLLOUT, f);
}

void load_http_flood(const struct load_args *a)
{
    struct flood f = {.port = a->port, .body = a->n[0], .left = a->n[0]};
    struct epoll_event events[2];
    uint64_t begun = tool_now_ns();
    int set = tool_poll_new();

    f.block = mem_zalloc(BLOCK);
    f.fd = begin(a->port, true, "/api/v1/sink", f.body);
    tool_set_blocking(f.fd, false);
    tool_poll_set(set, f.fd, EPOLLOUT, &f);
    tool_poll_set(set, STDIN_FILENO, EPOLLIN, NULL);
    puts("ready");
    fflush(stdout);
    /* a lone event of the socket: stdin is still open */
    while (epoll_wait(set, events, 2, -1) == 1 && events[0].data.ptr == &f)
        turn(&f, set);
    print(f.sent, begun);
    mem_free(f.block);
    close(f.fd);
    close(set);
}

void load_http_stall(const struct load_args *a)
{
    int fd = begin(a->port, false, "/v1/source?b=1000000000000", 0);

    load_hold("ready");
    puts("{}");
    close(fd);
}
