#include "gateway_host_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONS 1
#endif
#endif
#ifdef POISONS
#include <sanitizer/asan_interface.h>
#define POISON(at, size)   ASAN_POISON_MEMORY_REGION(at, size)
#define UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define POISON(at, size)   ((void)0)
#define UNPOISON(at, size) ((void)0)
#endif

/* What the code under test holds. Kept until fake_free, so that a late call is seen for what it
 * is. */
struct fake_near {
    struct stream stream;
    struct fake_conn *conn;
};

struct fake_port {
    struct fake_port *next;
    uint16_t port;
    enum fake_door door;
    unsigned connects;
    const struct fake_peer *peer;
    void *ctx;
};

static void broken(const struct fake_conn *c, const char *rule)
{
    fprintf(stderr, "fake host: stream %u (port %u): %s\n", c->id, c->port, rule);
    abort();
}

void fake_text_add(struct fake_text *t, const void *data, size_t len)
{
    if (t->len + len + 1 > t->size) {
        t->size = (t->len + len + 1) * 2;
        t->data = mem_realloc(t->data, t->size);
    }
    if (len > 0)
        memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

/* ---- the near end: calls of the code under test ---------------------------------------------- */

static void dead_write(struct stream *s, const uint8_t *data, size_t len)
{
    broken(((struct fake_near *)s)->conn, "written to after its end");
}

static void dead_consumed(struct stream *s, size_t len)
{
    broken(((struct fake_near *)s)->conn, "consumed after its end");
}

static void dead_call(struct stream *s)
{
    broken(((struct fake_near *)s)->conn, "finished, closed or reset after its end");
}

static size_t dead_held(const struct stream *s)
{
    broken(((const struct fake_near *)s)->conn, "asked after its end");
    return 0;
}

static const struct stream_ops dead_ops = {
    .write = dead_write,
    .consumed = dead_consumed,
    .finish = dead_call,
    .close = dead_call,
    .reset = dead_call,
    .held = dead_held,
};

/* From here on it belongs to nobody. */
static void release(struct fake_conn *c)
{
    c->released = true;
    c->host->open--;
    c->near->stream.ops = &dead_ops;
    c->near->stream.on = NULL;
    POISON(&c->near->stream, sizeof(c->near->stream));
}

static void tell(struct fake_conn *c, enum stream_event event, const uint8_t *data, size_t len)
{
    struct stream *s = &c->near->stream;

    if (!c->released && s->on != NULL)
        s->on(s, event, data, len);
}

/* Moves what may leave to the far end; the bytes to be told of with STREAM_SENT. */
static size_t drain(struct fake_conn *c, size_t most)
{
    size_t left = most < c->room ? most : c->room;
    size_t done = 0;
    size_t n;

    if (!c->open || c->fail != REASON_NONE)
        return 0;
    while (done < left && c->out.len > 0) {
        const uint8_t *run = bytes_peek(&c->out, &n);

        n = n < left - done ? n : left - done;
        if (!c->forget)
            fake_text_add(&c->got, run, n);
        bytes_consume(&c->out, &c->host->pool, n);
        done += n;
    }
    c->got_total += done;
    if (c->room != SIZE_MAX)
        c->room -= done;
    return done;
}

static void near_write(struct stream *s, const uint8_t *data, size_t len)
{
    struct fake_conn *c = ((struct fake_near *)s)->conn;
    size_t done;

    if (c->finish)
        broken(c, "written to after stream_finish");
    if (c->fail != REASON_NONE)
        return; /* as a socket whose end the owner has not been told of yet */
    bytes_append(&c->out, &c->host->pool, data, len);
    done = c->host->sent_late ? 0 : drain(c, SIZE_MAX);
    if (done > 0)
        tell(c, STREAM_SENT, NULL, done);
}

static void near_consumed(struct stream *s, size_t len)
{
    struct fake_conn *c = ((struct fake_near *)s)->conn;

    if (len > c->delivered - c->consumed)
        broken(c, "consumed more than was delivered");
    c->consumed += len;
}

static void near_finish(struct stream *s)
{
    ((struct fake_near *)s)->conn->finish = true;
}

static void near_close(struct stream *s)
{
    struct fake_conn *c = ((struct fake_near *)s)->conn;

    c->finish = true;
    if (!c->open)
        bytes_clear(&c->out, &c->host->pool);
    release(c);
}

static void near_reset(struct stream *s)
{
    struct fake_conn *c = ((struct fake_near *)s)->conn;

    if (!c->host->reset_late)
        bytes_clear(&c->out, &c->host->pool);
    c->reset = true;
    release(c);
}

static size_t near_held(const struct stream *s)
{
    return ((const struct fake_near *)s)->conn->out.held;
}

static const struct stream_ops near_ops = {
    .write = near_write,
    .consumed = near_consumed,
    .finish = near_finish,
    .close = near_close,
    .reset = near_reset,
    .held = near_held,
};

/* ---- beginnings ------------------------------------------------------------------------------ */

static struct fake_conn *conn_of_host(struct fake_host *h, const struct fake_peer *peer, void *ctx)
{
    struct fake_conn *c = mem_zalloc(sizeof(*c));

    c->host = h;
    c->peer = peer;
    c->ctx = ctx;
    c->id = h->conns == NULL ? 1 : h->conns->id + 1;
    c->room = SIZE_MAX;
    c->near = mem_zalloc(sizeof(*c->near));
    c->near->conn = c;
    c->near->stream.ops = &near_ops;
    c->next = h->conns;
    h->conns = c;
    fake_text_add(&c->got, "", 0);
    if (++h->open > h->most_open)
        h->most_open = h->open;
    return c;
}

static struct fake_port *port_of(const struct fake_host *h, uint16_t port)
{
    struct fake_port *p = h->ports;

    while (p != NULL && p->port != port)
        p = p->next;
    return p;
}

static struct fake_port *port_make(struct fake_host *h, uint16_t port)
{
    struct fake_port *p = port_of(h, port);

    if (p != NULL)
        return p;
    p = mem_zalloc(sizeof(*p));
    p->port = port;
    p->next = h->ports;
    h->ports = p;
    return p;
}

static struct stream *
host_connect(void *ctx, const struct endpoint *to,
             void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t), void *owner)
{
    struct fake_host *h = ctx;
    struct fake_port *p = port_make(h, to->port);
    struct fake_conn *c = conn_of_host(h, p->peer, p->ctx);

    h->connects++;
    p->connects++;
    c->port = to->port;
    c->dialled = true;
    c->connecting = p->door != FAKE_SILENT;
    if (p->door == FAKE_REFUSES)
        c->fail = REASON_CONNECT_REFUSED;
    if (p->door == FAKE_FAILS)
        c->fail = REASON_CONNECT_FAILED;
    c->near->stream.on = on;
    c->near->stream.owner = owner;
    return &c->near->stream;
}

