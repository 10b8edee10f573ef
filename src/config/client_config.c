#include "config/client_config.h"

#include <string.h>

#include "base/mem.h"
#include "config/token.h"

static void free_tls(struct tls_client_config *tls)
{
    mem_free(tls->ca_file);
    mem_free(tls->cert_file);
    mem_free(tls->key_file);
    mem_free(tls->server_name);
    for (size_t i = 0; i < tls->n_pins; i++)
        mem_free(tls->pins[i]);
    mem_free(tls->pins);
}

void client_config_free(struct client_config *cfg)
{
    for (size_t i = 0; i < cfg->n_servers; i++)
        mem_free(cfg->servers[i].host);
    mem_free(cfg->servers);
    token_free(cfg->token);
    mem_free(cfg->user);
    mem_free(cfg->run_id_file);
    mem_free(cfg->metrics_listen.host);
    free_tls(&cfg->tls);
    for (size_t i = 0; i < cfg->n_proxies; i++) {
        mem_free(cfg->proxies[i].name);
        mem_free(cfg->proxies[i].local_ip);
    }
    mem_free(cfg->proxies);
    memset(cfg, 0, sizeof(*cfg));
}
