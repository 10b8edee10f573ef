#include "config/server_config.h"

#include <string.h>

#include "base/mem.h"
#include "config/token.h"

void server_config_free(struct server_config *cfg)
{
    mem_free(cfg->bind_addr);
    mem_free(cfg->proxy_bind);
    token_free(cfg->token);
    mem_free(cfg->allow_ports);
    mem_free(cfg->tls_cert_file);
    mem_free(cfg->tls_key_file);
    mem_free(cfg->tls_client_ca);
    mem_free(cfg->state_dir);
    mem_free(cfg->metrics_addr);
    memset(cfg, 0, sizeof(*cfg));
}

bool server_config_port_allowed(const struct server_config *cfg, uint16_t port)
{
    if (port == 0)
        return false;
    for (size_t i = 0; i < cfg->n_allow_ports; i++)
        if (port >= cfg->allow_ports[i].first && port <= cfg->allow_ports[i].last)
            return true;
    return cfg->n_allow_ports == 0;
}
