#include "tunnel/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/certificate.h"
#include "net/interface.h"
#include "tunnel/random.h"
#include "tunnel/server_internal.h"

enum {
    TICK_MS = 100,
    SLOW_TICKS = 10,
    ALL_PORTS = 65536,
    /* Lines about clients at once: a house of a hundred nodes that comes back after a restart. No
     * client has a gate of its own, which it would get anew with every login. */
    CLIENT_LINES_BURST = 300,
};

static void ticked(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t now = net_now_us();
    bool slow = ++s->ticks % SLOW_TICKS == 0;

    if (pool_over(net_pool(s->net)))
        visit_shed(s);
    proxy_tick(s, now);
    visit_tick(s, now, slow);
    if (!slow)
        return;
    guard_tick(&s->guard, now);
    pool_trim(net_pool(s->net));
    LIST_FOREACH (it, &s->openings)
        peer_tick(LIST_ENTRY(it, struct peer, node), now);
    LIST_FOREACH (it, &s->peers)
        peer_tick(LIST_ENTRY(it, struct peer, node), now);
}

/* ---- certificate ------------------------------------------------------------------------------
 */

struct cert_files {
    char *cert;
    char *key;
    char *made_dir; /* a directory of this process only, removed after loading */
};

static bool own_certificate(struct server *s, struct cert_files *f, char *error, size_t size)
{
    char template[] = "/tmp/mlgate-certificate-XXXXXX";
    const char *dir = s->cfg->state_dir;

    if (dir == NULL) {
        log_warn(s->log, "no --tls-cert and no --state-dir: the certificate is made for this run "
                         "only, clients cannot pin it");
        dir = mkdtemp(template);
        if (dir == NULL) {
            snprintf(error, size, "cannot make a directory for a certificate in /tmp: %s",
                     strerror(errno));
            return false;
        }
        f->made_dir = mem_strdup(dir);
    } else if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        snprintf(error, size, "cannot make the state directory %s: %s", dir, strerror(errno));
        return false;
    }
    f->cert = mem_printf("%s/server.crt", dir);
    f->key = mem_printf("%s/server.key", dir);
    return certificate_ensure(f->cert, f->key, error, size) == ERR_OK;
}

static void drop_files(struct cert_files *f)
{
    if (f->made_dir != NULL) {
        unlink(f->cert);
        unlink(f->key);
        rmdir(f->made_dir);
    }
    mem_free(f->cert);
    mem_free(f->key);
    mem_free(f->made_dir);
}

static bool make_tls(struct server *s, char *error, size_t size)
{
    const struct server_config *cfg = s->cfg;
    struct cert_files files = {0};
    struct tls_server_options o = {.client_ca = cfg->tls_client_ca};
    char pin[CERTIFICATE_PIN_SIZE];
    bool ready = true;

    if (cfg->tls_cert_file != NULL) {
        files.cert = mem_strdup(cfg->tls_cert_file);
        files.key = mem_strdup(cfg->tls_key_file);
    } else {
        ready = own_certificate(s, &files, error, size);
    }
    o.cert_file = files.cert;
    o.key_file = files.key;
    if (ready)
        s->tls = tls_context_server(&o, error, size);
    if (s->tls != NULL && certificate_pin(files.cert, pin) == ERR_OK)
        log_info(s->log, "certificate %s, pin for clients: FRP_TLS_PIN=%s",
                 files.made_dir ? "of this run" : files.cert, pin);
    drop_files(&files);
    return s->tls != NULL;
}

/* ---- listening --------------------------------------------------------------------------------
 */

static bool find_proxy_bind(struct server *s, char *error, size_t size)
{
    const char *what = s->cfg->proxy_bind ? s->cfg->proxy_bind : s->cfg->bind_addr;

    return interface_address(what, &s->proxy_bind, error, size) == ERR_OK;
}

static bool listen_for_clients(struct server *s, char *error, size_t size)
{
    const struct server_config *cfg = s->cfg;
    struct sockaddr_storage at;
    int code = 0;

    if (!sockaddr_from_text(&at, cfg->bind_addr, cfg->bind_port)) {
        snprintf(error, size, "%s is not an IP address to bind to", cfg->bind_addr);
        return false;
    }
    s->listener = listener_open(s->net, (const struct sockaddr *)&at, peer_accept, s, &code);
    if (s->listener == NULL)
        snprintf(error, size, "cannot listen on %s port %u: %s", cfg->bind_addr, cfg->bind_port,
                 uv_strerror(code));
    return s->listener != NULL;
}

/* What a file leaves out is said by its reader (config/frps.c). */
static void warn_of_strangers(const struct server *s, const char *where)
{
    const struct sockaddr *at = (const struct sockaddr *)&s->proxy_bind;

    if (s->cfg->proxy_bind != NULL && sockaddr_is_public(at))
        log_warn(s->log,
                 "the clients' ports are open on %s: whoever reaches them there uses the nodes' "
                 "GPUs; --proxy-bind (proxy_bind_addr) with the network of the API node's "
                 "container, or 127.0.0.1, keeps strangers out",
                 where);
}