static bool host_stale(void *ctx, struct stream *s)
{
    struct fake_host *h = ctx;
    struct fake_conn *c = ((struct fake_near *)s)->conn;

    if (c->released)
        broken(c, "asked whether it is stale after its end");
    return h->say_stale || fake_pending(c) > 0 || (c->eof && !c->told_eof) ||
           c->fail != REASON_NONE;
}

static uint64_t host_now(void *ctx)
{
    return ((struct fake_host *)ctx)->now_us;
}

static void host_soon(void *ctx, struct net_task *t)
{
    struct fake_host *h = ctx;

    if (list_empty(&t->node))
        list_push(&h->tasks, &t->node);
}

static void host_wake(void *ctx, uint64_t due_us)
{
    struct fake_host *h = ctx;

    if (due_us < h->tick_due)
        h->tick_due = due_us;
}

struct fake_host *fake_new(void)
{
    struct fake_host *h = mem_zalloc(sizeof(*h));

    h->window = FAKE_WINDOW;
    h->now_us = 1000 * 1000;
    h->tick_due = UINT64_MAX;
    list_init(&h->tasks);
    pool_init(&h->pool, 0);
    h->log_fd = memfd_create("log", MFD_CLOEXEC);
    h->gateway = (struct gateway_host){
        .ctx = h,
        .log = log_new(h->log_fd, "gateway", LOG_DEBUG, LOG_TEXT),
        .pool = &h->pool,
        .now = host_now,
        .connect = host_connect,
        .stale = host_stale,
        .wake = host_wake,
        .soon = host_soon,
    };
    return h;
}

