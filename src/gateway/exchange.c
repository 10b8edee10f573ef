#include "gateway/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "gateway/redact.h"
#include "gateway/status.h"

static const struct http_error stopping = {
    .status = 503,
    .type = "service_unavailable",
    .code = "stopping",
    .message = "This node is stopping and takes no new requests.",
    .retry_after_s = RETRY_AFTER_S,
};
static const struct http_error lost = {
    .status = 502,
    .type = "server_error",
    .code = "upstream_closed",
    .message = "MLNode closed the connection before it answered.",
};
static const struct http_error too_much = {
    .status = 400,
    .type = "invalid_request_error",
    .code = "bad_request",
    .message = "The Connection fields of the request name too many others.",
};
static const struct http_error not_served = {
    .status = 404,
    .type = "not_found_error",
    .code = "not_served",
    .message = "This path is not served here (GATEWAY_POLICY).",
};

/* ---- beginnings ------------------------------------------------------------------------------ */

static void free_exchange(struct net_task *t)
{
    struct exchange *x = LIST_ENTRY(t, struct exchange, task);

    bytes_clear(&x->early, x->gw->host->pool);
    bytes_clear(&x->head, x->gw->host->pool);
    x->gw->objects--;
    if (x->orphan)
        mem_free((char *)(uintptr_t)x->peer);
    mem_free(x);
}

/* "METHOD /path" for the log; returns its length. */
static size_t line_of(struct http_slice method, struct http_slice raw_path,
                      char line[LINE_MAX_BYTES])
{
    char path[LINE_MAX_BYTES - HTTP_METHOD_MAX - 1];

    log_safe(path, sizeof(path), raw_path.at, raw_path.len);
    return (size_t)snprintf(line, LINE_MAX_BYTES, "%.*s %s", (int)method.len, method.at,
                            path[0] ? path : "/");
}

static struct exchange *exchange_new(struct downstream *c, const struct http_head *head,
                                     const struct http_target *target)
{
    struct gateway *g = c->gw;
    char line[LINE_MAX_BYTES];
    size_t size = line_of(head->method, target->raw_path, line) + 1;
    struct exchange *x;

    x = mem_zalloc(sizeof(*x) + size);
    memcpy(x->line, line, size);
    x->gw = g;
    x->client = c;
    x->peer = c->peer;
    x->peer_port = c->peer_port;
    x->began_us = gateway_now(g);
    x->head_request = http_slice_is(head->method, "HEAD");
    x->old_client = head->minor == 0;
    list_init(&x->wait.node);
    net_task_init(&x->task, free_exchange);
    list_push(&g->exchanges, &x->node);
    c->exchange = x;
    g->objects++;
    g->counters.requests++;
    g->counters.exchanges_now++;
    return x;
}

static bool is_safe(struct http_slice method)
{
    return http_slice_is(method, "GET") || http_slice_is(method, "HEAD") ||
           http_slice_is(method, "OPTIONS");
}

/* The caller frees it. */
static char *status_page(const struct gateway *g)
{
    json_t *document = g->document != NULL ? g->document(g->document_ctx) : gateway_status(g);
    char *text;

    redact(document);
    text = status_text(document);
    json_decref(document);
    return text;
}

static void count_body(struct exchange *x, size_t len)
{
    x->bytes_out += len;
    x->gw->counters.bytes_out += len;
}

static void answer_status(struct exchange *x)
{
    char *body = status_page(x->gw);
    size_t len = strlen(body);
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                     "%zu\r\nConnection: %s\r\n\r\n",
                     len, x->keep_alive && x->request_done ? "keep-alive" : "close");

    x->status = 200;
    x->keep_alive = x->keep_alive && x->request_done;
    downstream_write(x->client, head, (size_t)n);
    if (!x->head_request) {
        downstream_write(x->client, body, len);
        count_body(x, len);
    }
    mem_free(body);
    exchange_end(x, REASON_DONE, false);
}

static bool render(struct exchange *x, const struct http_head *head,
                   const struct http_target *target)
{
    const struct http_request_edit edit = {
        .target = target->raw,
        .peer = x->client->peer,
        .body = x->request.kind,
        .length = x->request.length,
        .drop_expect = x->old_client,
    };
    int len = http_request_render(head, &edit, x->gw->scratch);

    x->head_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}

