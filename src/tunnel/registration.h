/* The client's proxies on one session: asked for, answered, refused and asked for again, each on
 * its own or all as one unit. The part of client_session that decides about them; it sends on the
 * session's control connection and is told the time. */
#ifndef TUNNEL_REGISTRATION_H
#define TUNNEL_REGISTRATION_H

#include <stdbool.h>

#include "config/client_config.h"
#include "tunnel/control.h"

struct registered;

struct registration {
    const struct client_config *cfg;
    struct control *control;
    struct registered *proxies; /* by the index of the configuration */
};

/* Both pointers must outlive it. */
void registration_init(struct registration *r, const struct client_config *cfg,
                       struct control *control);
void registration_clear(struct registration *r);
/* Asks for every proxy that is due: all of them the first time. Not 0: control_send's error, for a
 * name that does not fit into a message. */
int registration_tick(struct registration *r, uint64_t now_us);
/* The proxy that was answered, or n_proxies when nobody waits for this answer. */
size_t registration_answered(struct registration *r, const struct msg_new_proxy_resp *answer,
                             uint64_t now_us);
/* Takes back (CloseProxy) what the server has or was asked for. */
void registration_withdraw(struct registration *r);
/* The server has confirmed every proxy. */
bool registration_complete(const struct registration *r);
/* ... this one. */
bool registration_confirmed(const struct registration *r, size_t i);
/* The proxy that a user arrived for, or n_proxies: unknown, or taken back by us. One whose
 * confirmation is still on its way counts: the server listens before it answers. */
size_t registration_of_user(const struct registration *r, const char *wire_name);

#endif
