#include "exchange_world.h"

#include <string.h>

#include "base/mem.h"

/* ---- answers --------------------------------------------------------------------------------- */

static void put(struct far *f, const char *text)
{
    fake_text_add(&f->plan, text, strlen(text));
}

static void put_bytes(struct far *f, size_t from, size_t len)
{
    char data[BODY_MAX];

    MUST(len <= sizeof(data));
    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(f->user, f->ask, true, from + i);
    fake_text_add(&f->plan, data, len);
}

static void put_head(struct far *f, const char *line, size_t len, bool told)
{
    char text[128];

    put(f, line);
    snprintf(text, sizeof(text), "X-User: %u\r\nDate: a\r\nDate: b\r\n", f->user);
    put(f, text);
    if (f->ask != 0) {
        snprintf(text, sizeof(text), "X-Ask: %u\r\n", f->ask);
        put(f, text);
    }
    if (!told)
        return;
    snprintf(text, sizeof(text), "X-Len: %zu\r\n", len);
    put(f, text);
}

static void put_length(struct far *f, const char *line, size_t len)
{
    char text[64];

    put_head(f, line, len, true);
    snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n", len);
    put(f, text);
    if (!f->to_head)
        put_bytes(f, 0, len);
}

static void put_chunks(struct far *f, size_t len, size_t piece, bool ends)
{
    char text[64];

    put_head(f, "HTTP/1.1 200 OK\r\n", len, true);
    put(f, "Transfer-Encoding: chunked\r\n\r\n");
    if (f->to_head)
        return;
    for (size_t at = 0; at < len; at += piece) {
        size_t n = piece < len - at ? piece : len - at;

        snprintf(text, sizeof(text), "%zx\r\n", n);
        put(f, text);
        put_bytes(f, at, n);
        put(f, "\r\n");
    }
    if (ends)
        put(f, piece % 2 ? "0\r\n\r\n" : "0;last\r\nX-Sum: 1\r\n\r\n");
}

static const char *const odd_answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 101 Switching\r\n\r\n",
    "HTTP/1.1 099 What\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxxxx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nConnection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,a,b,c,d,e,"
    "f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w\r\n"
    "Content-Length: 12\r\n\r\nHTTP/1.1 200",
    /* these two may be whole answers all the same */
    "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", "", /* bytes of the input follow */
};

/* Bytes that say not whose they are; nothing can be said about what the user gets. */
static void put_odd(struct world *w, struct far *f, unsigned variant)
{
    size_t n = sizeof(odd_answers) / sizeof(odd_answers[0]);

    f->whole = variant % n >= n - 2;
    put(f, odd_answers[variant % n]);
    for (unsigned left = variant % n == n - 1 ? next_byte(w) : 0; left > 0 && w->size > 0; left--) {
        uint8_t c = (uint8_t)next_byte(w);

        fake_text_add(&f->plan, &c, 1);
    }
    if (f->ask != 0)
        w->users[f->user - 1].asks[f->ask - 1].odd = true;
}

static void cut_plan(struct far *f, unsigned variant, enum then then)
{
    f->plan.len -= f->plan.len * (variant % 16 + 1) / 17;
    f->then = then;
    f->whole = false;
}