static void say_what_is_open(const struct server *s)
{
    const struct server_config *cfg = s->cfg;
    char where[ADDR_TEXT];

    sockaddr_text((const struct sockaddr *)&s->proxy_bind, where);
    log_info(s->log, "frp server listens on %s port %u%s; proxies listen on %s%s", cfg->bind_addr,
             listener_port(s->listener), cfg->allow_plain ? ", TLS and plain" : ", TLS only", where,
             cfg->proxy_bind == NULL ? ", which is bind_addr (--bind), because no proxy_bind_addr "
                                       "(--proxy-bind) is set"
                                     : "");
    warn_of_strangers(s, where);
    if (cfg->token[0] == '\0')
        log_warn(s->log, "the token is empty: anyone who reaches this port can register proxies");
    else
        log_info(s->log, "one token is shared by all clients: whoever has it can register any "
                         "allowed port, also one that belongs to another node");
}

static void make_gates(struct server *s)
{
    s->refused_gate = (struct log_gate){.what = "connections refused", .level = LOG_WARN};
    s->client_gate = (struct log_gate){
        .what = "clients that came or went", .level = LOG_INFO, .burst = CLIENT_LINES_BURST};
    s->proxy_gate = (struct log_gate){
        .what = "proxies refused", .level = LOG_WARN, .burst = CLIENT_LINES_BURST};
    s->user_gate = (struct log_gate){.what = "users without a work connection", .level = LOG_WARN};
    s->memory_gate =
        (struct log_gate){.what = "users reset by the memory limit", .level = LOG_WARN};
}

struct server *server_new(struct net *n, const struct server_config *cfg, char *error, size_t size)
{
    struct server *s = mem_zalloc(sizeof(*s));
    uint64_t seed;

    s->net = n;
    s->cfg = cfg;
    s->log = net_log(n);
    make_gates(s);
    system_randomness.fill(NULL, (uint8_t *)&seed, sizeof(seed));
    guard_init(&s->guard, seed);
    map_init(&s->run_ids, seed);
    map_init(&s->names, seed);
    map_init(&s->sticky, seed);
    list_init(&s->openings);
    list_init(&s->peers);
    list_init(&s->orphans);
    list_init(&s->claims);
    list_init(&s->visits);
    s->ports = mem_zalloc(ALL_PORTS * sizeof(struct proxy *));
    if (!find_proxy_bind(s, error, size) || !make_tls(s, error, size) ||
        cipher_key(s->key, cfg->token, strlen(cfg->token)) != ERR_OK ||
        !listen_for_clients(s, error, size)) {
        server_free(s);
        return NULL;
    }
    uv_timer_init(net_loop(n), &s->tick);
    s->tick.data = s;
    uv_timer_start(&s->tick, ticked, TICK_MS, TICK_MS);
    say_what_is_open(s);
    return s;
}

uint16_t server_port(const struct server *s)
{
    return listener_port(s->listener);
}

void server_stop(struct server *s)
{
    struct reason_counts both;
    char users[400];
    char clients[400];

    if (s->stopping)
        return;
    s->stopping = true;
    listener_close(s->listener);
    uv_close((uv_handle_t *)&s->tick, NULL);
    visit_end_all(s, REASON_LOCAL_STOP);
    while (!list_empty(&s->openings))
        peer_free(LIST_ENTRY(s->openings.next, struct peer, node), REASON_LOCAL_STOP, "stopping");
    LIST_FOREACH (it, &s->peers)
        mux_go_away(carrier_mux(LIST_ENTRY(it, struct peer, node)->carrier));
    while (!list_empty(&s->peers))
        peer_free(LIST_ENTRY(s->peers.next, struct peer, node), REASON_LOCAL_STOP, "stopping");
    while (!list_empty(&s->orphans))
        proxy_free(LIST_ENTRY(s->orphans.next, struct proxy, node));
    both = s->sessions_ended;
    reason_counts_text(&s->users_ended, users, sizeof(users));
    for (int i = 0; i < REASON_COUNT; i++)
        both.of[i] += s->openings_ended.of[i];
    reason_counts_text(&both, clients, sizeof(clients));
    log_info(s->log, "stopped; users: %s; connections: %s", users, clients);
}

void server_free(struct server *s)
{
    if (s == NULL)
        return;
    guard_clear(&s->guard);
    map_clear(&s->run_ids);
    map_clear(&s->names);
    map_clear(&s->sticky);
    tls_context_free(s->tls);
    mem_free(s->ports);
    mem_free_secret(s, sizeof(*s));
}
