#include "observe/client_metrics.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    NUMBER_MAX = 24,
    SERVER_LABELS = 2, /* which server a sample is of */
};

/* ---- the tunnel ------------------------------------------------------------------------------ */

/* One server's status, and the labels that tell it from the others'. */
struct server_line {
    const struct client *client;
    struct client_status status;
    char index[NUMBER_MAX];
    struct metrics_label labels[METRICS_LABELS_MAX]; /* SERVER_LABELS are set */
};

static void server_line(struct server_line *line, const struct client *c, size_t i)
{
    client_status(c, &line->status);
    line->client = c;
    snprintf(line->index, sizeof(line->index), "%zu", i + 1);
    line->labels[0] = (struct metrics_label){"server", line->index};
    line->labels[1] = (struct metrics_label){"address", line->status.address};
}

static uint64_t up(const struct client_status *s)
{
    return s->state == CLIENT_REGISTERED;
}

static uint64_t sessions(const struct client_status *s)
{
    return s->sessions;
}

static uint64_t streams(const struct client_status *s)
{
    return s->streams;
}

static uint64_t users(const struct client_status *s)
{
    return s->users;
}

static uint64_t bytes_in(const struct client_status *s)
{
    return s->bytes_in;
}

static uint64_t bytes_out(const struct client_status *s)
{
    return s->bytes_out;
}

static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*of)(const struct client_status *s);
} tunnel_numbers[] = {
    {"mlgate_tunnel_up", METRICS_GAUGE, "1: every port of the tunnel is open on the server.", up},
    {"mlgate_tunnel_sessions_total", METRICS_COUNTER, "Logins that the server accepted.", sessions},
    {"mlgate_tunnel_streams", METRICS_GAUGE, "Users of the tunnel now.", streams},
    {"mlgate_tunnel_users_total", METRICS_COUNTER, "Users that came through the tunnel.", users},
    {"mlgate_tunnel_traffic_in_bytes_total", METRICS_COUNTER, "Bytes from users.", bytes_in},
    {"mlgate_tunnel_traffic_out_bytes_total", METRICS_COUNTER, "Bytes to users.", bytes_out},
};

static void write_states(struct metrics *m, struct server_line *line)
{
    for (int i = 0; i < CLIENT_STATES; i++) {
        line->labels[SERVER_LABELS] =
            (struct metrics_label){"state", client_state_name((enum client_state)i)};
        metrics_put(m, line->labels, SERVER_LABELS + 1, (int)line->status.state == i);
    }
}

static void write_ports(struct metrics *m, struct server_line *line, size_t n_proxies)
{
    for (size_t i = 0; i < n_proxies; i++) {
        struct client_proxy_status proxy;
        char index[NUMBER_MAX];
        char port[NUMBER_MAX];

        client_proxy_status(line->client, i, &proxy);
        snprintf(index, sizeof(index), "%zu", i + 1);
        snprintf(port, sizeof(port), "%u", proxy.remote_port);
        line->labels[SERVER_LABELS] = (struct metrics_label){"proxy", index};
        line->labels[SERVER_LABELS + 1] = (struct metrics_label){"remote_port", port};
        metrics_put(m, line->labels, SERVER_LABELS + 2, proxy.state == CLIENT_PROXY_CONFIRMED);
    }
}

static void write_ends(struct metrics *m, struct server_line *lines, size_t n)
{
    metrics_family(m, "mlgate_tunnel_sessions_ended_total", METRICS_COUNTER,
                   "Sessions, and tries to get one, that ended, by reason.");
    for (size_t i = 0; i < n; i++)
        metrics_reasons(m, lines[i].labels, SERVER_LABELS, &lines[i].status.sessions_ended);
    metrics_family(m, "mlgate_tunnel_relays_ended_total", METRICS_COUNTER,
                   "Users joined to a service past the gateway whose connection ended, by reason.");
    for (size_t i = 0; i < n; i++)
        metrics_reasons(m, lines[i].labels, SERVER_LABELS, &lines[i].status.relays_ended);
}

static void write_tunnel(const struct client_metrics *what, struct metrics *m,
                         struct server_line *lines)
{
    size_t n = tunnel_servers(what->tunnel);

    for (size_t i = 0; i < n; i++)
        server_line(&lines[i], tunnel_client(what->tunnel, i), i);
    for (size_t k = 0; k < sizeof(tunnel_numbers) / sizeof(tunnel_numbers[0]); k++) {
        metrics_family(m, tunnel_numbers[k].name, tunnel_numbers[k].type, tunnel_numbers[k].help);
        for (size_t i = 0; i < n; i++)
            metrics_put(m, lines[i].labels, SERVER_LABELS, tunnel_numbers[k].of(&lines[i].status));
    }
    metrics_family(m, "mlgate_tunnel_state", METRICS_GAUGE,
                   "1 for the state that the tunnel to this server is in.");
    for (size_t i = 0; i < n; i++)
        write_states(m, &lines[i]);
    metrics_family(m, "mlgate_tunnel_port_open", METRICS_GAUGE,
                   "1: the server confirmed this port; remote_port 0 is not known yet.");
    for (size_t i = 0; i < n; i++)
        write_ports(m, &lines[i], what->n_proxies);
    metrics_family(m, "mlgate_tunnel_round_trip_seconds", METRICS_GAUGE,
                   "From a ping to its answer, the last that was measured.");
    for (size_t i = 0; i < n; i++)
        if (lines[i].status.round_trip_us > 0)
            metrics_put_us(m, lines[i].labels, SERVER_LABELS, lines[i].status.round_trip_us);
    write_ends(m, lines, n);
}

/* ---- the gateway ----------------------------------------------------------------------------- */