static void conn_drop_memory(struct fake_conn *c)
{
    if (!c->released)
        broken(c, "still held at the end");
    UNPOISON(&c->near->stream, sizeof(c->near->stream));
    bytes_clear(&c->out, &c->host->pool);
    mem_free(c->near);
    mem_free(c->got.data);
    mem_free(c->in.data);
    mem_free(c);
}

static void pool_check(struct fake_host *h)
{
    if (h->pool.held > 0) {
        fprintf(stderr, "fake host: %zu bytes of the pool still held at the end\n", h->pool.held);
        abort();
    }
    pool_clear(&h->pool);
}

void fake_free(struct fake_host *h)
{
    struct fake_conn *next;

    for (struct fake_conn *c = h->conns; c != NULL; c = next) {
        next = c->next;
        conn_drop_memory(c);
    }
    for (struct fake_port *p = h->ports, *after; p != NULL; p = after) {
        after = p->next;
        mem_free(p);
    }
    for (struct fake_later *l = h->later, *after; l != NULL; l = after) {
        after = l->next;
        mem_free(l);
    }
    pool_check(h);
    log_free(h->gateway.log);
    close(h->log_fd);
    mem_free(h);
}

const struct gateway_host *fake_gateway(struct fake_host *h)
{
    return &h->gateway;
}

/* ---- events, one a turn for each direction --------------------------------------------------- */

static bool hear_open(struct fake_conn *c)
{
    if (!c->connecting || c->released || c->fail != REASON_NONE)
        return false;
    c->connecting = false;
    c->open = true;
    tell(c, STREAM_OPEN, NULL, 0);
    if (c->peer != NULL && c->peer->opened != NULL)
        c->peer->opened(c);
    return true;
}

static size_t next_piece(const struct fake_host *h, size_t have)
{
    size_t n = have;

    if (h->cut != NULL)
        n = h->cut(h->cut_ctx, have);
    else if (h->piece > 0)
        n = h->piece;
    if (n == 0)
        n = 1;
    return n < have ? n : have;
}

static void deliver(struct fake_conn *c)
{
    size_t n = next_piece(c->host, fake_pending(c));
    uint8_t *copy = mem_alloc(n);

    memcpy(copy, c->in.data + c->in_at, n);
    c->in_at += n;
    if (c->in_at == c->in.len)
        c->in_at = c->in.len = 0;
    c->delivered += n;
    c->asked_more = false;
    tell(c, STREAM_DATA, copy, n);
    mem_free(copy);
}

static bool listens(const struct fake_conn *c)
{
    return !c->released && c->near->stream.on != NULL && c->open;
}

static bool hear_data(struct fake_conn *c)
{
    if (!listens(c) || c->delivered - c->consumed >= c->host->window)
        return false;
    if (fake_pending(c) > 0) {
        deliver(c);
        return true;
    }
    if (c->eof || c->fail != REASON_NONE || c->asked_more || c->peer == NULL ||
        c->peer->more == NULL)
        return false;
    c->asked_more = true;
    c->peer->more(c);
    return true;
}

static bool hear_end(struct fake_conn *c)
{
    if (c->released || fake_pending(c) > 0 || c->near->stream.on == NULL)
        return false;
    if (c->eof && !c->told_eof && c->open) {
        c->told_eof = true;
        tell(c, STREAM_EOF, NULL, 0);
        return true;
    }
    if (c->fail == REASON_NONE)
        return false;
    bytes_clear(&c->out, &c->host->pool);
    c->near->stream.why = c->fail;
    tell(c, STREAM_CLOSED, NULL, 0);
    if (!c->released)
        release(c);
    return true;
}

