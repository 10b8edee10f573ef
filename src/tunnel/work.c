#include "tunnel/work.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"

enum { CIPHER_STEP = 16 * 1024 };

struct work {
    struct stream stream;
    struct net *net;
    struct mux_stream *mux;     /* NULL once let go or gone */
    struct work_counts *counts; /* NULL with `mux`, and when nobody counts */
    struct cipher *read_cipher;
    struct cipher *write_cipher;
    struct bytes waiting; /* received before work_open */
    struct net_task task; /* frees after the events on the stack have returned */
    unsigned iv_unsent;   /* bytes of our IV that `sent` must not count */
    unsigned iv_unread;   /* bytes of the peer's IV that nobody will consume */
    bool eof_waiting;
    bool exact_ends;
};

static struct work *from_stream(const struct stream *s)
{
    return LIST_ENTRY(s, struct work, stream);
}

static void free_task(struct net_task *t)
{
    struct work *w = LIST_ENTRY(t, struct work, task);

    bytes_clear(&w->waiting, net_pool(w->net));
    cipher_free(w->read_cipher);
    cipher_free(w->write_cipher);
    mem_free(w);
}

static void without_mux(struct work *w)
{
    w->mux = NULL;
    if (w->counts != NULL)
        w->counts->now--;
    w->counts = NULL;
}

static void let_go(struct work *w)
{
    without_mux(w);
    w->stream.on = NULL;
    net_soon(w->net, &w->task);
}

static void tell(struct work *w, enum stream_event event, const uint8_t *data, size_t len)
{
    if (w->stream.on != NULL)
        w->stream.on(&w->stream, event, data, len);
}

/* ---- from the mux ---------------------------------------------------------------------------- */

static void deliver(struct work *w, const uint8_t *data, size_t len)
{
    if (w->counts != NULL)
        w->counts->bytes_in += len;
    if (w->stream.on != NULL)
        tell(w, STREAM_DATA, data, len);
    else if (w->mux != NULL)
        bytes_append(&w->waiting, net_pool(w->net), data, len);
}

/* The IV is the cipher's, not the reader's: its credit goes back here. */
static void credit_iv(struct work *w, size_t received)
{
    size_t iv = received < w->iv_unread ? received : w->iv_unread;

    if (iv == 0)
        return;
    w->iv_unread -= (unsigned)iv;
    mux_consumed(w->mux, iv);
}

static void decrypt(struct work *w, const uint8_t *data, size_t len)
{
    uint8_t clear[CIPHER_STEP];

    credit_iv(w, len);
    while (len > 0 && w->mux != NULL) {
        size_t n = len < sizeof(clear) ? len : sizeof(clear);
        size_t out = 0;

        if (cipher_update(w->read_cipher, data, n, clear, sizeof(clear), &out) != ERR_OK)
            return;
        if (out > 0)
            deliver(w, clear, out);
        data += n;
        len -= n;
    }
}

static void mux_data(void *ctx, struct mux_stream *s, const uint8_t *data, size_t len)
{
    struct work *w = ctx;

    if (w->read_cipher != NULL)
        decrypt(w, data, len);
    else
        deliver(w, data, len);
}

static void mux_sent(void *ctx, struct mux_stream *s, size_t len)
{
    struct work *w = ctx;
    size_t iv = len < w->iv_unsent ? len : w->iv_unsent;

    w->iv_unsent -= (unsigned)iv;
    if (w->counts != NULL)
        w->counts->bytes_out += len - iv;
    if (len > iv)
        tell(w, STREAM_SENT, NULL, len - iv);
}

static void mux_fin(void *ctx, struct mux_stream *s)
{
    struct work *w = ctx;

    if (w->stream.on != NULL)
        tell(w, STREAM_EOF, NULL, 0);
    else
        w->eof_waiting = true;
}

static void mux_gone(void *ctx, struct mux_stream *s, enum reason why)
{
    struct work *w = ctx;

    without_mux(w);
    w->stream.why = why;
    tell(w, STREAM_CLOSED, NULL, 0);
    if (w->stream.on != NULL)
        let_go(w);
}

static const struct mux_stream_events work_events = {
    .data = mux_data, .sent = mux_sent, .fin = mux_fin, .reset = mux_gone};

