#include "message.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum chunk_place {
    CHUNK_SIZE = 0,
    CHUNK_DATA = 1,
    CHUNK_DATA_END = 2, /* the CRLF behind the data */
    CHUNK_TRAILER = 3,
};

void message_begin(struct message *m, enum message_kind kind)
{
    m->kind = kind;
    m->state = MESSAGE_HEAD;
    m->framing = kind == MESSAGE_ANSWER ? MESSAGE_TO_END : MESSAGE_LENGTH;
    m->status = 0;
    m->old = false;
    m->closes = false;
    m->proxied = false;
    m->left = 0;
    m->chunk = CHUNK_SIZE;
    m->blank = 0;
    m->head_len = 0;
}

/* The value when the line is of that field. */
static const char *field(const char *line, const char *name)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    return line + strspn(line, " ");
}

static void read_field(struct message *m, const char *line)
{
    const char *value;

    if ((value = field(line, "content-length")) != NULL) {
        m->framing = MESSAGE_LENGTH;
        m->left = strtoull(value, NULL, 10);
    } else if ((value = field(line, "transfer-encoding")) != NULL) {
        m->framing = MESSAGE_CHUNKED;
    } else if ((value = field(line, "connection")) != NULL) {
        m->closes |= strncasecmp(value, "close", 5) == 0;
    } else if (field(line, "x-bench-proxy") != NULL) {
        m->proxied = true;
    }
}

static bool read_first_line(struct message *m)
{
    const char *end = strchr(m->head, '\r');

    if (m->kind == MESSAGE_REQUEST) {
        m->old = end - m->head > 8 && strncmp(end - 8, "HTTP/1.0", 8) == 0;
        return end - m->head > 8 && strncmp(end - 8, "HTTP/1.", 7) == 0;
    }
    if (strncmp(m->head, "HTTP/1.", 7) != 0)
        return false;
    m->status = (int)strtol(m->head + 9, NULL, 10);
    return true;
}

static void read_head(struct message *m)
{
    if (!read_first_line(m)) {
        m->state = MESSAGE_BROKEN;
        return;
    }
    for (const char *at = strchr(m->head, '\n'); at[1] != '\r'; at = strchr(at + 1, '\n'))
        read_field(m, at + 1);
    m->state = m->framing == MESSAGE_LENGTH && m->left == 0 ? MESSAGE_DONE : MESSAGE_BODY;
}

static size_t take_head(struct message *m, const uint8_t *data, size_t len)
{
    size_t before = m->head_len;
    size_t from = before < 3 ? 0 : before - 3;
    size_t room = MESSAGE_HEAD_MAX - before;
    size_t n = len < room ? len : room;
    char *end;

    memcpy(m->head + before, data, n);
    end = memmem(m->head + from, before + n - from, "\r\n\r\n", 4);
    if (end == NULL) {
        m->head_len = (uint32_t)(before + n);
        if (n == room)
            m->state = MESSAGE_BROKEN;
        return n;
    }
    m->head_len = (uint32_t)(end + 4 - m->head);
    m->head[m->head_len] = '\0';
    read_head(m);
    return m->head_len - before;
}

static size_t take_data(struct message *m, const uint8_t *data, size_t len, struct piece *out)
{
    size_t n = m->framing != MESSAGE_TO_END && m->left < len ? (size_t)m->left : len;

    out->data = data;
    out->len = n;
    m->left -= m->framing == MESSAGE_TO_END ? 0 : n;
    if (m->left == 0 && m->framing == MESSAGE_LENGTH)
        m->state = MESSAGE_DONE;
    if (m->left == 0 && m->framing == MESSAGE_CHUNKED)
        m->chunk = CHUNK_DATA_END;
    return n;
}

static void size_digit(struct message *m, uint8_t c)
{
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;

    if (digit < 0 || digit > 15 || m->blank > 15)
        m->state = MESSAGE_BROKEN;
    m->left = m->left << 4 | (unsigned)digit;
    m->blank++;
}

/* One octet that is not data. */
static void take_coding(struct message *m, uint8_t c)
{
    if (c == '\r')
        return;
    if (c != '\n' && m->chunk == CHUNK_SIZE) {
        size_digit(m, c);
        return;
    }
    if (c != '\n') {
        m->blank++;
        return;
    }
    if (m->chunk == CHUNK_SIZE)
        m->chunk = m->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    else if (m->chunk == CHUNK_DATA_END)
        m->chunk = CHUNK_SIZE;
    else if (m->blank == 0)
        m->state = MESSAGE_DONE;
    m->blank = 0;
}

size_t message_take(struct message *m, const uint8_t *data, size_t len, struct piece *out)
{
    size_t used = 0;

    out->len = 0;
    while (used < len && out->len == 0 && m->state < MESSAGE_DONE) {
        if (m->state == MESSAGE_HEAD)
            used += take_head(m, data + used, len - used);
        else if (m->framing != MESSAGE_CHUNKED || m->chunk == CHUNK_DATA)
            used += take_data(m, data + used, len - used, out);
        else
            take_coding(m, data[used++]);
    }
    return used;
}

bool message_end(struct message *m)
{
    if (m->state == MESSAGE_BODY && m->framing == MESSAGE_TO_END)
        m->state = MESSAGE_DONE;
    return m->state == MESSAGE_DONE;
}
