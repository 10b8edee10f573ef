/* What the tunnel client needs to know, whoever said it: an frpc.ini file or the environment. Plain
 * data; the loader that filled it owns every string until client_config_free. */
#ifndef CONFIG_CLIENT_CONFIG_H
#define CONFIG_CLIENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct server_addr {
    char *host; /* DNS name, IPv4, or IPv6 without brackets */
    uint16_t port;
};

/* Which messages besides Login carry a privilege key (frp: auth.additionalScopes). */
enum auth_scope {
    SCOPE_HEARTBEATS = 1,
    SCOPE_NEW_WORK_CONNS = 2,
};

struct proxy_config {
    char *name; /* as configured, without the user's prefix */
    char *local_ip;
    uint16_t local_port;
    uint16_t remote_port; /* 0: the server picks one */
    bool use_encryption;
};

struct tls_client_config {
    bool enable;
    bool custom_first_byte; /* send frp's 0x17 before the handshake */
    char *ca_file;          /* NULL: the chain is not verified */
    char *cert_file;        /* both or neither of cert and key */
    char *key_file;
    char *server_name; /* NULL: the server's host */
    char **pins;       /* base64 SHA-256 of the public key (SubjectPublicKeyInfo); any may match */
    size_t n_pins;
};

struct client_config {
    struct server_addr *servers; /* at least one, none twice: a session to each */
    size_t n_servers;
    char *token; /* secret; never NULL, may be empty */
    char *user;  /* never NULL; prefix "user." of proxy names when not empty */
    struct tls_client_config tls;
    int pool_count;
    int heartbeat_interval_s; /* <= 0: no frp Ping */
    int heartbeat_timeout_s;  /* <= 0: no Pong is waited for */
    int mux_keepalive_s;      /* for frpc.ini; our own client pings after a second of silence */
    int dial_timeout_s;
    unsigned scopes; /* bits of enum auth_scope */
    bool login_fail_exit;
    bool fate_shared;    /* all proxies are one unit: all confirmed or none registered */
    char *run_id_file;   /* NULL: a fresh run_id for each process */
    int dead_after_s;    /* FRP_DEAD_AFTER: give a silent connection up after this long */
    size_t memory_limit; /* MEMORY_LIMIT, bytes really held for streams */
    enum log_level log_level;
    int log_format;                    /* enum log_format */
    struct server_addr metrics_listen; /* METRICS_LISTEN; host NULL: off */
    struct proxy_config *proxies;
    size_t n_proxies;
};

/* Releases everything inside (not the struct itself) and overwrites the token. */
void client_config_free(struct client_config *cfg);

#endif
