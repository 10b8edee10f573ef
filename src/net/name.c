#include "net/name.h"

#include <string.h>

#include "base/mem.h"
#include "net/lookup.h"
#include "net/sockaddr.h"

/* Containers move; their names are followed within this. */
enum { FRESH_US = 5 * 1000 * 1000 };

struct name {
    struct net *net;
    char *host;
    struct lookup *lookup;           /* NULL when none is under way */
    struct sockaddr_storage address; /* ss_family 0: none */
    uint64_t asked_us;
    bool literal;
};

const struct addrinfo *name_choice(const struct addrinfo *found)
{
    const struct addrinfo *choice = NULL;

    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        if ((a->ai_family == AF_INET && (choice == NULL || choice->ai_family != AF_INET)) ||
            (a->ai_family == AF_INET6 && choice == NULL))
            choice = a;
    return choice;
}

static void looked_up(void *ctx, const char *why, const struct addrinfo *found)
{
    struct name *m = ctx;
    const struct addrinfo *choice = name_choice(found);

    m->lookup = NULL;
    if (choice != NULL) {
        memset(&m->address, 0, sizeof(m->address));
        memcpy(&m->address, choice->ai_addr, sockaddr_len(choice->ai_addr));
    } else {
        log_warn(net_log(m->net), "%s cannot be resolved: %s", m->host,
                 why ? why : "the name has no address");
    }
}

static void ask(struct name *m)
{
    if (m->literal || m->lookup != NULL)
        return;
    m->asked_us = net_now_us();
    m->lookup = lookup_start(m->net, m->host, looked_up, m);
}

struct name *name_new(struct net *n, const char *host)
{
    struct name *m = mem_zalloc(sizeof(*m));

    m->net = n;
    m->host = mem_strdup(host);
    m->literal = sockaddr_from_text(&m->address, host, 0);
    ask(m);
    return m;
}

const struct sockaddr *name_address(struct name *m)
{
    if (net_now_us() - m->asked_us > FRESH_US)
        ask(m);
    return m->address.ss_family ? (const struct sockaddr *)&m->address : NULL;
}

void name_free(struct name *m)
{
    if (m == NULL)
        return;
    lookup_cancel(m->lookup);
    mem_free(m->host);
    mem_free(m);
}
