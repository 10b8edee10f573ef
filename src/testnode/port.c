/* Ports that are held while nobody listens on them. */
#include "base/mem.h"
#include "testnode/node.h"

enum { BACKLOG = 2048 }; /* uvicorn's */

struct listener {
    uv_tcp_t tcp;
    struct port *port;
};

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct testnode *node = listener->port->node;

    mem_free(listener);
    node_handle_closed(node);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status == 0)
        node_accept(listener->port, stream);
}

/* Takes the port without listening: connections are refused, and nobody else gets it. */
static int take(struct port *port)
{
    struct listener *listener = mem_zalloc(sizeof(*listener));
    int len = sizeof(port->addr);
    int rc;

    listener->port = port;
    listener->tcp.data = listener;
    uv_tcp_init(port->node->loop, &listener->tcp);
    port->node->handles++;
    port->listener = listener;
    rc = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&port->addr, 0);
    if (rc == 0)
        rc = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&port->addr, &len);
    return rc;
}

int port_open(struct port *port, const char *host, uint16_t number)
{
    int rc = uv_ip4_addr(host, number, (struct sockaddr_in *)&port->addr);

    if (rc != 0)
        rc = uv_ip6_addr(host, number, (struct sockaddr_in6 *)&port->addr);
    return rc ? rc : take(port);
}

int port_listen(struct port *port)
{
    int rc = port->listener ? uv_listen((uv_stream_t *)&port->listener->tcp, BACKLOG, on_connection)
                            : UV_EADDRINUSE;

    port->listening = rc == 0;
    return rc;
}

int port_shut(struct port *port)
{
    if (!port->listening)
        return 0;
    port_close(port);
    return take(port);
}

void port_close(struct port *port)
{
    struct listener *listener = port->listener;

    port->listener = NULL;
    port->listening = false;
    if (listener)
        uv_close((uv_handle_t *)&listener->tcp, on_closed);
}

uint16_t port_number(const struct port *port)
{
    const struct sockaddr_storage *addr = &port->addr;

    return ntohs(addr->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)addr)->sin6_port
                                             : ((const struct sockaddr_in *)addr)->sin_port);
}
