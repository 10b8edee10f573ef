/* A completion on its way: its events when they are due, held up by a slow reader, taken away by
 * proof of compute. */
#include "base/mem.h"
#include "testnode/node.h"

#include <time.h>

static const uint64_t ns_per_s = 1000000000;
static const uint64_t ns_per_ms = 1000000;
static const char busy_with_poc[] = "proof of compute has priority";

static uint64_t token_due_ns(const struct generation *gen, size_t token)
{
    if (gen->ask.rate <= 0)
        return gen->began_ns;
    return gen->began_ns + (uint64_t)((double)token * (double)ns_per_s / gen->ask.rate);
}

/* Wakes the exchange when `due` is reached; false when that is now. */
static bool wait_until(struct conn *c, uint64_t due_ns)
{
    uint64_t now = uv_hrtime();

    if (now >= due_ns)
        return false;
    uv_update_time(c->owner->loop);
    conn_wake(c, (due_ns - now + ns_per_ms - 1) / ns_per_ms);
    return true;
}

static void send_step(struct conn *c)
{
    struct generation *gen = c->exchange.gen;
    struct blob event = {0};
    size_t token;

    answer_event(&gen->answer, gen->step, uv_hrtime(), &event);
    gen->sent += answer_step_token(&gen->answer, gen->step, &token);
    gen->step++;
    conn_body(c, event.data, event.len);
    blob_clear(&event);
}

static void pump_events(struct conn *c)
{
    struct generation *gen = c->exchange.gen;
    size_t steps = answer_steps(&gen->answer);
    size_t token;

    for (int i = 0; i < NODE_BURST && gen->step < steps; i++) {
        if (answer_step_token(&gen->answer, gen->step, &token) &&
            wait_until(c, token_due_ns(gen, token)))
            return;
        if (node_queued(c) >= NODE_OUT_HIGH) {
            gen->paused_ns = uv_hrtime();
            return;
        }
        send_step(c);
        if (c->phase == CONN_CLOSED)
            return;
    }
    if (gen->step == steps)
        conn_end(c);
    else
        conn_wake(c, 0);
}

static void finish_full(struct conn *c)
{
    struct generation *gen = c->exchange.gen;
    struct blob body = {0};

    if (wait_until(c, token_due_ns(gen, gen->ask.tokens)))
        return;
    gen->sent = gen->ask.tokens;
    gen->step = answer_steps(&gen->answer);
    answer_full(&gen->answer, &body);
    exchange_json(c, 200, &body, NULL);
}

void generation_pump(struct conn *c)
{
    struct generation *gen = c->exchange.gen;

    if (!gen->ask.stream) {
        finish_full(c);
        return;
    }
    if (c->exchange.status == 0) {
        if (wait_until(c, gen->began_ns))
            return;
        conn_answer(c, 200, "text/event-stream; charset=utf-8", -1, NULL);
    }
    if (c->phase != CONN_CLOSED)
        pump_events(c);
}

void generation_run(struct conn *c)
{
    struct exchange *x = &c->exchange;
    struct testnode *node = c->owner;
    const struct ask_defaults defaults = {node->options.token_rate, node->options.tokens};
    struct generation *gen;
    const char *why;

    if (node->model.generating) {
        exchange_failure(c, 503, busy_with_poc, "retry-after: 1\r\n");
        return;
    }
    gen = mem_zalloc(sizeof(*gen));
    if (ask_parse(&gen->ask, x->match.route == ROUTE_CHAT, x->body.data, x->body.len, &defaults,
                  &why) != 0) {
        mem_free(gen);
        exchange_failure(c, 400, why, NULL);
        return;
    }
    blob_clear(&x->body);
    answer_init(&gen->answer, &gen->ask, node->model.name, ++node->serial, (uint64_t)time(NULL));
    gen->began_ns = uv_hrtime() + gen->ask.delay_ms * ns_per_ms;
    x->gen = gen;
    generation_pump(c);
}

void generation_preempt(struct conn *c)
{
    if (c->exchange.gen == NULL || c->phase != CONN_ANSWER)
        return;
    if (c->exchange.status == 0)
        exchange_failure(c, 503, busy_with_poc, "retry-after: 1\r\n");
    else
        conn_truncate(c);
}
