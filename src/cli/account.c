#include "cli/account.h"

#include <time.h>

#include "base/mem.h"
#include "container/facts_json.h"
#include "gateway/status.h"
#include "observe/desk.h"
#include "observe/document.h"
#include "observe/problems.h"

enum { SAMPLE_MS = 1000 };

struct account {
    struct account_of of;
    struct rate *rates; /* one for each server */
    struct desk *desk;
    uv_timer_t sample;
    int64_t started_s;
    uint64_t started_us;
};

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *server_json(const struct account *a, size_t i)
{
    const struct client_config *cfg = a->of.cfg;
    struct client_proxy_status *ports = mem_array(NULL, cfg->n_proxies, sizeof(*ports));
    struct client_status status;
    const struct document_server s = {
        .status = &status, .ports = ports, .cfg = cfg, .rate = &a->rates[i]};
    json_t *out;

    client_status(tunnel_client(a->of.tunnel, i), &status);
    for (size_t p = 0; p < cfg->n_proxies; p++)
        client_proxy_status(tunnel_client(a->of.tunnel, i), p, &ports[p]);
    out = document_server(&s, net_now_us());
    mem_free(ports);
    return out;
}

static json_t *servers_json(const struct account *a)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tunnel_servers(a->of.tunnel); i++)
        json_array_append_new(list, server_json(a, i));
    return list;
}

static json_t *document(void *account)
{
    const struct account *a = account;
    const struct facts *facts = a->of.facts;
    const struct document_who who = {
        .role = facts != NULL ? "container" : "client",
        .client_id = a->of.client_id,
        .node_id = a->of.node_id,
        .started_s = a->started_s,
        .uptime_us = net_now_us() - a->started_us,
    };
    bool told = facts != NULL && facts->magic != 0;

    json_t *all = document_make(
        &who, servers_json(a), a->of.gateway ? gateway_status(wire_gateway(a->of.gateway)) : NULL,
        told ? facts_model_json(facts) : NULL,
        told ? facts_container_json(facts, (int64_t)time(NULL), net_now_us()) : NULL);
    if (a->of.metrics_error != NULL && a->of.metrics_error[0] != '\0')
        json_object_set_new(all, "metrics",
                            json_pack("{s:o}", "error", document_text(a->of.metrics_error)));
    problems_add(all);
    return all;
}

static char *text(void *account)
{
    json_t *all = document(account);
    char *out = status_text(all);

    json_decref(all);
    return out;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void sample_due(uv_timer_t *timer)
{
    struct account *a = timer->data;

    for (size_t i = 0; i < tunnel_servers(a->of.tunnel); i++) {
        struct client_status now;

        client_status(tunnel_client(a->of.tunnel, i), &now);
        rate_add(&a->rates[i], net_now_us(), now.bytes_in, now.bytes_out);
    }
}

struct account *account_new(const struct account_of *of)
{
    struct account *a = mem_zalloc(sizeof(*a));

    a->of = *of;
    a->rates = mem_zalloc(tunnel_servers(of->tunnel) * sizeof(*a->rates));
    a->started_s = (int64_t)time(NULL);
    a->started_us = net_now_us();
    uv_timer_init(of->loop, &a->sample);
    a->sample.data = a;
    uv_timer_start(&a->sample, sample_due, 0, SAMPLE_MS);
    if (of->gateway != NULL)
        gateway_set_document(wire_gateway(of->gateway), document, a);
    if (of->door != NULL && of->door->fd >= 0)
        a->desk = desk_new(of->loop, of->door->fd, of->door->owner, text, a);
    return a;
}

void account_close(struct account *a)
{
    if (a == NULL)
        return;
    uv_close((uv_handle_t *)&a->sample, NULL);
    desk_close(a->desk);
}

void account_free(struct account *a)
{
    if (a == NULL)
        return;
    desk_free(a->desk);
    mem_free(a->rates);
    mem_free(a);
}
