#include "observe/server_metrics.h"

#include "base/mem.h"

/* ---- proxies --------------------------------------------------------------------------------- */

/* Those that have series of their own, and the sum of the others. */
struct listed {
    struct server_proxy *proxies;
    size_t n;
    uint64_t others;
    uint64_t others_users;
};

static void list_proxies(const struct server *s, struct listed *l)
{
    struct server_proxy p;

    *l = (struct listed){.proxies = mem_array(NULL, SERVER_METRICS_PROXIES_MAX, sizeof(p))};
    for (unsigned port = 1; server_proxy_from(s, port, &p); port = p.port + 1u) {
        if (l->n < SERVER_METRICS_PROXIES_MAX) {
            l->proxies[l->n++] = p;
        } else {
            l->others++;
            l->others_users += p.users;
        }
    }
}

static void put_proxy(struct metrics *m, const char *name, uint64_t value)
{
    const struct metrics_label labels[] = {{"name", name}, {"type", "tcp"}};

    metrics_put(m, labels, 2, value);
}

static void write_traffic(struct metrics *m, const struct listed *l)
{
    metrics_family(m, "mlgate_server_proxy_traffic_in_bytes_total", METRICS_COUNTER,
                   "Bytes from a proxy's users.");
    for (size_t i = 0; i < l->n; i++)
        put_proxy(m, l->proxies[i].name, l->proxies[i].bytes_in);
    metrics_family(m, "mlgate_server_proxy_traffic_out_bytes_total", METRICS_COUNTER,
                   "Bytes to a proxy's users.");
    for (size_t i = 0; i < l->n; i++)
        put_proxy(m, l->proxies[i].name, l->proxies[i].bytes_out);
}

static void write_round_trips(struct metrics *m, const struct listed *l)
{
    metrics_family(m, "mlgate_server_proxy_round_trip_seconds", METRICS_GAUGE,
                   "From a ping to the proxy's client to its answer, the last that was measured.");
    for (size_t i = 0; i < l->n; i++) {
        const struct metrics_label labels[] = {{"name", l->proxies[i].name}, {"type", "tcp"}};

        if (l->proxies[i].round_trip_us > 0)
            metrics_put_us(m, labels, 2, l->proxies[i].round_trip_us);
    }
}

static void write_proxies(const struct server *s, struct metrics *m)
{
    struct listed l;

    list_proxies(s, &l);
    metrics_family(m, "frp_server_connection_counts", METRICS_GAUGE,
                   "Users of a proxy now; without a name: of all proxies that are not listed.");
    for (size_t i = 0; i < l.n; i++)
        put_proxy(m, l.proxies[i].name, l.proxies[i].users);
    if (l.others > 0)
        put_proxy(m, "", l.others_users);
    metrics_one(m, "mlgate_server_proxies_not_listed", METRICS_GAUGE,
                "Proxies without series of their own, because there are too many.", l.others);
    write_traffic(m, &l);
    write_round_trips(m, &l);
    mem_free(l.proxies);
}

/* ---- the server ------------------------------------------------------------------------------ */

static void write_counts(struct metrics *m, const struct server_status *n)
{
    const struct metrics_label type = {"type", "tcp"};

    metrics_one(m, "frp_server_client_counts", METRICS_GAUGE, "Clients that are logged in.",
                n->clients);
    metrics_family(m, "frp_server_proxy_counts", METRICS_GAUGE, "Registered proxies.");
    metrics_put(m, &type, 1, n->proxies);
    metrics_one(m, "mlgate_server_openings", METRICS_GAUGE,
                "Connections that have not logged in yet.", n->openings);
    metrics_one(m, "mlgate_server_users", METRICS_GAUGE, "Users of all proxies.", n->users);
    metrics_one(m, "mlgate_server_logins_total", METRICS_COUNTER, "Logins that were accepted.",
                n->logins);
    metrics_one(m, "mlgate_server_users_total", METRICS_COUNTER, "Users that ever came.",
                n->all_users);
    metrics_one(m, "mlgate_server_traffic_in_bytes_total", METRICS_COUNTER,
                "Bytes from users, of all proxies that ever were.", n->bytes_in);
    metrics_one(m, "mlgate_server_traffic_out_bytes_total", METRICS_COUNTER,
                "Bytes to users, of all proxies that ever were.", n->bytes_out);
}

static void write_ends(struct metrics *m, const struct server_status *n)
{
    metrics_family(m, "mlgate_server_openings_ended_total", METRICS_COUNTER,
                   "Connections that ended without a login, or with one that was refused, by "
                   "reason.");
    metrics_reasons(m, NULL, 0, &n->openings_ended);
    metrics_family(m, "mlgate_server_sessions_ended_total", METRICS_COUNTER,
                   "Sessions of clients that ended, by reason.");
    metrics_reasons(m, NULL, 0, &n->sessions_ended);
    metrics_family(m, "mlgate_server_users_ended_total", METRICS_COUNTER,
                   "Users whose connection ended, by reason.");
    metrics_reasons(m, NULL, 0, &n->users_ended);
}

void server_metrics_write(const struct server *s, struct metrics *m)
{
    struct server_status n;

    server_status(s, &n);
    write_counts(m, &n);
    write_ends(m, &n);
    write_proxies(s, m); /* last: what finds no room is the proxies' own doing */
}
