/* Which ports are open to whom. Pure. */
#ifndef CHECK_JUDGE_PORTS_H
#define CHECK_JUDGE_PORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/finding.h"
#include "config/client_config.h"
#include "config/server_config.h"
#include "container/audit.h"

enum { CHECK_PUBLISHED_MAX = 64 }; /* what Vast publishes at most */

/* Container ports that the platform's variables say are published. */
struct published {
    struct {
        uint16_t port;
        const char *variable; /* its name; part of the environment, which keeps it */
        size_t name_len;
    } items[CHECK_PUBLISHED_MAX];
    size_t count;
};

/* Fills in what the variables VAST_TCP_PORT_n and RUNPOD_TCP_PORT_n say. No value is kept: other
 * variables of the platforms are secrets. */
void published_find(struct published *p, char *const *environ_list);

/* Who listens where somebody else would. */
struct holder_facts {
    const char *variable; /* that names the address */
    const char *address;  /* "127.0.0.1:8081" */
    bool unreadable;      /* the kernel's list */
    bool held;
    bool ours;     /* held by a process that is `mlgate` */
    char name[32]; /* of who holds it, escaped; "": not known */
    int pid;       /* 0: not known */
};

void judge_client_id(struct findings *list, const char *client_id, unsigned number);
/* `inner`: ports that only the tunnel should reach. `audit`: what listens for strangers; NULL: not
 * known. */
void judge_published(struct findings *list, const struct published *p,
                     const struct port_range *inner, size_t n_inner, const struct audit *audit);
/* `ports`: what listens for strangers, as text; "": nothing; NULL: not known. */
void judge_listening(struct findings *list, const char *ports);
void judge_gateway_listen(struct findings *list, const struct holder_facts *f, bool instance);

#endif
