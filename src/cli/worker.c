#include "cli/worker.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "cli/client.h"
#include "cli/container_metrics.h"
#include "container/beat.h"
#include "container/facts.h"
#include "container/sandbox.h"

struct worker {
    int link;
    const struct worker_seed *seed;
    bool draining;
    struct facts facts; /* magic 0: PID 1 has not told us yet */
    uv_poll_t orders;   /* and facts */
    uv_timer_t beats;
};

/* The two lists are one: what a question for the state met. */
_Static_assert((int)MANNER_UNKNOWN == (int)NODE_NOT_ASKED &&
                   (int)MANNER_ABSENT == (int)NODE_ABSENT &&
                   (int)MANNER_SILENT == (int)NODE_SILENT &&
                   (int)MANNER_ANSWERS == (int)NODE_ANSWERS,
               "beat_manner is node_manner");

static void send_beat(struct client_run *run)
{
    struct worker *w = run->owner_ctx;
    const struct gateway *gateway = wire_gateway(run->gateway);
    struct gateway_counters n;

    gateway_counters(gateway, &n);
    struct beat beat = {
        .magic = BEAT_MAGIC,
        .registered = tunnel_ready(run->tunnel),
        .manner = (uint8_t)gateway_node_manner(gateway),
        .draining = w->draining,
        .exchanges = (uint32_t)n.exchanges_now,
        .clients = (uint32_t)n.clients_now,
        .sessions = tunnel_sessions(run->tunnel),
        .requests = n.requests,
    };

    snprintf(beat.asked_model, sizeof(beat.asked_model), "%s", gateway_asked_model(gateway));
    /* a PID 1 that does not read now gets the next one */
    send(w->link, &beat, sizeof(beat), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void beat_due(uv_timer_t *timer)
{
    send_beat(timer->data);
}

static void obey(struct client_run *run, char order)
{
    struct worker *w = run->owner_ctx;
    struct gateway *gateway = wire_gateway(run->gateway);

    if (order == ORDER_DRAIN) {
        w->draining = true;
        gateway_drain(gateway);
        uv_timer_start(&w->beats, beat_due, BEAT_EVERY_DRAINING_MS, BEAT_EVERY_DRAINING_MS);
    } else if (order == ORDER_CUT) {
        gateway_cut(gateway);
    }
    send_beat(run);
}

static void told(uv_poll_t *poll, int status, int events)
{
    struct client_run *run = poll->data;
    struct worker *w = run->owner_ctx;
    char data[sizeof(struct facts) + 1]; /* a record that is too long must show */
    ssize_t n = recv(w->link, data, sizeof(data), MSG_DONTWAIT);

    if (n == 1) {
        obey(run, data[0]);
    } else if (n > 1) {
        facts_read(data, (size_t)n, &w->facts);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        log_warn(run->runtime.log, "the supervisor is gone: stopping");
        runtime_stop(&run->runtime);
    }
}

/* What the libraries read once, they read now. */
static void loaded(struct client_run *run)
{
    uint8_t byte;

    json_object_seed(0);
    RAND_bytes(&byte, sizeof(byte));
    sandbox_enter(run->env.sandbox == 1, run->runtime.log);
}

static void starting(struct client_run *run)
{
    struct worker *w = run->owner_ctx;

    uv_timer_init(&run->runtime.loop, &w->beats);
    uv_poll_init(&run->runtime.loop, &w->orders, w->link);
    run->door = *w->seed->door;
    run->facts = &w->facts;
    w->beats.data = run;
    w->orders.data = run;
    uv_timer_start(&w->beats, beat_due, BEAT_EVERY_MS, BEAT_EVERY_MS);
    uv_poll_start(&w->orders, UV_READABLE, told);
    send_beat(run);
}

static void metrics(struct client_run *run, struct metrics *m)
{
    struct worker *w = run->owner_ctx;

    container_metrics_write(m, &w->facts);
}

static void stopping(struct client_run *run)
{
    struct worker *w = run->owner_ctx;

    uv_close((uv_handle_t *)&w->beats, NULL);
    uv_close((uv_handle_t *)&w->orders, NULL);
}

int worker_main(void *seed, int link)
{
    static const struct client_owner owner = {.loaded = loaded,
                                              .starting = starting,
                                              .ready = send_beat,
                                              .metrics = metrics,
                                              .stopping = stopping};
    struct worker w = {.link = link, .seed = seed};

    return client_serve(w.seed->env, &owner, &w);
}
