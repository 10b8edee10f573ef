#include "check/ask_http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/date.h"
#include "net/http_client.h"

struct ask_http {
    struct http_client *client;
    struct http_facts *facts;
    void (*done)(void *ctx);
    void *ctx;
};

static void got_head(void *ctx, const struct http_head *head)
{
    struct http_facts *f = ((struct ask_http *)ctx)->facts;
    const struct http_header *date = http_header_find(head, "Date", 0);
    const struct http_header *server = http_header_find(head, "Server", 0);

    f->here_s = (int64_t)time(NULL);
    f->status = head->status;
    if (date == NULL || !http_date_parse(date->value, &f->date_s))
        f->date_s = 0;
    if (server != NULL)
        log_safe(f->server, sizeof(f->server), server->value.at, server->value.len);
}

static void got_body(void *ctx, const char *data, size_t len)
{
    struct http_facts *f = ((struct ask_http *)ctx)->facts;

    f->body = mem_realloc(f->body, f->len + len);
    memcpy(f->body + f->len, data, len);
    f->len += len;
}

static void answered(void *ctx, unsigned status)
{
    struct ask_http *a = ctx;

    a->facts->answered = true;
    a->done(a->ctx);
}

static void failed(void *ctx, enum reason why, const char *text)
{
    struct ask_http *a = ctx;

    a->facts->why = why;
    snprintf(a->facts->text, sizeof(a->facts->text), "%s", text);
    a->done(a->ctx);
}

struct ask_http *ask_http_start(struct net *n, struct http_facts *facts, void (*done)(void *ctx),
                                void *ctx)
{
    static const struct http_client_events events = {
        .head = got_head, .body = got_body, .done = answered, .failed = failed};
    const struct http_client_target target = {.host = facts->host,
                                              .port = facts->port,
                                              .timeout_ms = ASK_HTTP_MS,
                                              .body_max = ASK_HTTP_BODY_MAX};
    const struct http_ask ask = {.path = facts->path, .last = true};
    struct ask_http *a = mem_zalloc(sizeof(*a));

    a->facts = facts;
    a->done = done;
    a->ctx = ctx;
    a->client = http_client_new(n, &target, &events, a);
    http_client_ask(a->client, &ask);
    return a;
}

void ask_http_free(struct ask_http *a)
{
    if (a == NULL)
        return;
    snprintf(a->facts->peer, sizeof(a->facts->peer), "%s", http_client_peer(a->client));
    http_client_free(a->client);
    mem_free(a);
}
