#include "gateway/internal.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const struct http_error no_http = {
    .status = 502,
    .type = "server_error",
    .code = "upstream_protocol",
    .message = "MLNode's answer is not HTTP/1.1.",
};

void answer_release(struct exchange *x)
{
    struct upstream *u = x->up;
    size_t still = x->client ? x->client->queued : 0;
    size_t n;

    if (u == NULL || u->stream == NULL || u->owed <= still)
        return;
    n = u->owed - still;
    u->owed -= n;
    stream_consumed(u->stream, n);
}

static void to_client(struct exchange *x, const char *data, size_t len)
{
    if (x->client == NULL || len == 0)
        return;
    x->bytes_out += len;
    x->gw->counters.bytes_out += len;
    downstream_write(x->client, data, len);
}

/* ---- head ------------------------------------------------------------------------------------ */

static void broken(struct exchange *x, const char *why)
{
    char more[LOG_HELD_MAX];

    x->fault = why;
    if (gateway_gate(x->gw, &x->gw->answer_gate, more))
        log_warn(x->gw->host->log, "%s: the answer of %s:%u was refused: %s%s", x->line,
                 x->up ? x->up->pool->at.host : "?", x->up ? x->up->pool->at.port : 0, why, more);
    exchange_fail(x, &no_http, REASON_UPSTREAM_PROTOCOL);
}

static bool write_head(struct exchange *x, const struct http_head *head, enum http_body body)
{
    struct gateway *g = x->gw;
    const struct http_response_edit edit = {
        .body = body,
        .length = x->answer.length,
        .minor = x->old_client ? 0 : 1,
        .keep_alive = x->keep_alive,
    };
    int len = http_response_render(head, &edit, g->scratch);

    if (len > 0 && x->client != NULL)
        downstream_write(x->client, g->scratch, (size_t)len);
    return len > 0;
}

/* 1xx: goes to clients that know of it; the answer itself is still to come. */
static void take_interim(struct exchange *x, const struct http_head *head)
{
    struct gateway *g = x->gw;
    const struct http_response_edit edit = {.minor = 1, .keep_alive = true};
    int len;

    if (head->status == 101 || ++x->interim > INTERIM_MAX) {
        broken(x, "an interim answer that nobody asked for");
        return;
    }
    if (x->old_client || x->client == NULL)
        return;
    len = http_response_render(head, &edit, g->scratch);
    if (len > 0)
        downstream_write(x->client, g->scratch, (size_t)len);
}

/* How the body goes on to the client: an end that only the connection's end tells becomes the
 * chunked coding where the client knows it, and the coding becomes such an end where not. */
static enum http_body outer_framing(struct exchange *x)
{
    bool framed = x->answer.kind == HTTP_BODY_NONE || x->answer.kind == HTTP_BODY_LENGTH;

    if (framed)
        return x->answer.kind;
    if (x->old_client)
        x->keep_alive = false;
    return x->old_client ? HTTP_BODY_CLOSE : HTTP_BODY_CHUNKED;
}

static void take_final(struct exchange *x, const struct http_head *head)
{
    struct downstream *c = x->client;

    /* An answer before the end of its request: the rest may never be taken. */
    if (!x->request_done || (c != NULL && c->eof && c->pending.len == 0))
        x->keep_alive = false;
    if (!write_head(x, head, outer_framing(x))) {
        broken(x, "its Connection fields name too many others");
        return;
    }
    x->phase = ANSWER_BODY;
    x->first_us = gateway_now(x->gw);
    x->status = head->status;
    x->answer_left = x->answer.length;
    http_chunk_init(&x->answer_chunk);
    if (x->answer.kind == HTTP_BODY_NONE ||
        (x->answer.kind == HTTP_BODY_LENGTH && x->answer_left == 0))
        x->phase = ANSWER_DONE;
}

/* Bytes of a whole head, or 0: not complete yet, or the exchange failed. */
static size_t take_head(struct exchange *x, const char *data, size_t len)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    int rc = http_response_parse(data, len, &x->scan, &head);

    if (rc == ERR_MORE)
        return 0;
    x->scan = 0;
    if (rc == ERR_OK)
        rc = http_framing_decide(&head, x->head_request, &x->answer);
    if (rc != ERR_OK) {
        broken(x, head.why);
        return 0;
    }
    if (head.status < 200) {
        take_interim(x, &head);
    } else if (x->route.damped && head.status >= 500) {
        attempt_failed(x, REASON_UPSTREAM_DOWN);
        return 0;
    } else {
        take_final(x, &head);
    }
    return x->over ? 0 : head.length;
}

/* ---- body ------------------------------------------------------------------------------------ */

