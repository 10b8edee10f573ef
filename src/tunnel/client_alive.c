/* Whether the connection lives: the facts for live_judge, and the reserve that it asks for. */
#include "base/log.h"
#include "tunnel/client_internal.h"
#include "tunnel/liveness.h"

/* ---- the reserve ------------------------------------------------------------------------------
 */

void client_drop_reserve(struct client *c)
{
    dial_cancel(c->reserve_dial);
    c->reserve_dial = NULL;
    if (c->reserve != NULL)
        stream_close(conn_stream(c->reserve));
    c->reserve = NULL;
}

struct conn *client_take_reserve(struct client *c)
{
    struct conn *conn = c->reserve;

    c->reserve = NULL;
    return conn;
}

static void on_reserve(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct client *c = s->owner;

    if (event == STREAM_DATA)
        stream_consumed(s, len);
    if (event == STREAM_EOF)
        stream_close(s);
    if (event == STREAM_EOF || event == STREAM_CLOSED) {
        c->reserve = NULL;
        c->reserve_since_us = net_now_us();
    }
}

static void reserve_dialled(void *ctx, struct conn *conn, enum reason why, const char *text)
{
    struct client *c = ctx;

    c->reserve_dial = NULL;
    if (conn == NULL) {
        c->reserve_since_us = net_now_us(); /* the time of the failure: when to try again */
        log_debug(c->log, "reserve connection failed: %s", text);
        return;
    }
    c->reserve = conn;
    c->reserve_up_us = net_now_us();
    conn_stream(conn)->on = on_reserve;
    conn_stream(conn)->owner = c;
}

static void dial_reserve(struct client *c)
{
    if (c->reserve_since_us == 0)
        log_info(c->log, "the server is silent; trying a second connection to learn whether the "
                         "path works");
    c->reserve_since_us = net_now_us();
    c->reserve_dial = client_dial(c, reserve_dialled);
}

/* ---- the judgement ----------------------------------------------------------------------------
 */

void client_alive_begin(struct client *c)
{
    c->reserve_since_us = 0;
    c->acked = 0;
    c->progress_us = net_now_us();
}

static void look_at_path(struct client *c, struct live_facts *f)
{
    struct tcp_path path;

    f->rto_us = LIVE_RTO_MAX_US;
    if (carrier_heard_us(c->carrier) > c->progress_us)
        c->progress_us = carrier_heard_us(c->carrier);
    if (carrier_conn(c->carrier) == NULL || !conn_path(carrier_conn(c->carrier), &path))
        return;
    f->rto_us = path.rto_us;
    if (path.acked == c->acked)
        return;
    c->acked = path.acked;
    c->progress_us = f->now_us;
}

void client_alive_tick(struct client *c, uint64_t now_us)
{
    struct live_facts f = {
        .now_us = now_us,
        .heard_us = carrier_heard_us(c->carrier),
        .ping_us = mux_ping_since(carrier_mux(c->carrier)),
        .dead_after_us = (uint64_t)c->cfg->dead_after_s * 1000 * 1000,
        .reserve = c->reserve ? RESERVE_UP : (c->reserve_dial ? RESERVE_DIALLING : RESERVE_NONE),
        .reserve_since_us = c->reserve_since_us,
        .reserve_up_us = c->reserve_up_us,
    };

    look_at_path(c, &f);
    f.progress_us = c->progress_us;
    switch (live_judge(&f)) {
    case LIVE_PING:
        mux_time(carrier_mux(c->carrier), now_us);
        mux_ping(carrier_mux(c->carrier));
        break;
    case LIVE_DIAL:
        dial_reserve(c);
        break;
    case LIVE_DROP_RESERVE:
        log_info(c->log, "the server answers again; the session goes on");
        client_drop_reserve(c);
        c->reserve_since_us = 0;
        break;
    case LIVE_SWITCH:
        carrier_fail(c->carrier, REASON_PING_TIMEOUT,
                     "no answer on the old connection while a new one works");
        break;
    case LIVE_DEAD:
        carrier_fail(c->carrier, REASON_PING_TIMEOUT, "no answer, and no new connection either");
        break;
    case LIVE_WAIT:
        break;
    }
}
