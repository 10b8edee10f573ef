#include "net/fetch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/date.h"
#include "net/http_client.h"

struct asking {
    struct fetch_answer *answer;
    char *error;
    size_t error_size;
    bool over;
};

static void got_head(void *ctx, const struct http_head *head)
{
    struct asking *a = ctx;
    const struct http_header *date = http_header_find(head, "Date", 0);

    if (date == NULL || !http_date_parse(date->value, &a->answer->date_s))
        a->answer->date_s = 0;
}

/* Grows with what came, never with what was promised. */
static void got_body(void *ctx, const char *data, size_t len)
{
    struct fetch_answer *answer = ((struct asking *)ctx)->answer;

    answer->body = mem_realloc(answer->body, answer->body_len + len + 1);
    memcpy(answer->body + answer->body_len, data, len);
    answer->body_len += len;
}

static void answered(void *ctx, unsigned status)
{
    struct asking *a = ctx;

    a->answer->status = status;
    if (a->answer->body == NULL)
        a->answer->body = mem_alloc(1);
    a->answer->body[a->answer->body_len] = '\0';
    a->over = true;
}

static void failed(void *ctx, enum reason why, const char *text)
{
    struct asking *a = ctx;

    fetch_release(a->answer);
    a->answer->why = why;
    snprintf(a->error, a->error_size, "%s", text);
    a->over = true;
}

static void run(const struct fetch_request *r, struct asking *a)
{
    static const struct http_client_events events = {
        .head = got_head, .body = got_body, .done = answered, .failed = failed};
    const struct http_client_target target = {
        .host = r->host, .port = r->port, .timeout_ms = r->timeout_ms, .body_max = r->body_max};
    const struct http_ask ask = {
        .method = r->method, .path = r->path, .json = r->json, .last = true};
    struct http_client *client;
    struct net *net;
    uv_loop_t loop;
    int rc = uv_loop_init(&loop);

    if (rc != 0) {
        failed(a, REASON_IO_ERROR, uv_strerror(rc)); /* no descriptor is free */
        return;
    }
    net = net_new(&loop, NULL, 0);
    client = http_client_new(net, &target, &events, a);
    http_client_ask(client, &ask);
    while (!a->over)
        uv_run(&loop, UV_RUN_ONCE);
    snprintf(a->answer->peer, sizeof(a->answer->peer), "%s", http_client_peer(client));
    http_client_free(client);
    net_stop(net);
    uv_run(&loop, UV_RUN_DEFAULT);
    net_free(net);
    uv_loop_close(&loop);
}

int fetch(const struct fetch_request *request, struct fetch_answer *answer, char *error,
          size_t size)
{
    struct asking a = {.answer = answer, .error = error, .error_size = size};
    const struct http_ask ask = {.method = request->method, .path = request->path};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;

    *answer = (struct fetch_answer){.why = REASON_NONE};
    if (!http_client_sendable(&ask) || request->timeout_ms == 0 || request->body_max == 0) {
        snprintf(error, size, "not a request that can be sent");
        return ERR_SYNTAX;
    }
    sigaction(SIGPIPE, &ignore, &before); /* libuv writes without MSG_NOSIGNAL */
    run(request, &a);
    sigaction(SIGPIPE, &before, NULL);
    return answer->why == REASON_NONE ? 0 : ERR_IO;
}

void fetch_release(struct fetch_answer *answer)
{
    mem_free(answer->body);
    answer->body = NULL;
    answer->body_len = 0;
}
