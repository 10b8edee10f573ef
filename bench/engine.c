/* The upstream of the gateway bench: an HTTP/1.1 server in one thread that stands for an inference
 * engine and for MLNode's management. What it answers is in engine_ask.c. Streams follow an
 * open-loop schedule: an event that cannot be written on time keeps the time it was due at, so that
 * no delay hides. Lives until its stdin closes, so that it cannot outlast the runner. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "engine_ask.h"
#include "message.h"
#include "token.h"
#include "tool.h"

enum {
    BLOCK = 128 * 1024, /* what one read or write of bulk moves */
    WAKEUPS = 256,
    MAX_PORTS = 4,
    SMALL = 1024, /* any head or fixed answer */
    CODING = 16,  /* room for a chunk's size and ends */
    HASH = 2654435761U,
};

struct visit {
    struct list due; /* on engine->due while it has an event to wait for */
    int fd;
    uint32_t watched;
    bool answering; /* a stream or bulk, which the next request has to wait for */
    bool late;      /* held up by its reader: events keep the time they were due at */
    bool last;      /* the connection ends with this answer */
    struct message request;
    struct ask ask;
    uint64_t taken;   /* of the request's body */
    uint64_t left;    /* bulk: bytes to send; tokens: events to send */
    uint64_t next_ns; /* when the next event is due */
    uint64_t sent_ns; /* when the one before was written */
    uint32_t number;
    uint8_t *out; /* what the kernel did not take yet */
    size_t out_len;
    size_t out_sent;
};

struct engine {
    int set;
    int listeners[MAX_PORTS];
    struct list due;       /* visits by next_ns, earliest first */
    struct visit *watcher; /* NULL when nobody watches */
    uint8_t *block;
};

static void watch(struct engine *g, struct visit *v, uint32_t events)
{
    if (v->watched == events)
        return;
    v->watched = events;
    tool_poll_set(g->set, v->fd, events, v);
}

static void tell(struct engine *g, const struct visit *gone)
{
    char line[64];
    int len =
        snprintf(line, sizeof(line), "%u %llu\n", gone->ask.id, (unsigned long long)tool_now_ns());

    if (send(g->watcher->fd, line, (size_t)len, 0) != len)
        tool_die("the watcher does not read");
}

static void drop(struct engine *g, struct visit *v)
{
    if (v == g->watcher)
        g->watcher = NULL;
    else if (g->watcher != NULL && v->answering && v->ask.kind == ASK_TOKENS)
        tell(g, v);
    list_remove(&v->due);
    close(v->fd);
    mem_free(v->out);
    mem_free(v);
}

/* Equal intervals make this a push at the tail. */
static void await(struct engine *g, struct visit *v)
{
    struct list *before = g->due.prev;

    while (before != &g->due && LIST_ENTRY(before, struct visit, due)->next_ns > v->next_ns)
        before = before->prev;
    list_push(before->next, &v->due);
}

/* ---- writing: 1 all of it went out, 0 some of it waits, -1 the connection is gone -------------
 */

static int flush(struct engine *g, struct visit *v)
{
    while (v->out_sent < v->out_len) {
        ssize_t n = send(v->fd, v->out + v->out_sent, v->out_len - v->out_sent, 0);

        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0) {
            watch(g, v, EPOLLIN | EPOLLOUT);
            return 0;
        }
        v->out_sent += (size_t)n;
    }
    v->out_len = 0;
    v->out_sent = 0;
    return 1;
}

static int say(struct engine *g, struct visit *v, const void *data, size_t len)
{
    ssize_t n = v->out_len > 0 ? 0 : send(v->fd, data, len, 0);
    size_t done = n > 0 ? (size_t)n : 0;

    if (n < 0 && errno != EAGAIN)
        return -1;
    if (done == len)
        return 1;
    v->out = mem_realloc(v->out, v->out_len + len - done);
    memcpy(v->out + v->out_len, (const uint8_t *)data + done, len - done);
    v->out_len += len - done;
    watch(g, v, EPOLLIN | EPOLLOUT);
    return 0;
}

static int say_answer(struct engine *g, struct visit *v, int status, const char *text)
{
    char all[SMALL];
    int len = snprintf(all, sizeof(all),
                       "HTTP/1.1 %d %s\r\nserver: bench\r\ncontent-type: application/json\r\n"
                       "content-length: %zu\r\n%s\r\n%s",
                       status, status == 200 ? "OK" : "Not Found", strlen(text),
                       v->last ? "connection: close\r\n" : "", text);

    return say(g, v, all, (size_t)len);
}

