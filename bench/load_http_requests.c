/* Requests and answers on keep-alive connections, each connection asking again as soon as it is
 * answered. */
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
    MAX_CONNECTIONS = 10000,
    MAX_BODY = 64 * 1024,
    MAX_MS = 60 * 1000,
    MAX_RATE = 400 * 1000,
    MAX_FAILED = 1000,
    WARM_UP_SHARE = 8, /* the first such part of the time does not count */
};

struct asker {
    int fd;
    uint64_t begun_ns;
    struct message answer;
};

struct desk {
    int set;
    uint16_t port;
    struct asker *askers;
    uint32_t count;
    uint32_t failed;
    int status; /* of the last answer that was not a 200 */
    char *request;
    size_t request_len;
    uint8_t *buffer;
    uint64_t counts_from_ns;
    struct samples took;
};

static void ask(struct desk *d, struct asker *a)
{
    message_begin(&a->answer, MESSAGE_ANSWER);
    a->begun_ns = tool_now_ns();
    if (send(a->fd, d->request, d->request_len, 0) != (ssize_t)d->request_len && errno == EAGAIN)
        tool_die("send"); /* one that is reset is noticed by its read */
}

static void open_one(struct desk *d, struct asker *a)
{
    a->fd = tool_connect(d->port);
    if (a->fd < 0)
        tool_die("connect");
    tool_set_blocking(a->fd, false);
    tool_poll_set(d->set, a->fd, EPOLLIN, a);
    ask(d, a);
}

/* The request got no good answer: the next one goes over a new connection. */
static void fail(struct desk *d, struct asker *a)
{
    close(a->fd);
    d->failed++;
    errno = 0;
    if (d->failed >= MAX_FAILED) {
        fprintf(stderr, "last status %d, ", d->status);
        tool_die("too many requests without a good answer");
    }
    open_one(d, a);
}

static void answered(struct desk *d, struct asker *a)
{
    uint64_t now = tool_now_ns();

    if (a->answer.status != 200) {
        d->status = a->answer.status;
        fail(d, a);
        return;
    }
    if (a->begun_ns >= d->counts_from_ns)
        samples_add(&d->took, now - a->begun_ns);
    if (a->answer.closes) {
        close(a->fd);
        open_one(d, a);
    } else {
        ask(d, a);
    }
}

static void hear(struct desk *d, struct asker *a)
{
    int n = http_read(a->fd, &a->answer, d->buffer);

    if (n < 0 && errno == EAGAIN && a->answer.state < MESSAGE_DONE)
        return;
    if (a->answer.state == MESSAGE_DONE)
        answered(d, a);
    else if (n < 0)
        fail(d, a);
}

static void run(struct desk *d, uint64_t until_ns)
{
    struct epoll_event events[64];

    while (tool_now_ns() < until_ns) {
        int n = epoll_wait(d->set, events, 64, 100);

        for (int i = 0; i < n; i++)
            hear(d, events[i].data.ptr);
    }
}

static void prepare(struct desk *d, const struct load_args *a)
{
    uint32_t body = (uint32_t)a->n[2];

    if (a->n[0] == 0 || a->n[0] > MAX_CONNECTIONS || a->n[1] == 0 || a->n[1] > MAX_MS ||
        a->n[2] > MAX_BODY)
        tool_die("connections, milliseconds or body");
    d->set = tool_poll_new();
    d->port = a->port;
    d->count = (uint32_t)a->n[0];
    d->askers = mem_zalloc(d->count * sizeof(*d->askers));
    d->buffer = mem_alloc(HTTP_READ_SIZE);
    d->request = mem_alloc(HTTP_REQUEST_HEAD + body);
    d->request_len =
        http_head(d->request, body > 0, body > 0 ? "/v1/chat/completions" : "/v1/ping", body);
    memset(d->request + d->request_len, 'b', body);
    d->request_len += body;
    samples_init(&d->took, a->n[1] * MAX_RATE / 1000);
}

void load_http_requests(const struct load_args *a)
{
    struct desk d = {0};
    uint64_t begun;
    uint64_t length_ns = a->n[1] * 1000 * 1000;

    prepare(&d, a);
    begun = tool_now_ns();
    d.counts_from_ns = begun + length_ns / WARM_UP_SHARE;
    for (uint32_t i = 0; i < d.count; i++)
        open_one(&d, &d.askers[i]);
    run(&d, begun + length_ns);
    printf("{\"count\": %zu, \"seconds\": %.6f, \"failed\": %u, \"status\": %d, ", d.took.count,
           (double)(begun + length_ns - d.counts_from_ns) / TOOL_SECOND_NS, d.failed, d.status);
    samples_print(&d.took);
    puts("}");
    for (uint32_t i = 0; i < d.count; i++)
        close(d.askers[i].fd);
    close(d.set);
    samples_clear(&d.took);
    mem_free(d.request);
    mem_free(d.buffer);
    mem_free(d.askers);
}
