/* What a request does: one small function for each route. */
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "testnode/node.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    SOURCE_BLOCK = 32 * 1024,
    LOG_OUTCOME_MAX = 128,
};

static const uint64_t ns_per_s = 1000000000;
static const uint64_t source_max = (uint64_t)1 << 50;

bool exchange_plays_both(const struct conn *c)
{
    return c->exchange.match.engine && c->engine == NULL && c->exchange.relay == NULL;
}

void exchange_json(struct conn *c, int status, struct blob *body, const char *extra)
{
    /* through MLNode's proxy the engine's answers lose their length */
    int64_t length = exchange_plays_both(c) ? -1 : (int64_t)body->len;

    conn_answer(c, status, "application/json", length, extra);
    conn_body(c, body->data, body->len);
    blob_clear(body);
    if (c->phase != CONN_CLOSED)
        conn_end(c);
}

void exchange_failure(struct conn *c, int status, const char *message, const char *extra)
{
    struct blob body = {0};

    if (c->exchange.match.engine)
        answer_error(status, message, &body);
    else
        answer_detail(message, &body);
    exchange_json(c, status, &body, extra);
}

void exchange_refuse(struct conn *c, int status, const char *message)
{
    c->exchange.match.engine = false;
    exchange_failure(c, status, message, NULL);
}

static void answer_ok(struct conn *c)
{
    struct blob body = {0};

    blob_printf(&body, "{\"status\":\"OK\"}");
    exchange_json(c, 200, &body, NULL);
}

static void run_none(struct conn *c)
{
    struct exchange *x = &c->exchange;
    char allow[64] = "";

    if (x->match.allow)
        snprintf(allow, sizeof(allow), "allow: %s\r\n", x->match.allow);
    exchange_failure(c, x->match.status,
                     x->match.status == 405 ? "Method Not Allowed" : "Not Found", allow);
}

