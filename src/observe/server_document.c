#include "observe/server_document.h"

#include <stdio.h>

#include "observe/problems.h"

enum {
    RUN_ID_SHOWN = 4, /* letters: enough to find it in the log, too few to take its place */
    /* A page for people and scripts, not a database: with ten times the clients of a large house.
     */
    PROXIES_MAX = 20000,
};

struct clients {
    json_t *list;
    json_t *ports; /* of the last one; borrowed */
    size_t n_ports;
    uint64_t now_us;
};

static void add_client(void *ctx, const struct server_client *c)
{
    struct clients *all = ctx;
    char run_id[RUN_ID_SHOWN + 1];
    json_t *client;

    snprintf(run_id, sizeof(run_id), "%s", c->run_id);
    all->ports = json_array();
    client = json_pack("{s:o, s:o, s:o, s:s, s:I, s:o}", "hostname", document_text(c->hostname),
                       "address", document_text(c->address), "run_id", document_text(run_id),
                       "program", c->mlgate ? "mlgate" : "frpc", "since_s",
                       (json_int_t)((all->now_us - c->since_us) / 1000000), "ports", all->ports);
    if (c->round_trip_us > 0)
        json_object_set_new(client, "round_trip_ms", json_real((double)c->round_trip_us / 1000));
    json_array_append_new(all->list, client);
}

static void add_proxy(void *ctx, const struct server_proxy *p)
{
    struct clients *all = ctx;

    if (all->n_ports++ >= PROXIES_MAX)
        return;
    json_array_append_new(
        all->ports, json_pack("{s:o, s:i, s:I, s:I, s:I}", "name", document_text(p->name), "remote",
                              (int)p->port, "users", (json_int_t)p->users, "bytes_in",
                              (json_int_t)p->bytes_in, "bytes_out", (json_int_t)p->bytes_out));
}

static json_t *clients_json(const struct server *s, uint64_t now_us)
{
    static const struct server_listener listener = {.client = add_client, .proxy = add_proxy};
    struct clients all = {.list = json_array(), .now_us = now_us};

    server_tell_clients(s, &listener, &all);
    return all.list;
}

static json_t *refused_json(const struct server *s, enum server_refused kind, uint64_t now_us)
{
    json_t *list = json_array();
    const struct server_refusal *r;

    for (size_t i = 0; (r = server_refusal_at(s, kind, i)) != NULL; i++)
        json_array_append_new(list, json_pack("{s:I, s:o, s:s, s:o}", "ago_s",
                                              (json_int_t)((now_us - r->at_us) / 1000000), "from",
                                              document_text(r->address), "reason",
                                              reason_name(r->why), "text", document_text(r->text)));
    return list;
}

json_t *server_document(const struct document_who *who, const struct server *s,
                        const struct server_config *cfg, const struct rate *rate, uint64_t now_us)
{
    json_t *document = document_make(who, NULL, NULL, NULL, NULL);
    struct server_status n;
    json_t *numbers;

    server_status(s, &n);
    numbers =
        json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "bind",
                  document_address(cfg->bind_addr, server_port(s)), "openings",
                  (json_int_t)n.openings, "logins", (json_int_t)n.logins, "users",
                  (json_int_t)n.users, "all_users", (json_int_t)n.all_users, "bytes_in",
                  (json_int_t)n.bytes_in, "bytes_out", (json_int_t)n.bytes_out, "rate_in",
                  (json_int_t)rate_in(rate), "rate_out", (json_int_t)rate_out(rate), "clients",
                  clients_json(s, now_us), "refused_logins", refused_json(s, REFUSED_LOGIN, now_us),
                  "refused_proxies", refused_json(s, REFUSED_PROXY, now_us), "ended_openings",
                  refused_json(s, REFUSED_OPENING, now_us));
    json_object_update(document, numbers);
    json_decref(numbers);
    problems_add(document);
    return document;
}
