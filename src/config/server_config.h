/* What the frp server needs to know, whoever said it: frps.ini, flags or the environment. Plain
 * data; the loader that filled it owns every string until server_config_free. */
#ifndef CONFIG_SERVER_CONFIG_H
#define CONFIG_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct port_range {
    uint16_t first;
    uint16_t last; /* inclusive */
};

struct server_config {
    char *bind_addr; /* IP literal without brackets; "0.0.0.0" listens on IPv4 and IPv6 */
    uint16_t bind_port;
    char *proxy_bind; /* IP literal, interface name or CIDR; NULL: same as bind_addr */
    char *token;      /* secret; never NULL, may be empty */
    struct port_range *allow_ports;
    size_t n_allow_ports;     /* 0: every port from 1 to 65535 */
    int max_ports_per_client; /* 0: no limit */
    int max_pool_count;
    int user_conn_timeout_s;
    int heartbeat_timeout_s; /* <= 0: no check */
    int mux_keepalive_s;
    int login_max_skew_s; /* 0: any clock */
    unsigned scopes;      /* bits of enum auth_scope */
    bool allow_plain;     /* connections without TLS */
    char *tls_cert_file;  /* both or neither; neither: made and kept in state_dir */
    char *tls_key_file;
    char *tls_client_ca; /* client certificates are demanded and verified */
    char *state_dir;     /* NULL: the certificate lives as long as the process */
    bool detailed_errors;
    size_t memory_limit;
    enum log_level log_level;
    int log_format;     /* enum log_format */
    char *metrics_addr; /* IP literal; NULL: no metrics */
    uint16_t metrics_port;
};

/* Releases everything inside (not the struct itself) and overwrites the token. */
void server_config_free(struct server_config *cfg);

/* True when `port` (not 0) may be claimed. */
bool server_config_port_allowed(const struct server_config *cfg, uint16_t port);

#endif
