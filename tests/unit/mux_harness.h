/* A mux session on the bench: its events become text, its frames become bytes, its clock and the
 * room of its pipe are set by hand.
 *
 * Frames are written as words, both to feed them and to read what left:
 *   W1S=0  WindowUpdate, stream 1, SYN, delta 0      D1:abc   Data, stream 1, payload "abc"
 *   D1F=5  Data with FIN and five bytes of 'x'       P0A=7    Ping, ACK, id 7
 *   G0=1   GoAway, code 1                            flags    S SYN, A ACK, F FIN, R RST
 * Events read: open1 data1=5 sent1=5 fin1 reset1:peer-reset pong=100. Data of one stream that
 * arrives in pieces is one word, so that the text does not depend on how the input was cut. */
#ifndef TEST_MUX_HARNESS_H
#define TEST_MUX_HARNESS_H

#include "base/err.h"
#include "base/mem.h"
#include "mux/frame.h"
#include "mux/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    EVENTS_SIZE = 64 * 1024,
    ANY_STREAMS = 100000,
    UNLIMITED = 1 << 30,
};

enum what {
    ON_OPENED = 1,
    ON_OUTPUT = 2,
    ON_PONG = 3,
    ON_DATA = 4,
    ON_SENT = 5,
    ON_FIN = 6,
    ON_RESET = 7,
};

struct buffer {
    uint8_t *data;
    size_t len;
    size_t size;
};

struct end {
    struct mux_session *mux;
    struct pool pool;
    struct buffer out; /* frames that left */
    struct buffer got; /* payload of all streams, in order of arrival */
    size_t room;       /* what the pipe still takes */
    size_t taken;      /* of `out`, what the other end has received */
    uint32_t data_id;  /* the last event word is data of this stream */
    size_t data_len;
    size_t data_at;
    unsigned outputs; /* `output` events */
    bool refuse;      /* answer of `opened` */
    bool consume;     /* data is consumed at once */
    bool release_on_fin;
    struct mux_stream *last; /* the newest stream of `opened` */
    /* Called first in every event. */
    void (*react)(struct end *e, enum what what, struct mux_stream *s);
    void *react_ctx;
    size_t events_len;
    char events[EVENTS_SIZE];
    char text[EVENTS_SIZE]; /* what end_events and end_frames return */
};