static void start(struct exchange *x, struct http_head *head, const struct http_target *target)
{
    struct gateway *g = x->gw;

    x->route = route_of(x->client->role, head->method, target);
    x->request_left = x->request.length;
    x->request_done = x->request.kind == HTTP_BODY_NONE ||
                      (x->request.kind == HTTP_BODY_LENGTH && x->request.length == 0);
    x->keep_alive = x->request.keep_alive && !g->draining;
    x->replayable = x->request_done && is_safe(head->method);
    x->expects = !x->old_client && http_header_has_token(head, "expect", "100-continue");
    if (!x->request_done)
        x->route.damped = false; /* a body goes to one upstream */
    http_chunk_init(&x->request_chunk);
    if (!policy_allows(g->cfg.policy, head->method, target)) {
        g->counters.refused++;
        refusals_note(g, x->line, x->peer, "not served here (GATEWAY_POLICY)");
        exchange_fail(x, &not_served, REASON_REFUSED_POLICY);
    } else if (x->route.to == ROUTE_TO_STATUS) {
        answer_status(x);
    } else if (g->draining) {
        exchange_fail(x, &stopping, REASON_LOCAL_STOP);
    } else if (render(x, head, target)) {
        if (x->route.asks_model)
            asked_begin(&g->asked, x);
        attempt_start(x);
    } else {
        x->keep_alive = false;
        refusals_note(g, x->line, x->peer, too_much.message);
        exchange_fail(x, &too_much, REASON_BAD_REQUEST);
    }
}

void exchange_start(struct downstream *c, struct http_head *head)
{
    struct http_framing framing;
    struct http_target target;
    struct exchange *x;
    int rc = http_framing_decide(head, false, &framing);

    if (rc == ERR_OK) {
        rc = http_target_read(head->target, &target);
        head->why = target.why;
    }
    if (rc != ERR_OK) {
        exchange_reject(c, rc == ERR_LIMIT ? 414 : 400, head);
        return;
    }
    x = exchange_new(c, head, &target);
    x->request = framing;
    start(x, head, &target);
}

static const char *code_of_rejection(unsigned status)
{
    switch (status) {
    case 408:
        return "head_timeout";
    case 414:
        return "target_too_long";
    case 431:
        return "head_too_large";
    default:
        return "bad_request";
    }
}

/* Writes it; returns the length of its body. */
static size_t write_error(struct downstream *c, const struct http_error *e, bool keep_alive,
                          unsigned minor, bool to_head)
{
    char text[HTTP_ERROR_MAX];
    size_t len = http_error_render(e, keep_alive, minor, to_head, text);
    const char *body = strstr(text, "\r\n\r\n") + 4;

    downstream_write(c, text, len);
    return len - (size_t)(body - text);
}

static bool is_method(struct http_slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (!http_is_token_byte((unsigned char)method.at[i]))
            return false;
    return method.len > 0 && method.len <= HTTP_METHOD_MAX;
}

/* The same of a head that was refused: "-" for what is no method and for what is no path, whatever
 * bytes stand there. A query is nobody's business, nor is a URL, which may hold a password. */
static void line_of_rejection(const struct http_head *head, char line[LINE_MAX_BYTES])
{
    const struct http_slice dash = {"-", 1};
    struct http_slice path = head->target;
    bool has_path = path.len > 0 && path.at[0] == '/';
    const char *query = has_path ? memchr(path.at, '?', path.len) : NULL;

    if (query != NULL)
        path.len = (size_t)(query - path.at);
    line_of(is_method(head->method) ? head->method : dash, has_path ? path : dash, line);
}

