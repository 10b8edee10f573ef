/* First byte: how the rest is split. Whatever the split, the decoder gives the same verdict after
 * the same bytes and, merged, the same events; and what it gave, put back together, decodes to
 * itself. */
#include "base/err.h"
#include "base/mem.h"
#include "http/chunk.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 16 };

/* A canonical encoding of what was seen: one chunk an event pair, no extensions. */
struct seen {
    char out[OUT_MAX];
    size_t len;
    size_t trailer; /* bytes of out that are trailers */
    size_t taken;
    uint64_t left; /* of the open chunk */
    int rc;
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s\n", #condition);                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void put(struct seen *s, const char *data, size_t len)
{
    MUST(s->len + len <= sizeof(s->out));
    memcpy(s->out + s->len, data, len);
    s->len += len;
}

static void put_event(struct seen *s, const struct http_chunk_event *e)
{
    char size[32];

    switch (e->kind) {
    case HTTP_CHUNK_BEGIN:
        MUST(e->size > 0 && s->left == 0);
        s->left = e->size;
        put(s, size, (size_t)snprintf(size, sizeof(size), "%llx\r\n", (unsigned long long)e->size));
        break;
    case HTTP_CHUNK_DATA:
        MUST(e->len > 0 && e->len <= s->left);
        s->left -= e->len;
        put(s, e->data, e->len);
        break;
    case HTTP_CHUNK_END:
        MUST(s->left == 0);
        put(s, "\r\n", 2);
        break;
    case HTTP_CHUNK_TRAILER:
        MUST(e->len > 0);
        if (s->trailer == 0)
            put(s, "0\r\n", 3);
        s->trailer += e->len;
        put(s, e->data, e->len);
        break;
    case HTTP_CHUNK_DONE:
        put(s, s->trailer ? "\r\n" : "0\r\n\r\n", s->trailer ? 2 : 5);
        break;
    }
}

static void decode(const char *data, size_t len, size_t step, struct seen *s)
{
    struct http_chunk chunk;
    struct http_chunk_event event = {0};

    s->len = s->trailer = s->taken = 0;
    s->left = 0;
    s->rc = ERR_MORE;
    http_chunk_init(&chunk);
    while (s->taken < len && s->rc == ERR_MORE) {
        size_t end = s->taken + step < len ? s->taken + step : len;

        do {
            size_t used;

            s->rc = http_chunk_next(&chunk, data + s->taken, end - s->taken, &used, &event);
            MUST(used <= end - s->taken);
            s->taken += used;
            if (s->rc == 0)
                put_event(s, &event);
        } while (s->rc == 0 && event.kind != HTTP_CHUNK_DONE);
        MUST(s->rc != ERR_MORE || s->taken == end);
    }
}

static void same(const struct seen *a, const struct seen *b)
{
    MUST(a->rc == b->rc && a->taken == b->taken);
    if (a->rc == ERR_SYNTAX || a->rc == ERR_LIMIT) /* a refused trailer may be handed out in part */
        return;
    MUST(a->len == b->len && memcmp(a->out, b->out, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen whole;
    static struct seen split;
    static struct seen again;
    char *text;

    if (size < 2 || size > OUT_MAX / 8)
        return 0;
    text = mem_alloc(size - 1);
    memcpy(text, data + 1, size - 1);
    decode(text, size - 1, size, &whole);
    decode(text, size - 1, (size_t)data[0] + 1, &split);
    same(&whole, &split);
    if (whole.rc == 0) {
        decode(whole.out, whole.len, whole.len, &again);
        MUST(again.rc == 0 && again.taken == whole.len);
        MUST(again.len == whole.len && memcmp(again.out, whole.out, whole.len) == 0);
    }
    mem_free(text);
    return 0;
}