static inline void buffer_put(struct buffer *b, const void *data, size_t len)
{
    if (b->len + len > b->size) {
        b->size = (b->len + len) * 2;
        b->data = mem_realloc(b->data, b->size);
    }
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

static inline void buffer_clear(struct buffer *b)
{
    mem_free(b->data);
    *b = (struct buffer){0};
}

/* ---- events as text -------------------------------------------------------------------------- */

static inline void note(struct end *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void note(struct end *e, const char *format, ...)
{
    size_t room = sizeof(e->events) - e->events_len;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(e->events + e->events_len, room, format, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < room);
    e->events_len += (size_t)n;
}

static inline void word(struct end *e)
{
    e->data_id = 0;
    if (e->events_len > 0)
        note(e, " ");
}

static inline void react(struct end *e, enum what what, struct mux_stream *s)
{
    if (e->react != NULL)
        e->react(e, what, s);
}

static inline void on_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    struct end *e = ctx;
    uint32_t id = mux_stream_id(s);

    assert_true(len > 0);
    if (e->data_id == id) {
        e->events_len = e->data_at;
    } else {
        word(e);
        e->data_id = id;
        e->data_at = e->events_len;
        e->data_len = 0;
    }
    e->data_len += len;
    note(e, "data%u=%zu", id, e->data_len);
    buffer_put(&e->got, data, len);
    if (e->consume)
        mux_consumed(s, len);
    react(e, ON_DATA, s);
}

static inline void on_sent(void *ctx, struct mux_stream *s, size_t len)
{
    struct end *e = ctx;

    word(e);
    note(e, "sent%u=%zu", mux_stream_id(s), len);
    react(e, ON_SENT, s);
}

static inline void on_fin(void *ctx, struct mux_stream *s)
{
    struct end *e = ctx;

    word(e);
    note(e, "fin%u", mux_stream_id(s));
    react(e, ON_FIN, s);
    if (e->release_on_fin)
        mux_release(s);
}

static inline void on_reset(void *ctx, struct mux_stream *s, enum reason why)
{
    struct end *e = ctx;

    word(e);
    note(e, "reset%u:%s", mux_stream_id(s), reason_name(why));
    react(e, ON_RESET, s);
}

static const struct mux_stream_events end_stream_events = {
    .data = on_data, .sent = on_sent, .fin = on_fin, .reset = on_reset};

static inline bool on_opened(void *ctx, struct mux_stream *s)
{
    struct end *e = ctx;

    word(e);
    note(e, "open%u", mux_stream_id(s));
    e->last = s;
    mux_attach(s, &end_stream_events, e);
    react(e, ON_OPENED, s);
    return !e->refuse;
}

static inline void on_output(void *ctx)
{
    struct end *e = ctx;

    e->outputs++;
    react(e, ON_OUTPUT, NULL);
}

static inline void on_pong(void *ctx, uint64_t round_trip_us)
{
    struct end *e = ctx;

    word(e);
    note(e, "pong=%llu", (unsigned long long)round_trip_us);
    react(e, ON_PONG, NULL);
}

static const struct mux_session_events end_session_events = {
    .opened = on_opened, .output = on_output, .pong = on_pong};

/* ---- life ------------------------------------------------------------------------------------ */

static inline void end_init(struct end *e, enum mux_role role, uint32_t max_streams)
{
    memset(e, 0, sizeof(*e));
    pool_init(&e->pool, 0);
    e->room = UNLIMITED;
    e->mux = mux_new(role, &e->pool, max_streams, &end_session_events, e);
    mux_time(e->mux, 1000 * 1000);
}

static inline void end_free(struct end *e)
{
    mux_free(e->mux);
    assert_int_equal(e->pool.held, 0);
    pool_clear(&e->pool);
    buffer_clear(&e->out);
    buffer_clear(&e->got);
}

static inline struct mux_stream *end_open(struct end *e)
{
    return mux_open(e->mux, &end_stream_events, e);
}

static inline void end_send_by(struct mux_stream *s, size_t len, size_t step)
{
    uint8_t *piece = mem_alloc(step);

    memset(piece, 'x', step);
    for (size_t at = 0; at < len; at += step)
        mux_send(s, piece, len - at < step ? len - at : step);
    mem_free(piece);
}

static inline void end_send(struct mux_stream *s, size_t len)
{
    end_send_by(s, len, 64 * 1024);
}

/* The events since the last call. */
static inline const char *end_events(struct end *e)
{
    memcpy(e->text, e->events, e->events_len);
    e->text[e->events_len] = '\0';
    e->events_len = 0;
    e->data_id = 0;
    return e->text;
}

/* ---- the pipe -------------------------------------------------------------------------------- */

static inline size_t end_room(void *ctx)
{
    return ((struct end *)ctx)->room;
}

static inline void end_put(void *ctx, const uint8_t *data, size_t len)
{
    struct end *e = ctx;

    buffer_put(&e->out, data, len);
    e->room -= len < e->room ? len : e->room;
}

static inline void end_pull(struct end *e)
{
    const struct mux_sink sink = {.room = end_room, .put = end_put, .ctx = e};

    mux_output(e->mux, &sink);
}

/* ---- frames as words ------------------------------------------------------------------------- */

static const char type_letters[] = "DWPG";
static const char flag_letters[] = "SAFR";

static inline const char *put_word(struct buffer *b, const char *at)
{
    struct mux_frame f = {.type = (uint8_t)(strchr(type_letters, *at) - type_letters)};
    uint8_t header[MUX_HEADER_SIZE];
    const char *payload = NULL;
    const char *flag;
    char *end;

    f.id = (uint32_t)strtoul(at + 1, &end, 10);
    for (at = end; *at != '\0' && (flag = strchr(flag_letters, *at)) != NULL; at++)
        f.flags |= (uint16_t)(1u << (flag - flag_letters));
    if (*at == '=') {
        f.length = (uint32_t)strtoul(at + 1, &end, 10);
        at = end;
    } else if (*at == ':') {
        payload = at + 1;
        at = payload + strcspn(payload, " ");
        f.length = (uint32_t)(at - payload);
    }
    mux_frame_put(header, &f);
    buffer_put(b, header, sizeof(header));
    for (uint32_t i = 0; f.type == MUX_DATA && i < f.length; i++)
        buffer_put(b, payload ? payload + i : "x", 1);
    return at + strspn(at, " ");
}

static inline void put_words(struct buffer *b, const char *words)
{
    while (*words != '\0')
        words = put_word(b, words);
}

/* Feeds `words` in pieces of `step` bytes; the verdict of the first piece that failed. */
static inline int end_feed_by(struct end *e, const char *words, size_t step)
{
    struct buffer b = {0};
    int rc = ERR_OK;

    put_words(&b, words);
    for (size_t at = 0; at < b.len && rc == ERR_OK; at += step)
        rc = mux_input(e->mux, b.data + at, b.len - at < step ? b.len - at : step);
    buffer_clear(&b);
    return rc;
}

static inline int end_feed(struct end *e, const char *words)
{
    return end_feed_by(e, words, UNLIMITED);
}

/* One frame as a word into `text`; how many bytes the frame is long. */
static inline size_t get_word(char *text, size_t size, const uint8_t *data, size_t len)
{
    char flags[sizeof(flag_letters)];
    struct mux_frame f;
    size_t n = 0;

    assert_true(len >= MUX_HEADER_SIZE);
    assert_int_equal(mux_frame_get(&f, data), ERR_OK);
    for (unsigned i = 0; i < sizeof(flag_letters) - 1; i++)
        if (f.flags & (1u << i))
            flags[n++] = flag_letters[i];
    flags[n] = '\0';
    n = (size_t)snprintf(text, size, "%c%u%s=%u", type_letters[f.type], f.id, flags, f.length);
    assert_true(n < size);
    return MUX_HEADER_SIZE + (f.type == MUX_DATA ? f.length : 0);
}

/* Pulls, and returns the frames that left since the last call. */
static inline const char *end_frames(struct end *e)
{
    size_t used = 0;

    end_pull(e);
    e->text[0] = '\0';
    for (size_t at = 0; at < e->out.len;) {
        if (at > 0)
            e->text[used++] = ' ';
        at += get_word(e->text + used, sizeof(e->text) - used, e->out.data + at, e->out.len - at);
        used += strlen(e->text + used);
    }
    e->out.len = 0;
    e->taken = 0;
    return e->text;
}

/* Pulls, and returns how many payload bytes of one stream left since the last call. */
static inline size_t end_payload(struct end *e, uint32_t id)
{
    size_t sum = 0;

    end_pull(e);
    for (size_t at = 0; at < e->out.len;) {
        struct mux_frame f;

        assert_int_equal(mux_frame_get(&f, e->out.data + at), ERR_OK);
        at += MUX_HEADER_SIZE + (f.type == MUX_DATA ? f.length : 0);
        sum += f.type == MUX_DATA && f.id == id ? f.length : 0;
    }
    e->out.len = 0;
    return sum;
}

/* ---- two ends -------------------------------------------------------------------------------- */

/* Pulls `from` and gives `to` at most `max` bytes, in pieces of `step`; how many went over. */
static inline size_t end_deliver(struct end *from, struct end *to, size_t max, size_t step)
{
    size_t left;

    end_pull(from);
    left = from->out.len - from->taken;
    if (left > max)
        left = max;
    max = left;
    while (left > 0) {
        size_t n = left < step ? left : step;

        assert_int_equal(mux_input(to->mux, from->out.data + from->taken, n), ERR_OK);
        from->taken += n;
        left -= n;
    }
    if (from->taken == from->out.len)
        from->taken = from->out.len = 0;
    return max;
}

/* Until neither has anything left to say. */
static inline void end_settle(struct end *a, struct end *b, size_t step)
{
    while (end_deliver(a, b, SIZE_MAX, step) + end_deliver(b, a, SIZE_MAX, step) > 0)
        ;
}

#endif