void exchange_reject(struct downstream *c, unsigned status, const struct http_head *head)
{
    struct gateway *g = c->gw;
    char line[LINE_MAX_BYTES];
    size_t body;
    enum reason why_ended = status == 408 ? REASON_HEAD_TIMEOUT : REASON_BAD_REQUEST;
    const struct http_error e = {.status = status,
                                 .type = "invalid_request_error",
                                 .code = code_of_rejection(status),
                                 .message = head->why ? head->why : "malformed request"};

    line_of_rejection(head, line);
    refusals_note(g, line, c->peer, e.message);
    body = write_error(c, &e, false, 1, http_slice_is(head->method, "HEAD"));
    g->counters.requests++;
    g->counters.bytes_out += body;
    g->counters.answers[4]++;
    g->counters.ended.of[why_ended]++;
    g->counters.outcomes[CLASS_OTHER][outcome_of(status, why_ended)]++;
    access_refused(c, line, status, body, why_ended, e.message);
    downstream_close(c, why_ended);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Who asked to be told whether to send the body may leave it out after any other answer than 100:
 * what comes next is a body or a request, and nobody can tell. */
static bool may_discard(const struct exchange *x)
{
    return x->keep_alive && !x->expects && x->request.kind == HTTP_BODY_LENGTH &&
           x->request_left <= DISCARD_MAX;
}

static void answer_error(struct exchange *x, const struct http_error *e, enum reason why)
{
    struct downstream *c = x->client;

    x->keep_alive = x->keep_alive && (x->request_done || may_discard(x));
    x->status = e->status;
    x->phase = ANSWER_DONE;
    count_body(x, write_error(c, e, x->keep_alive, x->old_client ? 0 : 1, x->head_request));
    if (x->request_done || !x->keep_alive) {
        exchange_end(x, why, false);
        return;
    }
    x->why = why;
    x->discard = true;
    gateway_wait(x->gw, &x->gw->discards, &x->wait, (uint64_t)GATEWAY_HEAD_S * 1000000);
    downstream_release(c, 0);
    gateway_soon(x->gw, &c->task);
}

/* What went out cannot be taken back. Where the framing tells the client that bytes are missing, an
 * orderly end delivers all that were sent; where the end is the framing, only a reset tells. */
static void cut(struct exchange *x, enum reason why)
{
    struct downstream *c = x->client;
    bool end_is_framing =
        x->phase == ANSWER_BODY && x->old_client && x->answer.kind != HTTP_BODY_LENGTH;

    x->keep_alive = false;
    if (end_is_framing && c != NULL) {
        cork_flush(x->gw);
        x->client = NULL;
        c->exchange = NULL;
        exchange_end(x, why, false);
        downstream_reset(c, why);
        return;
    }
    exchange_end(x, why, false);
}

void exchange_fail(struct exchange *x, const struct http_error *e, enum reason why)
{
    attempt_drop(x);
    if (x->client != NULL && x->phase == ANSWER_HEAD && !x->route.silent)
        answer_error(x, e, why);
    else
        cut(x, why);
}

void exchange_lost(struct exchange *x)
{
    exchange_fail(x, &lost, REASON_UPSTREAM_CLOSED);
}

void exchange_abort(struct exchange *x, enum reason why)
{
    attempt_drop(x);
    cut(x, why);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static struct exchange *oldest_orphan(struct gateway *g)
{
    LIST_FOREACH (it, &g->exchanges) {
        struct exchange *x = LIST_ENTRY(it, struct exchange, node);

        if (x->orphan)
            return x;
    }
    return NULL;
}

static void go_on_alone(struct exchange *x)
{
    struct gateway *g = x->gw;

    x->orphan = true;
    x->peer = mem_strdup(x->peer);
    if (++g->n_orphans > GATEWAY_ORPHANS_MAX)
        exchange_abort(oldest_orphan(g), REASON_LIMIT);
    answer_release(x);
}

/* As far as can be told: the body waits for its upstream, and downstream.c comes back. */
static bool rest_is_here(const struct exchange *x)
{
    size_t waits = x->client->pending.len;

    return waits > 0 && (x->request.kind != HTTP_BODY_LENGTH || waits >= x->request_left);
}

void exchange_client_left(struct exchange *x, bool gone)
{
    bool to_the_end = x->route.run_to_end && x->request_done && !x->discard;

    if (!gone && x->route.to == ROUTE_TO_MANAGEMENT && (x->request_done || rest_is_here(x)))
        return; /* it may still be reading */
    if (gone)
        x->client = NULL;
    if (gone && to_the_end)
        go_on_alone(x);
    else
        exchange_abort(x, x->discard ? x->why : REASON_CLIENT_LEFT);
}

static void count(struct exchange *x)
{
    struct gateway *g = x->gw;

    g->counters.exchanges_now--;
    g->counters.answers[x->status / 100]++;
    g->counters.ended.of[x->why]++;
    g->counters.outcomes[x->route.class][outcome_of(x->status, x->why)]++;
    if (x->first_us > 0)
        histogram_add(&g->first_byte[x->route.class], x->first_us - x->began_us);
    g->counters.direct += x->sent && x->pool != NULL && x->pool->engine != NULL;
    g->n_orphans -= x->orphan;
}

void exchange_end(struct exchange *x, enum reason why, bool reuse)
{
    struct downstream *c = x->client;

    if (x->over)
        return;
    x->over = true;
    x->why = why;
    access_log(x);
    count(x);
    attempt_end(x, reuse);
    list_remove(&x->node);
    asked_leave(&x->gw->asked, x);
    if (x->route.changes)
        engines_look_again(x->gw->engines);
    x->client = NULL;
    gateway_soon(x->gw, &x->task);
    if (c != NULL)
        downstream_exchange_over(c, x->keep_alive, why);
}
