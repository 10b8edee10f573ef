/* One FRP server asked: its name, a connection, TLS, and a login with a run id of its own that
 * claims no port, so that whoever is logged in stays so. Everything goes over one connection, which
 * ends with the answer. */
#ifndef CHECK_ASK_TUNNEL_H
#define CHECK_ASK_TUNNEL_H

#include "check/judge_tunnel.h"
#include "config/client_config.h"
#include "net/net.h"

enum {
    ASK_DIAL_MS = 6000,  /* name, TCP and TLS */
    ASK_LOGIN_MS = 3000, /* a busy server answers within one */
    ASK_PING_MS = 2000,
};

struct ask_tunnel;

/* `cfg` has no proxies. `tls` observes (net/tls.h). `facts` has what was asked for, gets the rest,
 * and like all else must outlive the question. `done` is called once, unless ask_tunnel_free comes
 * first; never inside this call. */
struct ask_tunnel *ask_tunnel_start(struct net *n, const struct client_config *cfg,
                                    const struct server_addr *server, struct tls_context *tls,
                                    struct tunnel_facts *facts, void (*done)(void *ctx), void *ctx);
/* Ends the question where it is. Not inside `done`; the loop must run once more. */
void ask_tunnel_free(struct ask_tunnel *a);

#endif
