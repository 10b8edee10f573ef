/* Gathers what judge_node.h judges, from this machine alone. Changes nothing. */
#ifndef CHECK_LOOK_NODE_H
#define CHECK_LOOK_NODE_H

#include <stddef.h>

#include "check/judge_node.h"
#include "check/look_ports.h"
#include "config/server_config.h"
#include "net/sockaddr.h"

enum {
    LOOK_PUBLIC_MAX = 8, /* public addresses that are tried */
    LOOK_ERROR = 400,
};

/* Public addresses of this machine's interfaces, in text; `given` (NULL: none) first. Returns how
 * many. */
size_t look_public(const char *given, char out[LOOK_PUBLIC_MAX][ADDR_TEXT]);

/* What the server's proxies listen on. `public`: NULL or one of look_public. The texts are in the
 * two buffers. */
void look_proxy_bind(const struct server_config *cfg, const char *public,
                     struct proxy_bind_facts *f, char address[ADDR_TEXT], char error[LOOK_ERROR]);
/* Certificate and key. f->cert_file is the caller's (mem_free). */
void look_server_tls(const struct server_config *cfg, struct server_tls_facts *f,
                     char error[LOOK_ERROR]);
void look_token_file(struct token_file_facts *f);
/* The widest of all listeners on the port; `any_is_public`: this machine has a public address. */
void look_exposed(const struct port_table *t, bool any_is_public, struct exposed_facts *f);
void look_clock(struct clock_facts *f);

#endif
