#include "net/listener.h"

#include <string.h>

#include "base/mem.h"
#include "net/internal.h"
#include "net/sockaddr.h"

/* Bursts of hundreds of users must not meet a full queue; the kernel cuts it to somaxconn. */
enum { BACKLOG = 4096 };

struct listener {
    struct net *net;
    uv_tcp_t tcp;
    void (*accepted)(struct listener *l, void *ctx);
    void *ctx;
};

static void connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;

    if (status == 0)
        l->accepted(l, l->ctx);
}

static void closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int bind_and_listen(struct listener *l, const struct sockaddr *at)
{
    int rc = uv_tcp_bind(&l->tcp, at, 0);

    return rc != 0 ? rc : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, connection);
}

static bool any_v4(const struct sockaddr *at)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)at;

    return at->sa_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY);
}

static struct listener *try_open(struct net *n, const struct sockaddr *at, int *error)
{
    struct listener *l = mem_zalloc(sizeof(*l));

    l->net = n;
    uv_tcp_init(n->loop, &l->tcp);
    l->tcp.data = l;
    *error = bind_and_listen(l, at);
    if (*error == 0)
        return l;
    uv_close((uv_handle_t *)&l->tcp, closed);
    return NULL;
}

struct listener *listener_open(struct net *n, const struct sockaddr *at,
                               void (*accepted)(struct listener *l, void *ctx), void *ctx,
                               int *error)
{
    struct listener *l = NULL;
    struct sockaddr_storage both;

    if (any_v4(at)) {
        sockaddr_from_text(&both,
                           "::", ntohs(((const struct sockaddr_in *)(const void *)at)->sin_port));
        l = try_open(n, (const struct sockaddr *)&both, error);
        if (l == NULL && *error == UV_EADDRINUSE)
            return NULL;
    }
    if (l == NULL)
        l = try_open(n, at, error);
    if (l != NULL)
        listener_attach(l, accepted, ctx);
    return l;
}

void listener_attach(struct listener *l, void (*accepted)(struct listener *l, void *ctx), void *ctx)
{
    l->accepted = accepted;
    l->ctx = ctx;
}

struct conn *listener_accept(struct listener *l,
                             void (*on)(struct stream *, enum stream_event, const uint8_t *,
                                        size_t),
                             void *owner)
{
    return conn_accept(l->net, (uv_stream_t *)&l->tcp, on, owner);
}

uint16_t listener_port(const struct listener *l)
{
    struct sockaddr_storage at;
    int len = sizeof(at);
    char text[ADDR_TEXT];

    if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&at, &len) != 0)
        return 0;
    return sockaddr_text((const struct sockaddr *)&at, text);
}

void listener_close(struct listener *l)
{
    if (l != NULL)
        uv_close((uv_handle_t *)&l->tcp, closed);
}
