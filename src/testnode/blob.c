#include "testnode/blob.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CAP_MIN = 256 };

/* Room for `len` more bytes and a terminator that vsnprintf wants. */
static char *reserve(struct blob *b, size_t len)
{
    size_t need = b->len + len + 1;

    if (need > b->cap) {
        b->cap = need < 2 * b->cap ? 2 * b->cap : need;
        b->cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;
        b->data = mem_realloc(b->data, b->cap);
    }
    return b->data + b->len;
}

void blob_add(struct blob *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(reserve(b, len), data, len);
    b->len += len;
}

void blob_fill(struct blob *b, char byte, size_t count)
{
    memset(reserve(b, count), byte, count);
    b->len += count;
}

void blob_printf(struct blob *b, const char *format, ...)
{
    size_t room = CAP_MIN; /* for most */
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(reserve(b, room), room, format, args);
    va_end(args);
    if (len >= (int)room) {
        va_start(args, format);
        vsnprintf(reserve(b, (size_t)len), (size_t)len + 1, format, args);
        va_end(args);
    }
    if (len > 0)
        b->len += (size_t)len;
}

static int add_dumped(const char *data, size_t len, void *arg)
{
    blob_add(arg, data, len);
    return 0;
}

void blob_json(struct blob *b, const struct json_t *value)
{
    json_dump_callback(value, add_dumped, b, JSON_COMPACT | JSON_ENCODE_ANY);
}

void blob_drop(struct blob *b, size_t len)
{
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
}

void blob_clear(struct blob *b)
{
    mem_free(b->data);
    *b = (struct blob){0};
}
