#include "check/network_node.h"

#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/text.h"
#include "check/ask_tcp.h"
#include "check/asking.h"
#include "check/judge_config.h"
#include "check/known_port.h"
#include "check/look_host.h"
#include "check/look_node.h"
#include "check/look_ports.h"
#include "config/problem.h"

enum {
    API_CALLBACK_PORT = 9100,
    API_ADMIN_PORT = 9200,
    EXPOSED_PORTS = 6,
};

/* What the API node's documentation says must never be public, and the API node's own port, for
 * which its proxy stands. */
static const struct {
    uint16_t port;
    const char *what;
} inner[EXPOSED_PORTS] = {
    {API_CALLBACK_PORT, "the API node's port for proofs"},
    {API_ADMIN_PORT, "the API node's administration"},
    {9000, "the API node without its proxy"},
    {26657, "the chain node's RPC"},
    {5050, "an MLNode's inference"},
    {8080, "an MLNode's management"},
};

struct questions {
    struct asking asking;
    char public[LOOK_PUBLIC_MAX][ADDR_TEXT];
    size_t n_public;
    struct tcp_facts api[2];
    struct ask_tcp *api_asks[2];
    struct tcp_facts tries[EXPOSED_PORTS][LOOK_PUBLIC_MAX];
    struct ask_tcp *asks[EXPOSED_PORTS][LOOK_PUBLIC_MAX];
};

/* ---- asking ---------------------------------------------------------------------------------- */

static struct ask_tcp *ask(struct questions *q, struct tcp_facts *facts, const char *host,
                           uint16_t port)
{
    *facts = (struct tcp_facts){.host = host, .port = port};
    asking_add(&q->asking);
    return ask_tcp_start(q->asking.net, facts, asking_answered, &q->asking);
}

static void ask_all(struct questions *q, const struct network_node_check *c)
{
    q->n_public = look_public(c->public_address, q->public);
    asking_open(&q->asking, c->terminal);
    q->api_asks[0] = ask(q, &q->api[0], c->api, API_CALLBACK_PORT);
    q->api_asks[1] = ask(q, &q->api[1], c->api, API_ADMIN_PORT);
    for (size_t i = 0; i < EXPOSED_PORTS; i++)
        for (size_t k = 0; k < q->n_public; k++)
            q->asks[i][k] = ask(q, &q->tries[i][k], q->public[k], inner[i].port);
    asking_wait(&q->asking);
    ask_tcp_free(q->api_asks[0]);
    ask_tcp_free(q->api_asks[1]);
    for (size_t i = 0; i < EXPOSED_PORTS; i++)
        for (size_t k = 0; k < q->n_public; k++)
            ask_tcp_free(q->asks[i][k]);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void judge_listener(const char *host, uint16_t port, const struct port_table *ports,
                           struct findings *list)
{
    char address[TEXT_HOST_PORT];
    struct holder_facts holder = {.address = text_host_port(address, host, port)};

    look_holder(ports, host, port, &holder);
    judge_server_bind(list, &holder);
}

static void check_binds(const struct server_config *cfg, const struct port_table *ports,
                        const char *public, struct findings *list)
{
    struct proxy_bind_facts proxy;
    char address[ADDR_TEXT];
    char error[LOOK_ERROR];

    judge_listener(cfg->bind_addr, cfg->bind_port, ports, list);
    if (cfg->metrics_addr != NULL)
        judge_listener(cfg->metrics_addr, cfg->metrics_port, ports, list);
    look_proxy_bind(cfg, public, &proxy, address, error);
    judge_proxy_bind(list, &proxy);
}

static void check_ports(const struct server_config *cfg, const struct port_table *ports,
                        struct findings *list)
{
    judge_allow_ports(list, cfg->allow_ports, cfg->n_allow_ports);
    for (size_t i = 0; i < n_known_ports; i++) {
        struct holder_facts f = {.address = ""};

        if (!server_config_port_allowed(cfg, known_ports[i].port))
            continue;
        look_holder(ports, "0.0.0.0", known_ports[i].port, &f);
        judge_taken_port(list, &f, known_ports[i].port);
    }
}

static void check_secrets(const struct network_node_check *c, struct findings *list)
{
    struct directory_facts state = {.variable = "--state-dir", .path = c->cfg->state_dir};
    struct token_file_facts file = {.path = c->token_file};
    struct server_tls_facts tls;
    char error[LOOK_ERROR];

    look_server_tls(c->cfg, &tls, error);
    judge_server_tls(list, &tls);
    mem_free((char *)(uintptr_t)tls.cert_file);
    if (state.path != NULL)
        look_directory(&state);
    judge_state_dir(list, &state, tls.given);
    look_token_file(&file);
    judge_token_file(list, &file);
    judge_token_strength(list, c->cfg->token);
}

static void check_exposed(const struct questions *q, const struct port_table *ports,
                          struct findings *list)
{
    for (size_t i = 0; i < EXPOSED_PORTS; i++) {
        struct exposed_facts f = {
            .port = inner[i].port, .what = inner[i].what, .public_known = q->n_public > 0};

        look_exposed(ports, f.public_known, &f);
        for (size_t k = 0; k < q->n_public && f.answered == NULL; k++)
            f.answered = q->tries[i][k].open ? q->public[k] : NULL;
        judge_exposed(list, &f);
    }
}

static void check_machine(struct findings *list)
{
    struct clock_facts clock;
    struct rlimit limit = {0};

    look_clock(&clock);
    judge_clock_ntp(list, &clock);
    getrlimit(RLIMIT_NOFILE, &limit);
    judge_open_files(list, limit.rlim_max, CHECK_SERVER_FILES);
}

static void skip_unconfigured(struct findings *list)
{
    static const enum check_id needing[] = {
        CHECK_SERVER_BIND,      CHECK_SERVER_PROXY_BIND, CHECK_SERVER_PORTS,  CHECK_SERVER_TLS,
        CHECK_SERVER_STATE_DIR, CHECK_TOKEN_FILE,        CHECK_TOKEN_STRENGTH};

    for (size_t i = 0; i < sizeof(needing) / sizeof(needing[0]); i++)
        finding_skip(list, needing[i], NULL, CHECK_CONFIG);
}

void check_network_node(const struct network_node_check *c, struct findings *list)
{
    static const char *const own[] = {"allow_ports", "proxy_bind_addr", "token", NULL};
    const struct config_words words = {.fine = "all settings can be used",
                                       .help = "mlgate help server",
                                       .elsewhere = c->cfg != NULL ? own : NULL};
    struct questions *q = mem_zalloc(sizeof(*q));
    struct port_table ports;

    ask_all(q, c);
    port_table_read(&ports, "/proc");
    judge_config(list, c->problems, &words);
    if (c->cfg != NULL) {
        check_binds(c->cfg, &ports, q->n_public > 0 ? q->public[0] : NULL, list);
        check_ports(c->cfg, &ports, list);
        check_secrets(c, list);
    } else {
        skip_unconfigured(list);
    }
    judge_api_port(list, CHECK_API_CALLBACK, &q->api[0]);
    judge_api_port(list, CHECK_API_ADMIN, &q->api[1]);
    check_exposed(q, &ports, list);
    port_table_free(&ports);
    check_machine(list);
    asking_close(&q->asking);
    mem_free(q);
}