static size_t take_length(struct exchange *x, const char *data, size_t len)
{
    size_t n = x->answer_left < len ? (size_t)x->answer_left : len;

    to_client(x, data, n);
    x->answer_left -= n;
    if (x->answer_left == 0)
        x->phase = ANSWER_DONE;
    return n;
}

/* The coding is checked, and passed on as it came: one event of the engine, one piece of bytes.
 * Only an HTTP/1.0 client gets the data without it. */
static size_t take_chunks(struct exchange *x, const char *data, size_t len)
{
    size_t used = 0;
    int rc = ERR_OK;

    while (used < len && x->phase == ANSWER_BODY && rc == ERR_OK) {
        struct http_chunk_event event;
        size_t n;

        rc = http_chunk_next(&x->answer_chunk, data + used, len - used, &n, &event);
        if (rc == ERR_OK && x->old_client && event.kind == HTTP_CHUNK_DATA)
            to_client(x, event.data, event.len);
        if (rc == ERR_OK && event.kind == HTTP_CHUNK_DONE)
            x->phase = ANSWER_DONE;
        if (rc == ERR_OK || rc == ERR_MORE)
            used += n;
    }
    if (!x->old_client)
        to_client(x, data, used);
    if (rc != ERR_OK && rc != ERR_MORE)
        broken(x, "a chunk that breaks the coding");
    return used;
}

static size_t take_close(struct exchange *x, const char *data, size_t len)
{
    char line[24];

    if (x->old_client) {
        to_client(x, data, len);
        return len;
    }
    to_client(x, line, (size_t)snprintf(line, sizeof(line), "%zx\r\n", len));
    to_client(x, data, len);
    to_client(x, "\r\n", 2);
    return len;
}

static size_t take_body(struct exchange *x, const char *data, size_t len)
{
    switch (x->answer.kind) {
    case HTTP_BODY_LENGTH:
        return take_length(x, data, len);
    case HTTP_BODY_CHUNKED:
        return take_chunks(x, data, len);
    case HTTP_BODY_CLOSE:
        return take_close(x, data, len);
    case HTTP_BODY_NONE:
        break;
    }
    return 0;
}

/* Takes what can be taken; less than `len` while a head is incomplete, or when the answer is over.
 */
static size_t take(struct exchange *x, const char *data, size_t len)
{
    size_t used = 0;
    size_t n = 1;

    while (n > 0 && used < len && x->up != NULL && x->phase != ANSWER_DONE) {
        if (x->phase == ANSWER_HEAD)
            n = take_head(x, data + used, len - used);
        else
            n = take_body(x, data + used, len - used);
        used += n;
    }
    return used;
}

/* An upstream that answered without taking the request may never take it: the next one would wait
 * behind the rest. */
static void finish(struct exchange *x, bool clean)
{
    bool reuse = clean && x->request_done && x->answer.keep_alive && x->up->queued == 0;

    exchange_end(x, REASON_DONE, reuse);
}

/* A head that came in pieces. */
static void take_early(struct exchange *x)
{
    struct pool *pool = x->gw->host->pool;

    while (x->up != NULL && x->early.len > 0 && x->phase != ANSWER_DONE) {
        size_t run;
        const uint8_t *data = bytes_peek(&x->early, &run);
        size_t used = take(x, (const char *)data, run);

        if (used > 0)
            bytes_consume(&x->early, pool, used);
        else if (x->up != NULL && run < x->early.len)
            bytes_gather(&x->early, pool, 2 * run);
        else
            break;
    }
}

void answer_take(struct exchange *x, const char *data, size_t len)
{
    struct upstream *u = x->up;
    struct pool *pool = x->gw->host->pool;
    size_t used = 0;

    x->heard = true;
    if (x->early.len == 0)
        used = take(x, data, len);
    if (x->over || x->up != u)
        return; /* failed on the way, or another attempt has begun */
    if (used < len && x->phase == ANSWER_HEAD) {
        bytes_append(&x->early, pool, data + used, len - used);
        used = len;
        take_early(x);
    }
    if (x->over || x->up != u)
        return;
    if (x->phase == ANSWER_DONE)
        finish(x, used == len && x->early.len == 0);
    else
        answer_release(x);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The answer ends with the connection, as it said. */
static void end_of_close(struct exchange *x)
{
    if (!x->old_client)
        to_client(x, "0\r\n\r\n", 5);
    x->phase = ANSWER_DONE;
    finish(x, false);
}

void answer_ended(struct exchange *x, bool gone, enum reason why)
{
    if (x->over || x->discard)
        return;
    if (!x->heard || (x->route.damped && x->phase == ANSWER_HEAD)) {
        attempt_failed(x, why);
    } else if (x->phase == ANSWER_BODY && x->answer.kind == HTTP_BODY_CLOSE && !gone) {
        end_of_close(x);
    } else {
        exchange_lost(x);
    }
}