/* ---- one function per kind of answer: negative when the visit is over -------------------------
 */

static int finished(struct visit *v)
{
    v->answering = false;
    message_begin(&v->request, MESSAGE_REQUEST);
    return v->last && v->out_len == 0 ? -1 : 0;
}

static int send_bulk(struct engine *g, struct visit *v)
{
    while (v->left > 0) {
        size_t want = v->left < BLOCK ? (size_t)v->left : BLOCK;
        ssize_t n = send(v->fd, g->block, want, 0);

        if (n < 0 && errno != EAGAIN)
            return -1;
        if (n < 0) {
            watch(g, v, EPOLLIN | EPOLLOUT);
            return 0;
        }
        v->left -= (uint64_t)n;
    }
    watch(g, v, EPOLLIN);
    return finished(v);
}

static int begin_bulk(struct engine *g, struct visit *v)
{
    char head[SMALL];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: "
                       "application/octet-stream\r\ncontent-length: %llu\r\n%s\r\n",
                       (unsigned long long)v->ask.bytes, v->last ? "connection: close\r\n" : "");

    v->left = v->ask.bytes;
    return say(g, v, head, (size_t)len) < 0 ? -1 : send_bulk(g, v);
}

/* One event as one chunk in one write, with the end of the body behind the last one. */
static size_t frame(const struct visit *v, const struct token *t, char *out)
{
    size_t size = v->ask.size;
    int start = v->request.old ? 0 : snprintf(out, CODING, "%zx\r\n", size);
    char *at = out + start;

    token_write(t, at, size);
    at += size;
    if (!v->request.old) {
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    if (!v->request.old && v->left == 0 && !v->ask.hold) {
        memcpy(at, "0\r\n\r\n", 5);
        at += 5;
    }
    return (size_t)(at - out);
}

static int send_event(struct engine *g, struct visit *v)
{
    uint64_t now = tool_now_ns();
    struct token t = {.sent_ns = v->late ? v->next_ns : now,
                      .due_ns = v->next_ns,
                      .number = v->number++,
                      .together = v->next_ns <= v->sent_ns};
    char all[TOKEN_MAX + CODING];
    int done;

    v->left--;
    v->sent_ns = now;
    done = say(g, v, all, frame(v, &t, all));
    if (done < 0)
        return -1;
    /* the first comes at once, and then the phases of the streams are spread over the interval */
    v->next_ns +=
        t.number > 0 ? v->ask.interval_ns : (uint64_t)v->fd * HASH % v->ask.interval_ns + 1;
    v->late = done == 0 || (v->late && v->next_ns <= now);
    if (v->left == 0)
        return v->ask.hold ? 0 : finished(v);
    if (done > 0)
        await(g, v);
    return 0;
}

static int begin_tokens(struct engine *g, struct visit *v)
{
    char head[SMALL];
    int len;

    v->last |= v->request.old;
    len = snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/event-stream; "
                   "charset=utf-8\r\n%s%s\r\n",
                   v->request.old ? "" : "transfer-encoding: chunked\r\n",
                   v->last ? "connection: close\r\n" : "");
    v->left = v->ask.events;
    v->number = 0;
    v->late = false;
    v->sent_ns = 0;
    v->next_ns = tool_now_ns();
    return say(g, v, head, (size_t)len) < 0 ? -1 : send_event(g, v);
}

static int begin_watch(struct engine *g, struct visit *v)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

    g->watcher = v;
    return say(g, v, head, sizeof(head) - 1) < 0 ? -1 : 0;
}

static int answer(struct engine *g, struct visit *v)
{
    char text[64];

    v->last = v->request.old || v->request.closes;
    v->answering =
        v->ask.kind == ASK_TOKENS || v->ask.kind == ASK_SOURCE || v->ask.kind == ASK_WATCH;
    switch (v->ask.kind) {
    case ASK_TOKENS:
        return begin_tokens(g, v);
    case ASK_SOURCE:
        return begin_bulk(g, v);
    case ASK_WATCH:
        return begin_watch(g, v);
    case ASK_FIXED:
        return say_answer(g, v, 200, v->ask.text) < 0 ? -1 : finished(v);
    case ASK_PROXIED:
        snprintf(text, sizeof(text), "{\"proxied\":%s}", v->request.proxied ? "true" : "false");
        return say_answer(g, v, 200, text) < 0 ? -1 : finished(v);
    case ASK_SINK:
        snprintf(text, sizeof(text), "{\"bytes\":%llu}", (unsigned long long)v->taken);
        return say_answer(g, v, 200, text) < 0 ? -1 : finished(v);
    case ASK_NOTHING:
        break;
    }
    return say_answer(g, v, 404, "{}") < 0 ? -1 : finished(v);
}

