#include "proto/msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "proto/msg_fields.h"

/* Counts on past `size`, so that only the end has to look whether everything fitted. */
struct writer {
    uint8_t *out;
    size_t size;
    size_t len;
    bool comma; /* a member stands before in this object */
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->len <= w->size && len <= w->size - w->len)
        memcpy(w->out + w->len, data, len);
    w->len += len;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_escape(struct writer *w, unsigned code)
{
    char escape[8];

    snprintf(escape, sizeof escape, "\\u%04x", code & 0xffffU);
    put(w, escape, 6);
}

/* What Go writes for an ASCII byte other than itself: the letter behind the backslash, 'u' for the
 * long form, 0 when the byte stands for itself. */
static char escape_letter(uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *found = c == 0 ? NULL : strchr(from, c);

    if (found != NULL)
        return to[found - from];
    return c < 0x20 || c == '<' || c == '>' || c == '&' ? 'u' : 0;
}

static void put_ascii(struct writer *w, uint8_t c)
{
    char letter = escape_letter(c);

    if (letter == 'u') {
        put_escape(w, c);
    } else if (letter != 0) {
        put_text(w, "\\");
        put(w, &letter, 1);
    } else {
        put(w, &c, 1);
    }
}

static void put_string(struct writer *w, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t left = strlen(text);

    put_text(w, "\"");
    while (left > 0) {
        size_t n = text_utf8_len(p, left);

        if (n == 0)
            put_escape(w, 0xfffd);
        else if (n == 1)
            put_ascii(w, *p);
        else if (n == 3 && memcmp(p, "\xe2\x80\xa8", 3) == 0)
            put_escape(w, 0x2028);
        else if (n == 3 && memcmp(p, "\xe2\x80\xa9", 3) == 0)
            put_escape(w, 0x2029);
        else
            put(w, p, n);
        p += n == 0 ? 1 : n;
        left -= n == 0 ? 1 : n;
    }
    put_text(w, "\"");
}

static void put_key(struct writer *w, const char *key)
{
    if (w->comma)
        put_text(w, ",");
    w->comma = true;
    put_string(w, key);
    put_text(w, ":");
}

static void put_int(struct writer *w, const char *key, int64_t value)
{
    char digits[24];

    if (value == 0)
        return;
    snprintf(digits, sizeof digits, "%" PRId64, value);
    put_key(w, key);
    put_text(w, digits);
}

/* Indices of the entries in the order of their keys' bytes, as Go sorts map keys. */
static void sort_metas(const struct msg_login *login, uint8_t order[MSG_METAS_MAX])
{
    for (size_t i = 0; i < login->n_metas; i++) {
        size_t at = i;

        while (at > 0 && strcmp(login->metas[order[at - 1]].key, login->metas[i].key) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = (uint8_t)i;
    }
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static void put_metas(struct writer *w, const char *key, const struct msg_login *login)
{
    uint8_t order[MSG_METAS_MAX];

    if (login->n_metas == 0)
        return;
    sort_metas(login, order);
    put_key(w, key);
    put_text(w, "{");
    w->comma = false;
    for (size_t i = 0; i < login->n_metas; i++) {
        put_key(w, login->metas[order[i]].key);
        put_string(w, or_empty(login->metas[order[i]].value));
    }
    w->comma = true;
    put_text(w, "}");
}

static void put_text_field(struct writer *w, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    put_key(w, key);
    put_string(w, text);
}

static void put_field(struct writer *w, const struct msg_field *field, const struct msg *m)
{
    const void *slot = (const char *)m + field->offset;

    switch (field->kind) {
    case FIELD_TEXT:
        put_text_field(w, field->key, *(const char *const *)slot);
        return;
    case FIELD_INT64:
        put_int(w, field->key, *(const int64_t *)slot);
        return;
    case FIELD_UINT16:
        put_int(w, field->key, *(const uint16_t *)slot);
        return;
    case FIELD_BOOL:
        if (*(const bool *)slot) {
            put_key(w, field->key);
            put_text(w, "true");
        }
        return;
    case FIELD_METAS:
        put_metas(w, field->key, &m->login);
        return;
    case FIELD_EMPTY:
        put_key(w, field->key);
        put_text(w, "{}");
        return;
    }
}

static void put_head(uint8_t *out, uint8_t type, uint64_t body_len)
{
    out[0] = type;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(body_len >> (56 - 8 * i));
}

int msg_encode(const struct msg *m, uint8_t *out, size_t size, size_t *len)
{
    const struct msg_shape *shape = msg_shape_of((uint8_t)m->type);
    struct writer w = {0};

    *len = 0;
    if (shape == NULL || !shape->handled)
        return ERR_TYPE;
    if (size < MSG_HEAD_LEN || (m->type == MSG_LOGIN && m->login.n_metas > MSG_METAS_MAX))
        return ERR_LIMIT;
    w.out = out + MSG_HEAD_LEN;
    w.size = size - MSG_HEAD_LEN < MSG_BODY_MAX ? size - MSG_HEAD_LEN : MSG_BODY_MAX;
    put_text(&w, "{");
    for (size_t i = 0; i < shape->n_fields; i++)
        put_field(&w, &shape->fields[i], m);
    put_text(&w, "}");
    if (w.len > w.size)
        return ERR_LIMIT;
    put_head(out, (uint8_t)shape->type, w.len);
    *len = MSG_HEAD_LEN + w.len;
    return 0;
}
