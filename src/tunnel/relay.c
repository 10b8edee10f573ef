#include "tunnel/relay.h"

#include <stdbool.h>

#include "net/net.h"
#include "tunnel/work.h"

static void on_side(struct stream *s, enum stream_event event, const uint8_t *data, size_t len);

static struct relay_side *side_of(struct relay *r, const struct stream *s)
{
    return r->user.stream == s ? &r->user : &r->work;
}

static struct relay_side *other_side(struct relay *r, const struct relay_side *side)
{
    return side == &r->user ? &r->work : &r->user;
}

static void finished(struct relay *r, enum reason why)
{
    if (r->ended != REASON_NONE)
        return;
    r->ended = why;
    r->done(r);
}

static void let_go(struct relay_side *side, bool reset)
{
    struct stream *s = side->stream;

    side->stream = NULL;
    if (s == NULL)
        return;
    if (reset)
        stream_reset(s);
    else
        stream_close(s);
}

static void end(struct relay *r, enum reason why, bool reset)
{
    let_go(&r->user, reset);
    let_go(&r->work, reset);
    finished(r, why);
}

void relay_abort(struct relay *r, enum reason why)
{
    if (r->ended == REASON_NONE)
        end(r, why, true);
}

static void got_data(struct relay *r, struct relay_side *from, const uint8_t *data, size_t len)
{
    struct relay_side *to = other_side(r, from);

    from->received += len;
    if (to->stream != NULL)
        stream_write(to->stream, data, len);
    else if (from->stream != NULL)
        stream_consumed(from->stream, len);
}

static void sent(struct relay *r, struct relay_side *to, size_t len)
{
    struct relay_side *from = other_side(r, to);

    to->sent += len;
    if (from->stream != NULL)
        stream_consumed(from->stream, len);
}

static void got_eof(struct relay *r, struct relay_side *from)
{
    struct relay_side *to = other_side(r, from);

    from->eof = true;
    if (!r->exact_ends || to->eof) {
        end(r, REASON_DONE, false);
        return;
    }
    r->active_us = net_now_us();
    if (to->stream != NULL)
        stream_finish(to->stream);
}

/* A peer that is gone may have been in the middle of an answer: a reset says so, where an orderly
 * end would make a truncated answer look whole. */
static void got_closed(struct relay *r, struct relay_side *from, enum reason why)
{
    from->stream = NULL; /* it has let go of us */
    end(r, why, true);
}

static void on_side(struct stream *s, enum stream_event event, const uint8_t *data, size_t len)
{
    struct relay *r = s->owner;
    struct relay_side *side = side_of(r, s);

    switch (event) {
    case STREAM_DATA:
        got_data(r, side, data, len);
        break;
    case STREAM_SENT:
        sent(r, side, len);
        break;
    case STREAM_EOF:
        got_eof(r, side);
        break;
    case STREAM_CLOSED:
        got_closed(r, side, s->why);
        break;
    case STREAM_OPEN:
        break;
    }
}

void relay_start(struct relay *r, struct stream *user, struct stream *work, bool exact_ends,
                 void (*done)(struct relay *r), void *owner)
{
    *r = (struct relay){.exact_ends = exact_ends, .done = done, .owner = owner};
    r->user.stream = user;
    r->work.stream = work;
    user->on = on_side;
    user->owner = r;
    work_open(work, on_side, r);
}

void relay_tick(struct relay *r, uint64_t now_us)
{
    uint64_t moved = r->user.sent + r->work.sent;

    if (r->ended != REASON_NONE || !(r->user.eof || r->work.eof))
        return;
    if (moved != r->moved) {
        r->moved = moved;
        r->active_us = now_us;
    } else if (now_us - r->active_us > (uint64_t)RELAY_HALF_IDLE_S * 1000 * 1000) {
        end(r, REASON_HALF_CLOSED_IDLE, false);
    }
}

size_t relay_held(const struct relay *r)
{
    return (r->user.stream ? stream_held(r->user.stream) : 0) +
           (r->work.stream ? stream_held(r->work.stream) : 0);
}
