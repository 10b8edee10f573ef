#include "check/ask_tcp.h"

#include <stdio.h>

#include "base/mem.h"
#include "net/dial.h"

struct ask_tcp {
    struct tcp_facts *facts;
    struct dial *dial;
    void (*done)(void *ctx);
    void *ctx;
};

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct ask_tcp *a = ctx;

    a->dial = NULL;
    a->facts->open = c != NULL;
    a->facts->why = why;
    if (c != NULL)
        stream_close(conn_stream(c));
    else
        snprintf(a->facts->text, sizeof(a->facts->text), "%s", text);
    a->done(a->ctx);
}

struct ask_tcp *ask_tcp_start(struct net *n, struct tcp_facts *facts, void (*done)(void *ctx),
                              void *ctx)
{
    const struct dial_target to = {
        .host = facts->host, .port = facts->port, .timeout_ms = ASK_TCP_MS};
    struct ask_tcp *a = mem_zalloc(sizeof(*a));

    a->facts = facts;
    a->done = done;
    a->ctx = ctx;
    a->dial = dial_start(n, &to, dialled, a);
    return a;
}

void ask_tcp_free(struct ask_tcp *a)
{
    if (a == NULL)
        return;
    dial_cancel(a->dial);
    mem_free(a);
}