static void run_state(struct conn *c)
{
    struct blob body = {0};

    answer_state(&c->owner->model, &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_health(struct conn *c)
{
    struct blob body = {0};

    answer_health(&c->owner->model, &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_ready(struct conn *c)
{
    struct blob body = {0};

    blob_printf(&body, "{\"ready\":true}");
    exchange_json(c, 200, &body, NULL);
}

static void run_engine_health(struct conn *c)
{
    bool sick = c->engine && c->engine->state->sick;

    conn_answer(c, sick ? 500 : 200, NULL, exchange_plays_both(c) ? -1 : 0, NULL);
    if (c->phase != CONN_CLOSED)
        conn_end(c);
}

static void run_models(struct conn *c)
{
    struct blob body = {0};

    answer_models(c->owner->model.name, (uint64_t)time(NULL), c->engine ? ++c->owner->serial : 0,
                  &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_tokenize(struct conn *c)
{
    struct exchange *x = &c->exchange;
    struct blob body = {0};
    const char *why;

    if (answer_tokenize(x->body.data, x->body.len, &body, &why) != 0)
        exchange_failure(c, 400, why, NULL);
    else
        exchange_json(c, 200, &body, NULL);
}

/* Begins a load as the body wishes; otherwise answers itself and returns false. */
static bool begin_up(struct conn *c)
{
    struct exchange *x = &c->exchange;
    json_t *root = json_loadb(x->body.data ? x->body.data : "", x->body.len, 0, NULL);
    const char *name = json_string_value(json_object_get(root, "model"));
    bool doomed = json_is_true(json_object_get(json_object_get(root, "mlgate_test"), "fail"));
    int rc = name ? node_up(c->owner, name, doomed) : ERR_SYNTAX;

    json_decref(root);
    if (rc == ERR_NOTNOW)
        exchange_failure(c, 409,
                         c->owner->model.running ? "VLLM is already running"
                                                 : "VLLM startup is already in progress",
                         NULL);
    else if (rc)
        exchange_failure(c, 422, "body must be an object with a model", NULL);
    return rc == 0;
}

static void run_up(struct conn *c)
{
    if (begin_up(c))
        c->exchange.waits_for_load = true;
}

static void run_up_async(struct conn *c)
{
    struct blob body = {0};

    if (!begin_up(c))
        return;
    blob_printf(&body, "{\"status\":\"starting\",\"message\":\"VLLM startup initiated\"}");
    exchange_json(c, 200, &body, NULL);
}

void exchange_loaded(struct conn *c)
{
    c->exchange.waits_for_load = false;
    if (c->owner->model.running)
        answer_ok(c);
    else
        exchange_failure(c, 500,
                         c->owner->model.load == MODEL_CANCELLED ? "startup was cancelled"
                                                                 : "engine did not start",
                         NULL);
}

static void run_up_status(struct conn *c)
{
    struct blob body = {0};

    answer_up_status(&c->owner->model, node_now_ms(c->owner), &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_down(struct conn *c)
{
    node_down(c->owner);
    answer_ok(c);
}

/* Proof of compute as a state only: nothing is generated, and nobody is called back. */
static void run_poc_start(struct conn *c)
{
    struct testnode *node = c->owner;
    struct blob body = {0};

    if (!node_generate(node, true)) {
        exchange_failure(c, 503, "no backend is available", NULL);
        return;
    }
    answer_poc_begun(node->options.engines ? node->options.engines : 1, &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_poc_stop(struct conn *c)
{
    node_generate(c->owner, false);
    answer_ok(c);
}

static void run_poc_status(struct conn *c)
{
    struct blob body = {0};

    answer_poc_status(&c->owner->model, &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_engines(struct conn *c)
{
    struct testnode *node = c->owner;
    struct blob body = {0};

    engine_report(node->engine_states, node->options.engines, node->proxied, &body);
    exchange_json(c, 200, &body, NULL);
}

static void run_engine_control(struct conn *c)
{
    struct exchange *x = &c->exchange;
    const char *why = x->control_why;
    int rc = why ? ERR_SYNTAX : fleet_control(c->owner, &x->control, &why);

    if (rc)
        exchange_failure(c, rc == ERR_SYNTAX ? 400 : rc == ERR_NOTFOUND ? 404 : 409, why, NULL);
    else
        answer_ok(c);
}

static void run_sink(struct conn *c)
{
    struct exchange *x = &c->exchange;
    uint8_t digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned len = 0;
    struct blob body = {0};

    if (x->digest == NULL || EVP_DigestFinal_ex(x->digest, digest, &len) != 1) {
        exchange_failure(c, 500, "no SHA-256", NULL);
        return;
    }
    text_hex(hex, digest, len);
    blob_printf(&body, "{\"bytes\":%llu,\"sha256\":\"%s\"}", (unsigned long long)x->received, hex);
    exchange_json(c, 200, &body, NULL);
}

static void pump_source(struct conn *c)
{
    struct exchange *x = &c->exchange;
    char block[SOURCE_BLOCK];

    for (int i = 0; i < NODE_BURST && x->source_at < x->source_end; i++) {
        uint64_t left = x->source_end - x->source_at;
        size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);

        if (node_queued(c) >= NODE_OUT_HIGH)
            return; /* exchange_drained goes on */
        answer_pattern(x->source_at, block, n);
        x->source_at += n;
        conn_body(c, block, n);
        if (c->phase == CONN_CLOSED)
            return;
    }
    if (x->source_at == x->source_end)
        conn_end(c);
    else
        conn_wake(c, 0);
}

static void run_source(struct conn *c)
{
    struct exchange *x = &c->exchange;

    if (x->source_end > source_max) {
        exchange_failure(c, 400, "bytes is missing or too large", NULL);
        return;
    }
    conn_answer(c, 200, "application/octet-stream", (int64_t)x->source_end, NULL);
    if (c->phase != CONN_CLOSED)
        pump_source(c);
}

typedef void run_fn(struct conn *c);

static run_fn *const handlers[ROUTE_COUNT] = {
    [ROUTE_NONE] = run_none,
    [ROUTE_CHAT] = generation_run,
    [ROUTE_COMPLETION] = generation_run,
    [ROUTE_MODELS] = run_models,
    [ROUTE_TOKENIZE] = run_tokenize,
    [ROUTE_ENGINE_HEALTH] = run_engine_health,
    [ROUTE_STATE] = run_state,
    [ROUTE_HEALTH] = run_health,
    [ROUTE_READY] = run_ready,
    [ROUTE_UP] = run_up,
    [ROUTE_UP_ASYNC] = run_up_async,
    [ROUTE_UP_STATUS] = run_up_status,
    [ROUTE_DOWN] = run_down,
    [ROUTE_SINK] = run_sink,
    [ROUTE_SOURCE] = run_source,
    [ROUTE_ENGINES] = run_engines,
    [ROUTE_ENGINE_CONTROL] = run_engine_control,
    [ROUTE_PROXY] = proxy_run,
    [ROUTE_POC_START] = run_poc_start,
    [ROUTE_POC_STOP] = run_poc_stop,
    [ROUTE_POC_STATUS] = run_poc_status,
    [ROUTE_WEIGHTS] = weights_run_status,
    [ROUTE_WEIGHTS_DOWNLOAD] = weights_run_download,
    [ROUTE_WEIGHTS_DELETE] = weights_run_delete,
};

void exchange_tick(struct conn *c)
{
    struct generation *gen = c->exchange.gen;

    if (gen && gen->paused_ns)
        exchange_drained(c);
    else if (gen)
        generation_pump(c);
    else
        pump_source(c);
}

void exchange_drained(struct conn *c)
{
    struct generation *gen = c->exchange.gen;

    if (c->exchange.status == 0)
        return; /* only a 100 was on its way */
    proxy_drained(c);
    if (gen && gen->paused_ns) {
        gen->began_ns += uv_hrtime() - gen->paused_ns; /* the rate goes on; nothing is caught up */
        gen->paused_ns = 0;
        generation_pump(c);
    } else if (gen == NULL && c->exchange.source_at < c->exchange.source_end) {
        pump_source(c);
    }
}

static void log_to(int fd, const struct conn *c, const char *what)
{
    char stamp[32];
    char engine[32] = "";
    struct tm local;
    time_t now = time(NULL);

    if (fd < 0)
        return;
    if (c->engine)
        snprintf(engine, sizeof(engine), " engine %u", c->engine->state->port);
    localtime_r(&now, &local);
    strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &local);
    dprintf(fd, "%s %s \"%s\" %s%s\n", stamp, c->peer, c->exchange.line, what, engine);
}

static void log_request(const struct conn *c, const char *what)
{
    const struct testnode_options *options = &c->owner->options;

    log_to(options->request_log[c->port], c, what);
    log_to(options->combined_log, c, what);
}

static void log_over(const struct conn *c, const char *how)
{
    const struct exchange *x = &c->exchange;
    char what[LOG_OUTCOME_MAX];

    snprintf(what, sizeof(what), "%d in %llu out %llu %.3fs %s", x->status,
             (unsigned long long)x->received, (unsigned long long)x->sent,
             (double)(uv_hrtime() - x->began_ns) / (double)ns_per_s, how);
    log_request(c, what);
}

static bool takes_long(enum node_route route)
{
    return route == ROUTE_CHAT || route == ROUTE_COMPLETION || route == ROUTE_UP;
}

void exchange_run(struct conn *c)
{
    struct exchange *x = &c->exchange;

    if (takes_long(x->match.route))
        log_request(c, "begins");
    if (x->body_too_big)
        exchange_failure(c, 413, "body is too large", NULL);
    else if (x->match.engine && x->match.route != ROUTE_PROXY && !c->owner->model.running)
        exchange_failure(c, 503, "no backend is available", NULL);
    else
        handlers[x->match.route](c);
}

/* Everything on the inference port, and what 8080 passes on, is for the engines where there are
 * any. */
static bool is_proxied(const struct conn *c)
{
    return c->owner->options.engines > 0 && c->engine == NULL &&
           (c->port == NODE_INFERENCE || c->exchange.match.engine);
}

static void count_begin(struct conn *c)
{
    struct exchange *x = &c->exchange;

    c->owner->proxied += c->port == NODE_INFERENCE && c->engine == NULL;
    if (c->engine == NULL)
        return;
    x->counted = true;
    /* a path that no engine has is asked to learn that it is one */
    x->probe = x->match.route == ROUTE_ENGINE_HEALTH || x->match.route == ROUTE_MODELS ||
               x->match.route == ROUTE_NONE;
    engine_begin(c->engine->state, x->probe);
}

static void count_end(struct conn *c, bool left)
{
    if (c->exchange.counted)
        engine_end(c->engine->state, c->exchange.probe, left);
    c->exchange.counted = false;
}

/* What the route needs of the head, which is gone afterwards. */
static void keep_head(struct conn *c, const struct http_head *head)
{
    struct exchange *x = &c->exchange;
    uint64_t bytes = UINT64_MAX;
    const char *why;

    if (x->match.route == ROUTE_SOURCE) {
        route_query_uint(head->target, "bytes", source_max, &bytes);
        x->source_end = bytes;
    } else if (x->match.route == ROUTE_SINK) {
        x->digest = EVP_MD_CTX_new();
        if (x->digest)
            EVP_DigestInit_ex(x->digest, EVP_sha256(), NULL);
    } else if (x->match.route == ROUTE_ENGINE_CONTROL) {
        if (engine_control_parse(head->target, &x->control, &why) != 0)
            x->control_why = why;
    } else if (x->match.route == ROUTE_PROXY) {
        proxy_begin(c, head);
    }
}

void exchange_begin(struct conn *c, const struct http_head *head)
{
    struct exchange *x = &c->exchange;
    char target[NODE_LINE_MAX / 2];

    *x = (struct exchange){.match = route_find(c->port, head->method, head->target),
                           .began_ns = uv_hrtime()};
    snprintf(x->line, sizeof(x->line), "%.*s %s HTTP/1.%u", (int)head->method.len, head->method.at,
             log_safe(target, sizeof(target), head->target.at, head->target.len), head->minor);
    if (is_proxied(c))
        x->match = (struct node_match){.route = ROUTE_PROXY, .engine = true};
    count_begin(c);
    keep_head(c, head);
}

static bool wants_body(enum node_route route)
{
    return route == ROUTE_CHAT || route == ROUTE_COMPLETION || route == ROUTE_TOKENIZE ||
           route == ROUTE_UP || route == ROUTE_UP_ASYNC || route == ROUTE_WEIGHTS ||
           route == ROUTE_WEIGHTS_DOWNLOAD || route == ROUTE_WEIGHTS_DELETE;
}

void exchange_take(struct conn *c, const char *data, size_t len)
{
    struct exchange *x = &c->exchange;

    x->received += len;
    if (x->match.route == ROUTE_PROXY) {
        proxy_take(c, data, len);
    } else if (x->digest) {
        EVP_DigestUpdate(x->digest, data, len);
    } else if (wants_body(x->match.route) && !x->body_too_big) {
        x->body_too_big = x->body.len + len > NODE_JSON_MAX;
        if (!x->body_too_big)
            blob_add(&x->body, data, len);
    }
}

void exchange_over(struct conn *c, bool left)
{
    const struct generation *gen = c->exchange.gen;
    bool whole = c->phase == CONN_DRAIN && !c->exchange.broken;
    const char *how = whole ? "done" : left ? "left" : "cut";

    if (gen && left && c->phase == CONN_ANSWER)
        log_info(c->owner->log, "client left mid-stream: %s %s, %zu of %zu tokens sent", c->peer,
                 gen->answer.id, gen->sent, gen->ask.tokens);
    count_end(c, left);
    proxy_drop(c);
    log_over(c, how);
}

void exchange_clear(struct conn *c)
{
    struct exchange *x = &c->exchange;

    count_end(c, false);
    proxy_drop(c);
    if (x->gen) {
        answer_clear(&x->gen->answer);
        mem_free(x->gen);
    }
    if (x->digest)
        EVP_MD_CTX_free(x->digest);
    blob_clear(&x->body);
    *x = (struct exchange){0};
}