/* Also what never happened: a series that begins with its first count hides it from rate(). */
static void write_outcomes(struct metrics *m, const struct gateway_counters *n)
{
    metrics_family(m, "mlgate_gateway_requests_total", METRICS_COUNTER,
                   "Requests that are over, by what they were about and what became of them.");
    for (int k = 0; k < ROUTE_CLASSES; k++)
        for (int i = 0; i < OUTCOME_COUNT; i++) {
            const struct metrics_label labels[] = {{"class", route_class_name((enum route_class)k)},
                                                   {"outcome", outcome_name((enum outcome)i)}};

            metrics_put(m, labels, 2, n->outcomes[k][i]);
        }
}

static void write_first_bytes(struct metrics *m, const struct gateway *g)
{
    metrics_family(m, "mlgate_gateway_first_byte_seconds", METRICS_HISTOGRAM,
                   "From the end of a request's head to the first byte of MLNode's answer.");
    for (int k = 0; k < ROUTE_CLASSES; k++) {
        const struct metrics_label label = {"class", route_class_name((enum route_class)k)};

        metrics_histogram(m, &label, 1, gateway_first_byte(g, (enum route_class)k));
    }
}

static void write_numbers(struct metrics *m, const struct gateway_counters *n)
{
    metrics_one(m, "mlgate_gateway_exchanges", METRICS_GAUGE, "Requests under way.",
                n->exchanges_now);
    metrics_one(m, "mlgate_gateway_clients", METRICS_GAUGE,
                "Connections of clients, also those that wait for a next request.", n->clients_now);
    metrics_one(m, "mlgate_gateway_upstreams", METRICS_GAUGE,
                "Connections to MLNode, also those kept for a next request.", n->upstreams_now);
    metrics_one(m, "mlgate_gateway_connections_total", METRICS_COUNTER,
                "Connections of clients that were accepted.", n->clients);
    metrics_one(m, "mlgate_gateway_direct_total", METRICS_COUNTER,
                "Requests that went to an engine itself, past port 5000.", n->direct);
    metrics_one(m, "mlgate_gateway_retries_total", METRICS_COUNTER,
                "Requests that were sent again because a kept connection had ended.", n->retried);
    metrics_one(m, "mlgate_gateway_request_body_bytes_total", METRICS_COUNTER,
                "Bodies of requests, as framed towards MLNode.", n->bytes_in);
    metrics_one(m, "mlgate_gateway_response_body_bytes_total", METRICS_COUNTER,
                "Bodies of answers, as framed towards the clients.", n->bytes_out);
    metrics_family(m, "mlgate_gateway_ended_total", METRICS_COUNTER,
                   "Requests that ended, by reason.");
    metrics_reasons(m, NULL, 0, &n->ended);
    metrics_family(m, "mlgate_gateway_clients_ended_total", METRICS_COUNTER,
                   "Connections of clients that ended, by reason.");
    metrics_reasons(m, NULL, 0, &n->clients_ended);
}

/* ---- MLNode ---------------------------------------------------------------------------------- */

static void write_state(struct metrics *m, const struct gateway *g)
{
    static const struct {
        enum node_state state;
        const char *name;
    } states[] = {
        {NODE_UNKNOWN, "unknown"}, {NODE_STOPPED, "stopped"}, {NODE_INFERENCE, "inference"}};
    uint64_t age = gateway_node_age_us(g);

    metrics_family(m, "mlgate_mlnode_state", METRICS_GAUGE,
                   "1 for what MLNode's management says: inference with a model, else stopped; "
                   "unknown without an answer.");
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        const struct metrics_label label = {"state", states[i].name};

        metrics_put(m, &label, 1, gateway_node_state(g) == states[i].state);
    }
    metrics_family(m, "mlgate_mlnode_silence_seconds", METRICS_GAUGE,
                   "Since MLNode's management last answered a question of the gateway's.");
    if (age != UINT64_MAX)
        metrics_put_us(m, NULL, 0, age);
}

static uint64_t live(const struct engine *e)
{
    return e->live;
}

static uint64_t in_flight(const struct engine *e)
{
    return e->in_flight;
}

static uint64_t served(const struct engine *e)
{
    return e->served;
}

static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*of)(const struct engine *e);
} engine_numbers[] = {
    {"mlgate_engine_live", METRICS_GAUGE, "1: requests go to this engine itself.", live},
    {"mlgate_engine_exchanges", METRICS_GAUGE, "Requests under way at this engine.", in_flight},
    {"mlgate_engine_requests_total", METRICS_COUNTER, "Requests given to this engine.", served},
};

static void write_engines(struct metrics *m, const struct gateway *g)
{
    const struct engine *e;

    for (size_t k = 0; k < sizeof(engine_numbers) / sizeof(engine_numbers[0]); k++) {
        metrics_family(m, engine_numbers[k].name, engine_numbers[k].type, engine_numbers[k].help);
        for (size_t i = 0; (e = gateway_engine(g, i)) != NULL; i++) {
            char port[NUMBER_MAX];
            const struct metrics_label label = {"port", port};

            snprintf(port, sizeof(port), "%u", e->at.port);
            metrics_put(m, &label, 1, engine_numbers[k].of(e));
        }
    }
}

void client_metrics_write(const struct client_metrics *what, struct metrics *m)
{
    if (what->tunnel != NULL) {
        struct server_line *lines = mem_array(NULL, tunnel_servers(what->tunnel), sizeof(*lines));

        write_tunnel(what, m, lines);
        mem_free(lines);
    }
    if (what->gateway != NULL) {
        struct gateway_counters n;

        gateway_counters(what->gateway, &n);
        write_outcomes(m, &n);
        write_first_bytes(m, what->gateway);
        write_numbers(m, &n);
        write_state(m, what->gateway);
        write_engines(m, what->gateway);
    }
}