/* ---- connections ----------------------------------------------------------------------------- */

static int read_some(struct engine *g, struct visit *v)
{
    ssize_t n = recv(v->fd, g->block, BLOCK, 0);
    size_t used = 0;
    struct piece piece;

    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if (n == 0 || v->answering)
        return -1; /* nobody sends the next request before the answer is over */
    while (used < (size_t)n && !v->answering) {
        if (v->request.state == MESSAGE_HEAD)
            v->taken = 0;
        used += message_take(&v->request, g->block + used, (size_t)n - used, &piece);
        v->taken += piece.len;
        if (v->request.state == MESSAGE_BROKEN)
            return -1;
        if (v->request.state != MESSAGE_DONE)
            continue;
        ask_read(&v->ask, &v->request);
        if (answer(g, v) < 0)
            return -1;
    }
    return used < (size_t)n ? -1 : 0;
}

static int catch_up(struct engine *g, struct visit *v)
{
    int done = flush(g, v);

    if (done <= 0)
        return done;
    if (v->answering && v->ask.kind == ASK_SOURCE)
        return send_bulk(g, v);
    watch(g, v, EPOLLIN);
    if (!v->answering)
        return v->last ? -1 : 0;
    if (v->ask.kind != ASK_TOKENS || v->left == 0)
        return 0;
    if (v->next_ns <= tool_now_ns())
        return send_event(g, v);
    v->late = false;
    await(g, v);
    return 0;
}

static void ready(struct engine *g, struct visit *v, uint32_t events)
{
    int result = 0;

    if (events & EPOLLOUT)
        result = catch_up(g, v);
    if (result == 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        result = read_some(g, v);
    if (result < 0)
        drop(g, v);
}

static void accept_all(struct engine *g, int listener)
{
    int fd;

    while ((fd = tool_accept(listener)) >= 0) {
        struct visit *v = mem_zalloc(sizeof(*v));

        v->fd = fd;
        list_init(&v->due);
        message_begin(&v->request, MESSAGE_REQUEST);
        watch(g, v, EPOLLIN);
    }
}

/* Sends what is due; returns how long to sleep, -1 for as long as it takes. */
static int64_t run_due(struct engine *g)
{
    uint64_t now = tool_now_ns();

    while (!list_empty(&g->due)) {
        struct visit *v = LIST_ENTRY(g->due.next, struct visit, due);

        if (v->next_ns > now)
            return (int64_t)(v->next_ns - now);
        list_remove(&v->due);
        if (send_event(g, v) < 0)
            drop(g, v);
        now = tool_now_ns();
    }
    return -1;
}

/* Which of the listeners, NULL when it is none of them. */
static int *listener_of(struct engine *g, void *owner)
{
    int *one = owner;

    return one >= g->listeners && one < g->listeners + MAX_PORTS ? one : NULL;
}

static void serve(struct engine *g)
{
    struct epoll_event events[WAKEUPS];

    for (;;) {
        int n = tool_poll_wait(g->set, events, WAKEUPS, run_due(g));

        for (int i = 0; i < n; i++) {
            int *listener = listener_of(g, events[i].data.ptr);

            if (events[i].data.ptr == NULL)
                return; /* stdin closed */
            if (listener != NULL)
                accept_all(g, *listener);
            else
                ready(g, events[i].data.ptr, events[i].events);
        }
    }
}

int main(int argc, char **argv)
{
    struct engine g = {0};

    if (argc < 2 || argc > MAX_PORTS + 1) {
        fputs("usage: engine PORT...\n", stderr);
        return 2;
    }
    tool_prepare();
    list_init(&g.due);
    g.block = mem_zalloc(BLOCK);
    g.set = tool_poll_new();
    for (int i = 1; i < argc; i++) {
        g.listeners[i - 1] = tool_listen((uint16_t)tool_number(argv[i], UINT16_MAX));
        tool_poll_set(g.set, g.listeners[i - 1], EPOLLIN, &g.listeners[i - 1]);
    }
    tool_poll_set(g.set, STDIN_FILENO, EPOLLIN, NULL);
    puts("ready");
    fflush(stdout);
    serve(&g);
    return 0;
}
