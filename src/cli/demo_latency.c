#include "cli/demo_latency.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    WARM_UP = 20, /* rounds not counted: connections are made, caches filled */
    ROUNDS_MAX = 500,
    ROUNDS_MIN = 20,
    TIME_US = 1500 * 1000, /* a busy machine gets fewer rounds instead of more time */
};

enum way {
    WAY_DIRECT = 0,
    WAY_TUNNEL = 1,
    WAYS = 2,
};

struct latency {
    const char *path; /* the caller's; static in practice */
    void (*done)(void *ctx, const struct latency_result *r, const char *why);
    void *ctx;
    struct http_client *http[WAYS];
    unsigned n; /* requests answered so far */
    uint64_t began_us;
    uint64_t asked_us;
    uint64_t took_us[WAYS][ROUNDS_MAX];
};

/* The order within a round changes, so that neither way always profits from the other's wake-up. */
static enum way way_of(unsigned n)
{
    return (n + n / WAYS) % WAYS == 0 ? WAY_DIRECT : WAY_TUNNEL;
}

static void ask_next(struct latency *l)
{
    l->asked_us = net_now_us();
    http_client_ask(l->http[way_of(l->n)], &(struct http_ask){.path = l->path});
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double median(uint64_t *values, unsigned n)
{
    qsort(values, n, sizeof(*values), by_value);
    return (double)(values[n / 2] + values[(n - 1) / 2]) / 2;
}

static void finish(struct latency *l, unsigned rounds)
{
    const struct latency_result r = {
        .rounds = rounds,
        .direct_us = median(l->took_us[WAY_DIRECT], rounds),
        .tunnel_us = median(l->took_us[WAY_TUNNEL], rounds),
        .tunnel = http_client_traffic(l->http[WAY_TUNNEL]),
    };

    l->done(l->ctx, &r, NULL);
}

static void ignore_body(void *ctx, const char *data, size_t len)
{
    (void)ctx;
}

static void answered(void *ctx, unsigned status)
{
    struct latency *l = ctx;
    uint64_t now = net_now_us();
    unsigned round = l->n / WAYS;
    char why[64];

    if (status != 200) {
        snprintf(why, sizeof(why), "%s was answered with status %u", l->path, status);
        l->done(l->ctx, NULL, why);
        return;
    }
    if (round >= WARM_UP)
        l->took_us[way_of(l->n)][round - WARM_UP] = now - l->asked_us;
    else
        l->began_us = now;
    l->n++;
    round = l->n / WAYS;
    if (l->n % WAYS == 0 && round >= WARM_UP + ROUNDS_MIN &&
        (round == WARM_UP + ROUNDS_MAX || now - l->began_us > TIME_US))
        finish(l, round - WARM_UP);
    else
        ask_next(l);
}

static void failed(void *ctx, enum reason why, const char *text)
{
    struct latency *l = ctx;

    l->done(l->ctx, NULL, text);
}

struct latency *
latency_start(struct net *n, uint16_t direct_port, uint16_t tunnel_port, const char *path,
              void (*done)(void *ctx, const struct latency_result *r, const char *why), void *ctx)
{
    const struct http_client_target direct = {.host = "127.0.0.1", .port = direct_port};
    const struct http_client_target tunnel = {.host = "127.0.0.1", .port = tunnel_port};
    static const struct http_client_events events = {
        .body = ignore_body, .done = answered, .failed = failed};
    struct latency *l = mem_zalloc(sizeof(*l));

    l->path = path;
    l->done = done;
    l->ctx = ctx;
    l->http[WAY_DIRECT] = http_client_new(n, &direct, &events, l);
    l->http[WAY_TUNNEL] = http_client_new(n, &tunnel, &events, l);
    ask_next(l);
    return l;
}

void latency_free(struct latency *l)
{
    if (l == NULL)
        return;
    http_client_free(l->http[WAY_DIRECT]);
    http_client_free(l->http[WAY_TUNNEL]);
    mem_free(l);
}