/* Bytes that could not leave inside stream_write. */
static bool leave_late(struct fake_conn *c)
{
    size_t most = c->host->sent_late && c->host->drain > 0 ? c->host->drain : SIZE_MAX;
    size_t done = drain(c, most);

    if (done > 0)
        tell(c, STREAM_SENT, NULL, done);
    return done > 0;
}

static bool arrive(struct fake_conn *c)
{
    const struct fake_peer *peer = c->peer;

    if (c->reset && !c->told_gone) {
        c->told_gone = true;
        if (peer != NULL && peer->gone != NULL)
            peer->gone(c);
        return true;
    }
    if (c->told_got < c->got_total && !c->reset) {
        c->told_got = c->got_total;
        if (peer != NULL && peer->data != NULL)
            peer->data(c);
        return true;
    }
    if (!c->finish || c->told_ended || c->reset || c->out.len > 0 || !c->open)
        return false;
    c->ended = true;
    c->told_ended = true;
    if (peer != NULL && peer->ended != NULL)
        peer->ended(c);
    return true;
}

static bool step(struct fake_conn *c)
{
    bool any = hear_open(c);

    any |= leave_late(c);
    any |= arrive(c);
    any |= hear_data(c);
    any |= hear_end(c);
    return any;
}

static bool run_tasks(struct fake_host *h)
{
    struct list batch;
    struct list *node;
    bool any = !list_empty(&h->tasks);

    list_init(&batch);
    while ((node = list_pop(&h->tasks)) != NULL)
        list_push(&batch, node);
    while ((node = list_pop(&batch)) != NULL) {
        struct net_task *t = LIST_ENTRY(node, struct net_task, node);

        t->run(t);
    }
    return any;
}

bool fake_turn(struct fake_host *h)
{
    bool any = false;

    for (struct fake_conn *c = h->conns; c != NULL; c = c->next) {
        if (c->reset)
            bytes_clear(&c->out, &h->pool);
        any |= step(c);
    }
    while (fake_run_due(h))
        any = true;
    return run_tasks(h) || any;
}

void fake_run(struct fake_host *h)
{
    if (h->running) {
        fprintf(stderr, "fake host: fake_run inside an event\n");
        abort();
    }
    h->running = true;
    for (unsigned turns = 0; fake_turn(h); turns++) {
        if (turns > FAKE_TURNS_MAX) {
            fprintf(stderr, "fake host: no end of events\n");
            abort();
        }
    }
    h->running = false;
}

/* ---- far ends -------------------------------------------------------------------------------- */

void fake_listen(struct fake_host *h, uint16_t port, enum fake_door door,
                 const struct fake_peer *peer, void *ctx)
{
    struct fake_port *p = port_make(h, port);

    p->door = door;
    p->peer = peer;
    p->ctx = ctx;
}

unsigned fake_connects_to(const struct fake_host *h, uint16_t port)
{
    const struct fake_port *p = port_of(h, port);

    return p != NULL ? p->connects : 0;
}

struct fake_conn *fake_latest(const struct fake_host *h, uint16_t port)
{
    struct fake_conn *c = h->conns;

    while (c != NULL && c->port != port)
        c = c->next;
    return c;
}

struct fake_conn *fake_client(struct fake_host *h, const struct fake_peer *peer, void *ctx)
{
    struct fake_conn *c = conn_of_host(h, peer, ctx);

    c->open = true;
    return c;
}

struct stream *fake_stream(struct fake_conn *c)
{
    return &c->near->stream;
}

void fake_crash(struct fake_host *h, uint16_t port)
{
    port_make(h, port)->door = FAKE_REFUSES;
    for (struct fake_conn *c = h->conns; c != NULL; c = c->next)
        if (c->dialled && c->port == port && !c->released)
            fake_fail_now(c, REASON_PEER_RESET);
}
