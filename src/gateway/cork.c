#include "gateway/internal.h"

#include <string.h>

/* Longer pieces are not worth the copy. */
enum { CORK_DIRECT = 8 * 1024 };

void cork_flush(struct gateway *g)
{
    struct cork *k = &g->cork;
    struct stream *s = k->stream;

    if (s == NULL || k->writing)
        return;
    k->stream = NULL;
    k->writing = true; /* STREAM_SENT may come inside; what it writes goes past the cork */
    stream_write(s, (const uint8_t *)k->data, k->len);
    k->writing = false;
    k->len = 0;
}

void cork_drop(struct gateway *g, const struct stream *s)
{
    if (g->cork.stream != s)
        return;
    g->cork.stream = NULL;
    g->cork.len = 0;
}

void cork_write(struct gateway *g, struct stream *s, const char *data, size_t len)
{
    struct cork *k = &g->cork;

    if (k->stream != NULL && (k->stream != s || len > sizeof(k->data) - k->len))
        cork_flush(g);
    if (k->writing || (k->stream == NULL && len > CORK_DIRECT)) {
        stream_write(s, (const uint8_t *)data, len);
        return;
    }
    k->stream = s;
    memcpy(k->data + k->len, data, len);
    k->len += len;
}
