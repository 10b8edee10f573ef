/* A gateway in the world of gateway_host_fake.h, in front of an MLNode on ports that the test
 * plays. */
#ifndef TEST_GATEWAY_WORLD_H
#define TEST_GATEWAY_WORLD_H

#include "gateway/gateway.h"
#include "gateway_host_fake.h"

struct gateway_world {
    struct fake_host *h;
    struct gateway *g;
    struct gateway_config cfg;
};

/* `tick` is the clock's call of the gateway; its context is `ctx`. */
static inline void gateway_world_open(struct gateway_world *w, uint16_t management,
                                      uint16_t inference,
                                      uint64_t (*tick)(void *ctx, uint64_t now_us), void *ctx)
{
    w->h = fake_new();
    w->cfg.management = (struct endpoint){.host = "127.0.0.1", .port = management};
    w->cfg.inference = (struct endpoint){.host = "127.0.0.1", .port = inference};
    w->cfg.engines.management = w->cfg.management;
    w->cfg.engines.inference = w->cfg.inference;
    w->cfg.engines.host = "127.0.0.1";
    w->g = gateway_new(fake_gateway(w->h), &w->cfg);
    w->h->tick = tick;
    w->h->tick_ctx = ctx;
}

static inline void gateway_world_close(struct gateway_world *w)
{
    gateway_stop(w->g);
    w->h->tick = NULL;
    fake_run(w->h);
    gateway_free(w->g);
    fake_free(w->h);
}

#endif
