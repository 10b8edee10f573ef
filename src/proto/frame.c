#include "proto/frame.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void frame_reader_init(struct frame_reader *r)
{
    memset(r, 0, sizeof *r);
}

void frame_reader_clear(struct frame_reader *r)
{
    mem_free(r->body);
    frame_reader_init(r);
}

bool frame_reader_idle(const struct frame_reader *r)
{
    return r->head_got == 0 && r->error == 0;
}

static int fail(struct frame_reader *r, int code)
{
    frame_reader_clear(r);
    r->error = code;
    return code;
}

static int take_head(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used)
{
    size_t n = MSG_HEAD_LEN - (size_t)r->head_got;
    uint64_t body_len = 0;

    if (n > len)
        n = len;
    memcpy(r->head + r->head_got, data, n);
    r->head_got = (uint8_t)(r->head_got + n);
    *used = n;
    if (r->head_got > 0 && !msg_type_known(r->head[0]))
        return ERR_TYPE;
    if (r->head_got < MSG_HEAD_LEN)
        return ERR_MORE;
    for (int i = 1; i < MSG_HEAD_LEN; i++)
        body_len = body_len << 8 | r->head[i];
    if (body_len == 0 || body_len > INT64_MAX)
        return ERR_SYNTAX;
    if (body_len > MSG_BODY_MAX)
        return ERR_LIMIT;
    r->body_len = (uint16_t)body_len;
    return 0;
}

/* Keeps what has arrived of a body; 0 when it is complete. */
static int take_body(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used)
{
    size_t n = (size_t)r->body_len - r->body_got;

    if (n > len)
        n = len;
    *used += n;
    if (n > 0) {
        if (r->body == NULL)
            r->body = mem_alloc(r->body_len);
        memcpy(r->body + r->body_got, data, n);
        r->body_got = (uint16_t)(r->body_got + n);
    }
    return r->body_got < r->body_len ? ERR_MORE : 0;
}

static int finish(struct frame_reader *r, const uint8_t *body, struct msg *out)
{
    struct msg m;
    int rc = msg_decode(&m, r->head[0], body, r->body_len);

    if (rc != 0)
        return fail(r, rc);
    *out = m;
    frame_reader_clear(r);
    return 0;
}

int frame_feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used,
               struct msg *out)
{
    int rc;

    *used = 0;
    if (r->error != 0)
        return r->error;
    if (r->head_got < MSG_HEAD_LEN) {
        rc = take_head(r, data, len, used);
        if (rc != 0)
            return rc == ERR_MORE ? rc : fail(r, rc);
    }
    data += *used;
    len -= *used;
    /* The usual case: the whole body is in this read and needs no copy. */
    if (r->body_got == 0 && len >= r->body_len) {
        *used += r->body_len;
        return finish(r, data, out);
    }
    rc = take_body(r, data, len, used);
    return rc != 0 ? rc : finish(r, r->body, out);
}
