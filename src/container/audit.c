#include "container/audit.h"

#include <stdio.h>
#include <string.h>

struct collecting {
    struct audit *audit;
    const struct audit_span *expected;
    size_t n_expected;
};

static bool is_expected(uint16_t port, const struct audit_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (port >= spans[i].first && port <= spans[i].last)
            return true;
    return false;
}

static void add(struct audit *audit, uint16_t port)
{
    size_t i = 0;

    while (i < audit->count && audit->ports[i] < port)
        i++;
    if (i < audit->count && audit->ports[i] == port)
        return;
    if (audit->count == AUDIT_PORTS_MAX) {
        audit->unsaid++;
        return;
    }
    memmove(audit->ports + i + 1, audit->ports + i, (audit->count - i) * sizeof(audit->ports[0]));
    audit->ports[i] = port;
    audit->count++;
}

static void collect(void *ctx, const struct listening *l)
{
    struct collecting *c = ctx;

    if (!sockets_is_loopback(l) && !is_expected(l->port, c->expected, c->n_expected))
        add(c->audit, l->port);
}

size_t audit_lines(struct audit *audit, enum socket_table table, const char *text, size_t len,
                   const struct audit_span *expected, size_t n_expected)
{
    struct collecting c = {audit, expected, n_expected};

    return sockets_lines(table, text, len, collect, &c);
}

int audit_read(struct audit *audit, const char *proc, const struct audit_span *expected,
               size_t n_expected)
{
    struct collecting c = {audit, expected, n_expected};

    *audit = (struct audit){.count = 0};
    return sockets_read(proc, collect, &c);
}

bool audit_same(const struct audit *a, const struct audit *b)
{
    return a->count == b->count && a->unsaid == b->unsaid &&
           memcmp(a->ports, b->ports, a->count * sizeof(a->ports[0])) == 0;
}

char *audit_ports(const struct audit *audit, char *out)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < audit->count; i++)
        len += (size_t)snprintf(out + len, AUDIT_LINE_MAX - len, "%s%u", i ? ", " : "",
                                audit->ports[i]);
    if (audit->unsaid > 0)
        snprintf(out + len, AUDIT_LINE_MAX - len, " and %zu more", audit->unsaid);
    return out;
}
