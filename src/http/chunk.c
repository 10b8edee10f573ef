#include "http/chunk.h"

#include "base/err.h"
#include "base/text.h"
#include "http/head.h"

#include <string.h>

enum {
    SIZE = 0, /* hex digits */
    EXT,      /* after ';' up to CR */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* first byte of a trailer line or of the last CRLF */
    NAME,
    VALUE,
    VALUE_LF,
    LAST_LF,
    OVER,
};

/* Inside a step: no verdict yet, take the next byte. */
enum { GO_ON = 1 };

void http_chunk_init(struct http_chunk *c)
{
    *c = (struct http_chunk){.state = SIZE};
}

static int step_size(struct http_chunk *c, unsigned char byte)
{
    int digit = text_hex_digit((char)byte);

    if (digit >= 0) {
        if (c->digits == HTTP_CHUNK_DIGITS_MAX)
            return ERR_LIMIT;
        c->digits++;
        c->size = c->size << 4 | (unsigned)digit;
        return GO_ON;
    }
    if (c->digits == 0 || (byte != '\r' && byte != ';'))
        return ERR_SYNTAX;
    c->state = byte == '\r' ? SIZE_LF : EXT;
    return GO_ON;
}

static int step_ext(struct http_chunk *c, unsigned char byte)
{
    if (byte == '\r') {
        c->state = SIZE_LF;
        return GO_ON;
    }
    if (!http_is_value_byte(byte))
        return ERR_SYNTAX;
    return ++c->ext > HTTP_CHUNK_EXT_MAX ? ERR_LIMIT : GO_ON;
}

static int expect(struct http_chunk *c, unsigned char byte, char want, int next)
{
    if (byte != (unsigned char)want)
        return ERR_SYNTAX;
    c->state = next;
    return GO_ON;
}

/* The framing around the data, byte by byte. GO_ON, 0 with an event, or a refusal. */
static int step_frame(struct http_chunk *c, unsigned char byte, struct http_chunk_event *out)
{
    int rc;

    switch (c->state) {
    case SIZE:
        return step_size(c, byte);
    case EXT:
        return step_ext(c, byte);
    case SIZE_LF:
        rc = expect(c, byte, '\n', c->size ? DATA : LINE);
        if (rc != GO_ON || c->size == 0)
            return rc;
        *out = (struct http_chunk_event){.kind = HTTP_CHUNK_BEGIN, .size = c->size};
        return 0;
    case DATA_CR:
        return expect(c, byte, '\r', DATA_LF);
    default: /* DATA_LF */
        rc = expect(c, byte, '\n', SIZE);
        if (rc != GO_ON)
            return rc;
        c->digits = 0;
        c->ext = 0;
        *out = (struct http_chunk_event){.kind = HTTP_CHUNK_END};
        return 0;
    }
}

static int step_trailer(struct http_chunk *c, unsigned char byte)
{
    if (c->state == LINE && byte == '\r') {
        c->state = LAST_LF;
        return GO_ON;
    }
    if (++c->trailer > HTTP_TRAILER_MAX)
        return ERR_LIMIT;
    switch (c->state) {
    case LINE:
        if (!http_is_token_byte(byte))
            return ERR_SYNTAX;
        c->state = NAME;
        return ++c->fields > HTTP_TRAILER_FIELDS_MAX ? ERR_LIMIT : GO_ON;
    case NAME:
        if (byte == ':')
            c->state = VALUE;
        else if (!http_is_token_byte(byte))
            return ERR_SYNTAX;
        return GO_ON;
    case VALUE:
        if (byte == '\r')
            c->state = VALUE_LF;
        else if (!http_is_value_byte(byte))
            return ERR_SYNTAX;
        return GO_ON;
    default: /* VALUE_LF */
        return expect(c, byte, '\n', LINE);
    }
}

static int take_data(struct http_chunk *c, const char *data, size_t len, size_t *used,
                     struct http_chunk_event *out)
{
    size_t n = c->size < len ? (size_t)c->size : len;

    *out = (struct http_chunk_event){.kind = HTTP_CHUNK_DATA, .data = data, .len = n};
    *used += n;
    c->size -= n;
    if (c->size == 0)
        c->state = DATA_CR;
    return 0;
}

/* Takes trailer bytes up to the first one of the closing CRLF. 0 with an event when there were any.
 */
static int take_trailer(struct http_chunk *c, const char *data, size_t len, size_t *used,
                        struct http_chunk_event *out)
{
    size_t n = 0;
    int rc = GO_ON;

    while (n < len && c->state != LAST_LF && rc == GO_ON)
        rc = step_trailer(c, (unsigned char)data[n++]);
    *used += n;
    if (rc != GO_ON)
        return rc;
    n -= c->state == LAST_LF;
    *out = (struct http_chunk_event){.kind = HTTP_CHUNK_TRAILER, .data = data, .len = n};
    return n > 0 ? 0 : GO_ON;
}

static int advance(struct http_chunk *c, const char *data, size_t len, size_t *used,
                   struct http_chunk_event *out)
{
    int rc;

    switch (c->state) {
    case DATA:
        return take_data(c, data, len, used, out);
    case LINE:
    case NAME:
    case VALUE:
    case VALUE_LF:
        return take_trailer(c, data, len, used, out);
    case LAST_LF:
        *used += 1;
        rc = expect(c, (unsigned char)data[0], '\n', OVER);
        *out = (struct http_chunk_event){.kind = HTTP_CHUNK_DONE};
        return rc == GO_ON ? 0 : rc;
    default:
        *used += 1;
        return step_frame(c, (unsigned char)data[0], out);
    }
}

int http_chunk_next(struct http_chunk *c, const char *data, size_t len, size_t *used,
                    struct http_chunk_event *out)
{
    int rc = GO_ON;

    *used = 0;
    if (c->state == OVER)
        return ERR_NOTNOW;
    while (rc == GO_ON && *used < len)
        rc = advance(c, data + *used, len - *used, used, out);
    if (rc == GO_ON)
        return ERR_MORE;
    if (rc < 0)
        c->state = OVER;
    return rc;
}