/* ---- from the owner ---------------------------------------------------------------------------
 */

static void encrypt(struct work *w, const uint8_t *data, size_t len)
{
    uint8_t secret[CIPHER_STEP + CIPHER_IV_LEN];

    while (len > 0 && w->mux != NULL) {
        size_t n = len < CIPHER_STEP ? len : CIPHER_STEP;
        size_t out = 0;

        if (cipher_update(w->write_cipher, data, n, secret, sizeof(secret), &out) != ERR_OK)
            return;
        mux_send(w->mux, secret, out);
        data += n;
        len -= n;
    }
}

static void op_write(struct stream *s, const uint8_t *data, size_t len)
{
    struct work *w = from_stream(s);

    if (w->mux == NULL)
        return;
    if (w->write_cipher != NULL)
        encrypt(w, data, len);
    else
        mux_send(w->mux, data, len);
}

static void op_consumed(struct stream *s, size_t len)
{
    struct work *w = from_stream(s);

    if (w->mux != NULL)
        mux_consumed(w->mux, len);
}

static void op_finish(struct stream *s)
{
    struct work *w = from_stream(s);

    if (w->mux != NULL)
        mux_finish(w->mux);
}

static void op_close(struct stream *s)
{
    struct work *w = from_stream(s);

    if (w->mux != NULL)
        mux_release(w->mux);
    let_go(w);
}

static void op_reset(struct stream *s)
{
    struct work *w = from_stream(s);

    if (w->mux != NULL && w->exact_ends)
        mux_reset(w->mux);
    else if (w->mux != NULL)
        mux_release(w->mux);
    let_go(w);
}

static size_t op_held(const struct stream *s)
{
    const struct work *w = from_stream(s);

    return w->waiting.held + (w->mux ? mux_held(w->mux) : 0);
}

static const struct stream_ops work_ops = {
    .write = op_write,
    .consumed = op_consumed,
    .finish = op_finish,
    .close = op_close,
    .reset = op_reset,
    .held = op_held,
};

static bool set_ciphers(struct work *w, const struct work_options *o)
{
    uint8_t iv[CIPHER_IV_LEN];

    if (o->key == NULL)
        return true;
    o->random->fill(o->random->ctx, iv, sizeof(iv));
    w->write_cipher = cipher_new_writer(o->key, iv);
    w->read_cipher = cipher_new_reader(o->key);
    w->iv_unsent = CIPHER_IV_LEN;
    w->iv_unread = CIPHER_IV_LEN;
    return w->write_cipher != NULL && w->read_cipher != NULL;
}

struct stream *work_new(struct mux_stream *s, const struct work_options *o)
{
    struct work *w = mem_zalloc(sizeof(*w));

    w->stream.ops = &work_ops;
    w->net = o->net;
    w->mux = s;
    w->exact_ends = o->exact_ends;
    w->counts = o->counts;
    if (w->counts != NULL) {
        w->counts->now++;
        w->counts->all++;
    }
    net_task_init(&w->task, free_task);
    mux_attach(s, &work_events, w);
    if (set_ciphers(w, o))
        return &w->stream;
    op_close(&w->stream);
    return NULL;
}

void work_early(struct stream *s, const uint8_t *data, size_t len)
{
    struct work *w = from_stream(s);

    if (w->mux != NULL && len > 0)
        mux_data(w, w->mux, data, len);
}

static void deliver_waiting(struct work *w)
{
    while (w->waiting.len > 0 && w->stream.on != NULL) {
        size_t len;
        const uint8_t *data = bytes_peek(&w->waiting, &len);

        tell(w, STREAM_DATA, data, len);
        bytes_consume(&w->waiting, net_pool(w->net), len);
    }
}

void work_open(struct stream *s,
               void (*on)(struct stream *, enum stream_event, const uint8_t *, size_t), void *owner)
{
    struct work *w = from_stream(s);

    s->on = on;
    s->owner = owner;
    deliver_waiting(w);
    if (w->eof_waiting && w->stream.on != NULL)
        tell(w, STREAM_EOF, NULL, 0);
    if (w->mux == NULL && w->stream.on != NULL) {
        tell(w, STREAM_CLOSED, NULL, 0); /* it went before anybody listened */
        if (w->stream.on != NULL)
            let_go(w);
    }
}
