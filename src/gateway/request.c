#include "gateway/internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"

bool request_wants(const struct exchange *x)
{
    return !x->over && !x->request_done && (x->discard || (x->sent && x->up != NULL));
}

static void forward(struct exchange *x, const char *data, size_t len)
{
    if (x->discard || len == 0)
        return;
    x->bytes_in += len;
    x->gw->counters.bytes_in += len;
    upstream_write(x->up, data, len);
}

/* What is passed on of the body itself. */
static void forward_body(struct exchange *x, const char *data, size_t len)
{
    forward(x, data, len);
    if (!x->discard)
        asked_take(&x->gw->asked, x, data, len);
}

static size_t take_length(struct exchange *x, const char *data, size_t len)
{
    size_t n = x->request_left < len ? (size_t)x->request_left : len;

    forward_body(x, data, n);
    x->request_left -= n;
    x->request_done = x->request_left == 0;
    return n;
}

/* The coding is written anew, chunk by chunk as they came, so that only one reading of it reaches
 * MLNode. Trailers end here (RFC 9110 6.5.1): some servers merge them into the head. */
static void forward_chunk(struct exchange *x, const struct http_chunk_event *e)
{
    char line[24];

    switch (e->kind) {
    case HTTP_CHUNK_BEGIN:
        forward(x, line, (size_t)snprintf(line, sizeof(line), "%" PRIx64 "\r\n", e->size));
        break;
    case HTTP_CHUNK_DATA:
        forward_body(x, e->data, e->len);
        break;
    case HTTP_CHUNK_END:
        forward(x, "\r\n", 2);
        break;
    case HTTP_CHUNK_DONE:
        forward(x, "0\r\n\r\n", 5);
        x->request_done = true;
        break;
    case HTTP_CHUNK_TRAILER:
        break;
    }
}

/* ERR_OK, or what http_chunk_next refused with. */
static int take_chunks(struct exchange *x, const char *data, size_t len, size_t *used)
{
    int rc = ERR_OK;

    *used = 0;
    while (*used < len && !x->request_done && rc == ERR_OK) {
        struct http_chunk_event event;
        size_t n;

        rc = http_chunk_next(&x->request_chunk, data + *used, len - *used, &n, &event);
        *used += n;
        if (rc == ERR_OK)
            forward_chunk(x, &event);
    }
    return rc == ERR_MORE ? ERR_OK : rc;
}

size_t request_take(struct exchange *x, const char *data, size_t len)
{
    const struct http_error broken = {
        .status = 400,
        .type = "invalid_request_error",
        .code = "bad_chunk",
        .message = "The body of the request is not in the chunked coding that its head announces.",
    };
    struct downstream *c = x->client;
    size_t used = 0;
    int rc = ERR_OK;

    if (x->request.kind == HTTP_BODY_LENGTH)
        used = take_length(x, data, len);
    else
        rc = take_chunks(x, data, len, &used);
    downstream_owes(c, used, x->discard ? 0 : x->up->queued);
    if (rc != ERR_OK) {
        x->keep_alive = false;
        exchange_fail(x, &broken, REASON_BAD_REQUEST);
        return len;
    }
    if (x->request_done && x->discard)
        exchange_end(x, x->why, false);
    else if (x->request_done && x->route.asks_model && asked_done(&x->gw->asked, x))
        log_info(x->gw->host->log, "inference/up asks for the model %s", x->gw->asked.name);
    return used;
}