/* The answer that f->behaviour says; its parts and its end leave with node_goes_on. */
static void plan(struct world *w, struct far *f)
{
    unsigned variant = next_byte(w);
    size_t len = (variant & 3) == 3 ? variant * 20U : variant;

    f->planned = true;
    f->whole = true;
    f->then = THEN_NOTHING;
    switch (f->behaviour % 16) {
    case 0:
        put_length(f, "HTTP/1.1 200 OK\r\n", len);
        break;
    case 1:
        put_chunks(f, len, 1 + variant / 3, true);
        break;
    case 2:
        put_head(f, "HTTP/1.1 200 OK\r\n", len, true);
        put(f, "\r\n");
        put_bytes(f, 0, f->to_head ? 0 : len);
        f->then = THEN_END;
        f->whole = false;
        break;
    case 3:
        put_length(f, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", len);
        break;
    case 4:
        put_head(f, variant & 1 ? "HTTP/1.1 204 No\r\n" : "HTTP/1.1 304 Same\r\n", 0, true);
        put(f, "\r\n");
        break;
    case 5:
        put(f, "HTTP/1.1 100 Continue\r\n\r\n");
        put_length(f, "HTTP/1.1 200 OK\r\n", len);
        break;
    case 6:
        for (unsigned i = 0; i < variant % 18; i++)
            put(f, "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n");
        put_chunks(f, len, 7, true);
        f->whole = variant % 18 <= 16;
        break;
    case 7:
        put_length(f, "HTTP/1.1 200 OK\r\nConnection: close\r\n", len);
        f->whole = false;
        f->then = variant & 1 ? THEN_END : THEN_NOTHING;
        break;
    case 8:
        put_length(f, "HTTP/1.1 200 OK\r\n", len);
        cut_plan(f, variant, THEN_END);
        break;
    case 9:
        put_chunks(f, len, 9, false);
        cut_plan(f, variant, THEN_RESET);
        break;
    case 10:
        cut_plan(f, 16, THEN_END);
        break;
    case 11:
        cut_plan(f, 16, THEN_RESET);
        break;
    case 12:
        f->whole = false;
        break;
    case 13:
        put_odd(w, f, variant);
        break;
    case 14:
        put_length(f, "HTTP/1.1 200 OK\r\n", len);
        put(f, "HTTP/1.1 200 OK\r\nX-User: 99\r\nContent-Length: 0\r\n\r\n");
        f->whole = false;
        break;
    case 15:
        put_length(f, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n", len);
        break;
    }
}

void node_goes_on(struct world *w, struct fake_conn *c, size_t len)
{
    struct far *f = &w->far[c->id];
    size_t left = f->plan.len - f->plan_at;

    if (!f->planned)
        return;
    if (len > left)
        len = left;
    if (len > 0)
        fake_send(c, f->plan.data + f->plan_at, len);
    f->plan_at += len;
    if (f->plan_at < f->plan.len)
        return;
    if (f->then == THEN_END)
        fake_end(c);
    if (f->then == THEN_RESET)
        fake_fail(c, REASON_PEER_RESET);
    f->then = THEN_NOTHING;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void check_head(struct world *w, struct fake_conn *c, const struct message *m)
{
    struct far *f = &w->far[c->id];
    char peer[32];
    char all[32];
    struct ask *a;
    const char *query;

    MUST(m->head.minor == 1);
    MUST(message_field(m, "Host", all, sizeof(all)));
    MUST(message_field(m, "X-Real-IP", peer, sizeof(peer)));
    MUST(strncmp(peer, "10.0.0.", 7) == 0);
    f->user = (unsigned)strtoul(peer + 7, NULL, 10);
    MUST(f->user >= 1 && f->user <= w->n_users);
    f->to_head = http_slice_is(m->head.method, "HEAD");
    query = memchr(m->head.target.at, '?', m->head.target.len);
    f->ask = query && !w->users[f->user - 1].raw ? (unsigned)strtoul(query + 3, NULL, 10) : 0;
    MUST(f->ask != 0 || w->users[f->user - 1].raw);
    if (!(m->head.target.len >= 7 && memcmp(m->head.target.at, "/health", 7) == 0))
        w->forwarded++;
    if (f->ask == 0)
        return;
    MUST(f->ask <= w->users[f->user - 1].n_asks);
    a = &w->users[f->user - 1].asks[f->ask - 1];
    a->seen++;
    MUST(!a->refused);
    MUST(a->damped || a->seen <= (a->again ? 2 : 1));
}

static void check_body(struct world *w, const struct far *f, const struct message *m)
{
    const struct user *u = &w->users[f->user - 1];

    if (f->ask == 0 || u->raw) /* a user may become raw inside his own body */
        return;
    for (size_t i = 0; i < m->body_len; i++)
        MUST(m->body[i] == byte_of(f->user, f->ask, false, i));
    if (m->complete)
        MUST(m->body_len == u->asks[f->ask - 1].body);
}

static void answer_probe(struct world *w, struct fake_conn *c, const struct message *m)
{
    bool state = http_slice_is(m->head.target, "/api/v1/state");
    bool models = http_slice_is(m->head.target, "/v1/models");
    char *text = mem_printf("{\"state\":\"%s\"}", w->state);

    fake_answer(c, state && c->port != MANAGEMENT ? 404 : 200, "",
                state    ? text
                : models ? "{\"data\":[{\"id\":\"m\"}]}"
                         : "");
    mem_free(text);
}

static void begin_request(struct world *w, struct fake_conn *c, const struct message *m)
{
    struct far *f = &w->far[c->id];

    /* one at a time, and only on a connection whose last answer was complete and left it open */
    MUST(f->requests == 0 || (f->planned && f->whole && f->plan_at == f->plan.len));
    MUST(!f->probe);
    f->reading = true;
    f->planned = false;
    f->plan.len = f->plan_at = 0;
    f->requests++;
    if (http_header_find(&m->head, "X-Real-IP", 0) == NULL) {
        f->probe = true;
        answer_probe(w, c, m);
        return;
    }
    check_head(w, c, m);
    f->behaviour = w->calm ? 0 : next_byte(w);
    f->late = (f->behaviour & 0x30) != 0x30;
    f->slow = (f->behaviour & 0xc0) == 0xc0;
    if (!f->late)
        plan(w, f);
}

static void got_request(struct fake_conn *c)
{
    struct world *w = c->ctx;
    struct far *f = &w->far[c->id];
    struct message m;
    const char *wrong;

    MUST(c->id <= CONNS_MAX);
    wrong = message_read(c->got.data + c->taken, c->got.len - c->taken, MESSAGE_REQUEST, false, &m);
    if (wrong != NULL)
        fprintf(stderr, "port %u got: %s\n", c->port, wrong);
    MUST(wrong == NULL);
    if (m.has_head && !f->reading)
        begin_request(w, c, &m);
    if (m.has_head && !f->probe)
        check_body(w, f, &m);
    if (m.complete) {
        f->reading = false;
        c->taken += m.length;
        MUST(c->taken == c->got.len);
        if (!f->planned && !f->probe)
            plan(w, f);
    }
    message_clear(&m);
    if (f->planned && (!f->slow || w->calm))
        node_goes_on(w, c, SIZE_MAX);
}

/* An end of the gateway's direction is an end of the whole: MLNode is never half-closed, and what
 * asks for itself closes when it has its answer. */
static void got_end(struct fake_conn *c)
{
    struct world *w = c->ctx;

    MUST(c->released);
    fake_end(c);
    MUST(w->far[c->id].probe || c->got_total == 0);
}

void node_init(struct world *w)
{
    w->node = (struct fake_peer){.data = got_request, .ended = got_end};
    w->state = "INFERENCE";
    fake_listen(w->h, MANAGEMENT, FAKE_ACCEPTS, &w->node, w);
    fake_listen(w->h, INFERENCE, FAKE_ACCEPTS, &w->node, w);
    for (uint16_t i = 0; i < ENGINES; i++)
        fake_listen(w->h, (uint16_t)(ENGINE + i), FAKE_ACCEPTS, &w->node, w);
}

struct fake_conn *node_conn(struct world *w, unsigned n)
{
    struct fake_conn *c = w->h->conns;

    for (; c != NULL; c = c->next)
        if (c->port != 0 && c->id <= CONNS_MAX && !c->released && !w->far[c->id].probe && n-- == 0)
            return c;
    return NULL;
}
