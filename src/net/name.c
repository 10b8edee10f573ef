#include "net/name.h"

#include <string.h>

#include "base/mem.h"
#include "net/sockaddr.h"

/* Containers move; their names are followed within this. */
enum { FRESH_US = 5 * 1000 * 1000 };

struct name {
    struct net *net;
    char *host;
    uv_getaddrinfo_t lookup;
    struct sockaddr_storage address; /* ss_family 0: none */
    uint64_t asked_us;
    bool literal;
    bool asking;
    bool freed;
};

static void destroy(struct name *m)
{
    mem_free(m->host);
    mem_free(m);
}

const struct addrinfo *name_choice(const struct addrinfo *found)
{
    const struct addrinfo *choice = NULL;

    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        if ((a->ai_family == AF_INET && (choice == NULL || choice->ai_family != AF_INET)) ||
            (a->ai_family == AF_INET6 && choice == NULL))
            choice = a;
    return choice;
}

static void looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct name *m = req->data;
    const struct addrinfo *choice = status == 0 ? name_choice(found) : NULL;

    m->asking = false;
    if (choice != NULL) {
        memset(&m->address, 0, sizeof(m->address));
        memcpy(&m->address, choice->ai_addr, sockaddr_len(choice->ai_addr));
    } else if (status != UV_ECANCELED) {
        log_warn(net_log(m->net), "%s cannot be resolved: %s", m->host, uv_strerror(status));
    }
    uv_freeaddrinfo(found);
    if (m->freed)
        destroy(m);
}

static void ask(struct name *m)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (m->literal || m->asking)
        return;
    m->asked_us = net_now_us();
    m->lookup.data = m;
    m->asking = uv_getaddrinfo(net_loop(m->net), &m->lookup, looked_up, m->host, NULL, &hints) == 0;
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
    m->freed = true;
    if (m->asking)
        uv_cancel((uv_req_t *)&m->lookup); /* looked_up() comes in any case */
    else
        destroy(m);
}
