#include "tunnel/control.h"

#include <string.h>

#include "base/err.h"

/* Control traffic is small; a kilobyte at a time keeps the stack small too. */
enum { DECRYPT_STEP = 1024 };

void control_init(struct control *c, struct mux_stream *stream,
                  void (*message)(void *ctx, struct msg *m), void (*broken)(void *ctx, int code),
                  void *ctx)
{
    *c = (struct control){.stream = stream, .message = message, .broken = broken, .ctx = ctx};
    frame_reader_init(&c->reader);
}

void control_clear(struct control *c)
{
    frame_reader_clear(&c->reader);
    cipher_free(c->read_cipher);
    cipher_free(c->write_cipher);
    c->read_cipher = NULL;
    c->write_cipher = NULL;
    c->stream = NULL;
    c->ended = true;
}

static void fail(struct control *c, int code)
{
    if (c->ended)
        return;
    c->ended = true;
    c->broken(c->ctx, code);
}

/* Clear bytes; stops where a handler has switched the cipher on. Returns what was used. */
static size_t decode(struct control *c, const uint8_t *data, size_t len)
{
    const struct cipher *before = c->read_cipher;
    size_t done = 0;

    while (done < len && !c->ended && c->read_cipher == before) {
        struct msg m;
        size_t used = 0;
        int rc = frame_feed(&c->reader, data + done, len - done, &used, &m);

        done += used;
        if (rc == ERR_OK) {
            c->message(c->ctx, &m);
            msg_clear(&m);
        } else if (rc != ERR_MORE) {
            fail(c, rc);
        }
    }
    return done;
}

static size_t decode_encrypted(struct control *c, const uint8_t *data, size_t len)
{
    uint8_t clear[DECRYPT_STEP];
    size_t n = len < sizeof(clear) ? len : sizeof(clear);
    size_t out = 0;

    if (cipher_update(c->read_cipher, data, n, clear, sizeof(clear), &out) != ERR_OK)
        fail(c, ERR_CRYPTO);
    else
        decode(c, clear, out);
    return n;
}

void control_input(struct control *c, const uint8_t *data, size_t len)
{
    while (len > 0 && !c->ended) {
        size_t used = c->read_cipher ? decode_encrypted(c, data, len) : decode(c, data, len);

        data += used;
        len -= used;
    }
}

int control_send(struct control *c, const struct msg *m)
{
    uint8_t frame[MSG_FRAME_MAX];
    uint8_t secret[MSG_FRAME_MAX + CIPHER_IV_LEN];
    size_t len;
    int rc;

    if (c->stream == NULL)
        return ERR_NOTNOW;
    if (mux_queued(c->stream) > CONTROL_QUEUE_MAX) {
        fail(c, ERR_NOTNOW);
        return ERR_NOTNOW;
    }
    rc = msg_encode(m, frame, sizeof(frame), &len);
    if (rc != ERR_OK)
        return rc;
    if (c->write_cipher == NULL) {
        mux_send(c->stream, frame, len);
        return ERR_OK;
    }
    rc = cipher_update(c->write_cipher, frame, len, secret, sizeof(secret), &len);
    if (rc == ERR_OK)
        mux_send(c->stream, secret, len);
    return rc;
}

int control_encrypt_reads(struct control *c, const uint8_t key[CIPHER_KEY_LEN])
{
    c->read_cipher = cipher_new_reader(key);
    return c->read_cipher ? ERR_OK : ERR_CRYPTO;
}

int control_encrypt_writes(struct control *c, const uint8_t key[CIPHER_KEY_LEN],
                           const struct randomness *random)
{
    uint8_t iv[CIPHER_IV_LEN];

    random->fill(random->ctx, iv, sizeof(iv));
    c->write_cipher = cipher_new_writer(key, iv);
    return c->write_cipher ? ERR_OK : ERR_CRYPTO;
}

bool control_run_id_ok(const char *run_id, size_t size)
{
    size_t len = strlen(run_id);
    size_t good = 0;

    while (good < len && run_id[good] > ' ' && run_id[good] < 0x7f)
        good++;
    return good == len && len < size;
}
