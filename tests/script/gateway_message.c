#include "gateway_message.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { DIGITS_MAX = 16 };

/* A body is never longer than the bytes it is read from: there is room. */
static void add(struct message *m, const char *data, size_t len)
{
    memcpy(m->body + m->body_len, data, len);
    m->body_len += len;
    m->body[m->body_len] = '\0';
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "1a\r\n", with an extension after ';' as engines may send; bytes used, 0: cut short, or what is
 * wrong in *wrong. */
static size_t size_line(const char *at, size_t len, uint64_t *size, const char **wrong)
{
    const char *end = memchr(at, '\n', len);
    size_t i = 0;

    *size = 0;
    while (i < len && digit_of(at[i]) >= 0)
        *size = *size * 16 + (uint64_t)digit_of(at[i++]);
    if (i > DIGITS_MAX || (i == 0 && len > 0))
        *wrong = "chunk size";
    else if (i < len && at[i] != '\r' && at[i] != ';')
        *wrong = "end of chunk size";
    else if (end != NULL && end[-1] != '\r')
        *wrong = "bare LF in chunk size";
    return end == NULL || *wrong ? 0 : (size_t)(end - at) + 1;
}

/* The trailer section and the empty line; bytes used, 0: cut short. */
static size_t last_lines(const char *at, size_t len)
{
    size_t used = 0;

    for (;;) {
        const char *end = memchr(at + used, '\n', len - used);

        if (end == NULL)
            return 0;
        if (end == at + used + 1 && at[used] == '\r')
            return used + 2;
        used = (size_t)(end - at) + 1;
    }
}

/* Bytes of the body when it is complete, `len` otherwise. */
static size_t read_chunks(struct message *m, const char *at, size_t len, const char **wrong)
{
    size_t used = 0;

    while (used < len) {
        uint64_t size;
        size_t line = size_line(at + used, len - used, &size, wrong);
        size_t left = len - used - line;

        if (line == 0)
            return len;
        used += line;
        if (size == 0) {
            size_t rest = last_lines(at + used, left);

            m->complete = rest > 0;
            return rest > 0 ? used + rest : len;
        }
        m->chunks++;
        add(m, at + used, size < left ? (size_t)size : left);
        if (left < 2 || left - 2 < size)
            return len;
        used += (size_t)size;
        if (memcmp(at + used, "\r\n", 2) != 0)
            *wrong = "no CRLF after a chunk";
        used += 2;
    }
    return used;
}

static size_t read_body(struct message *m, const char *at, size_t len, bool ended,
                        const char **wrong)
{
    uint64_t want = m->framing.length;

    switch (m->framing.kind) {
    case HTTP_BODY_NONE:
        m->complete = true;
        return 0;
    case HTTP_BODY_LENGTH:
        m->complete = len >= want;
        add(m, at, m->complete ? (size_t)want : len);
        return m->body_len;
    case HTTP_BODY_CHUNKED:
        return read_chunks(m, at, len, wrong);
    case HTTP_BODY_CLOSE:
        m->complete = ended;
        add(m, at, len);
        return len;
    }
    return 0;
}

const char *message_read(const char *data, size_t len, enum message_kind kind, bool ended,
                         struct message *out)
{
    bool request = kind == MESSAGE_REQUEST;
    const char *wrong = NULL;
    size_t scan = 0;
    int rc;

    *out = (struct message){.length = len};
    out->head.headers = out->slots;
    out->head.max_headers = HTTP_HEADERS_MAX;
    out->body = mem_alloc(len + 1);
    out->body[0] = '\0';
    rc = request ? http_request_parse(data, len, &scan, &out->head)
                 : http_response_parse(data, len, &scan, &out->head);
    if (rc == ERR_MORE)
        return NULL;
    if (rc == 0)
        rc = http_framing_decide(&out->head, kind == MESSAGE_RESPONSE_TO_HEAD, &out->framing);
    if (rc != 0)
        return out->head.why;
    out->has_head = true;
    out->length = out->head.length;
    out->length += read_body(out, data + out->head.length, len - out->head.length, ended, &wrong);
    return wrong;
}

void message_clear(struct message *m)
{
    mem_free(m->body);
    m->body = NULL;
}

bool message_field(const struct message *m, const char *name, char *out, size_t size)
{
    const struct http_header *field = http_header_find(&m->head, name, 0);

    if (field == NULL ||
        http_header_find(&m->head, name, (size_t)(field - m->head.headers) + 1) != NULL)
        return false;
    snprintf(out, size, "%.*s", (int)field->value.len, field->value.at);
    return true;
}
