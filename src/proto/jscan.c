#include "proto/jscan.h"

#include <string.h>

#include "base/text.h"

void jscan_init(struct jscan *s, const uint8_t *data, size_t len)
{
    s->at = data;
    s->end = data + len;
    s->fresh = false;
}

/* The next byte behind white space, or 0 at the end: NUL is no JSON token, so it cannot be
 * mistaken. */
static uint8_t peek(struct jscan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
    return s->at < s->end ? *s->at : 0;
}

static bool take(struct jscan *s, uint8_t c)
{
    if (peek(s) != c || s->at == s->end)
        return false;
    s->at++;
    return true;
}

static bool take_word(struct jscan *s, const char *word)
{
    size_t len = strlen(word);

    if (peek(s) != (uint8_t)word[0] || (size_t)(s->end - s->at) < len ||
        memcmp(s->at, word, len) != 0)
        return false;
    s->at += len;
    return true;
}

bool jscan_at_end(struct jscan *s)
{
    peek(s);
    return s->at == s->end;
}

bool jscan_null(struct jscan *s)
{
    return take_word(s, "null");
}

bool jscan_bool(struct jscan *s, bool *value)
{
    *value = take_word(s, "true");
    return *value || take_word(s, "false");
}

static bool is_digit(const struct jscan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static bool take_digits(struct jscan *s)
{
    if (!is_digit(s))
        return false;
    while (is_digit(s))
        s->at++;
    return true;
}

static bool take_if(struct jscan *s, char a, char b)
{
    if (s->at == s->end || (*s->at != (uint8_t)a && *s->at != (uint8_t)b))
        return false;
    s->at++;
    return true;
}

bool jscan_number(struct jscan *s, struct jscan_text *raw)
{
    peek(s);
    raw->at = s->at;
    take_if(s, '-', '-');
    if (!take_if(s, '0', '0') && !take_digits(s))
        return false;
    if (take_if(s, '.', '.') && !take_digits(s))
        return false;
    if (take_if(s, 'e', 'E')) {
        take_if(s, '+', '-');
        if (!take_digits(s))
            return false;
    }
    raw->len = (size_t)(s->at - raw->at);
    return true;
}

/* The four digits of a \u escape, or -1. */
static long hex4(const uint8_t *p, const uint8_t *end)
{
    long value = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = text_hex_digit((char)p[i]);

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool take_escape(struct jscan *s)
{
    if (s->at == s->end)
        return false;
    if (*s->at == 'u') {
        if (hex4(s->at + 1, s->end) < 0)
            return false;
        s->at += 5;
        return true;
    }
    if (*s->at == '\0' || strchr("\"\\/bfnrt", *s->at) == NULL)
        return false;
    s->at++;
    return true;
}

bool jscan_string(struct jscan *s, struct jscan_text *raw)
{
    if (!take(s, '"'))
        return false;
    raw->at = s->at;
    while (s->at < s->end && *s->at >= 0x20) {
        uint8_t c = *s->at++;

        if (c == '"') {
            raw->len = (size_t)(s->at - raw->at) - 1;
            return true;
        }
        if (c == '\\' && !take_escape(s))
            return false;
    }
    return false;
}

bool jscan_enter(struct jscan *s)
{
    s->fresh = true;
    return take(s, '{');
}

enum jscan_step jscan_member(struct jscan *s, struct jscan_text *key)
{
    bool first = s->fresh;

    s->fresh = false;
    if (take(s, '}'))
        return JSCAN_END;
    if (!first && !take(s, ','))
        return JSCAN_BROKEN;
    return jscan_string(s, key) && take(s, ':') ? JSCAN_MEMBER : JSCAN_BROKEN;
}

static bool skip_value(struct jscan *s, int depth);

static bool skip_object(struct jscan *s, int depth)
{
    struct jscan_text key;
    enum jscan_step step;

    if (!jscan_enter(s))
        return false;
    while ((step = jscan_member(s, &key)) == JSCAN_MEMBER)
        if (!skip_value(s, depth))
            return false;
    return step == JSCAN_END;
}

static bool skip_array(struct jscan *s, int depth)
{
    if (!take(s, '['))
        return false;
    if (take(s, ']'))
        return true;
    do {
        if (!skip_value(s, depth))
            return false;
    } while (take(s, ','));
    return take(s, ']');
}

static bool skip_value(struct jscan *s, int depth)
{
    struct jscan_text raw;
    bool flag;

    switch (peek(s)) {
    case '{':
        return depth < JSCAN_DEPTH_MAX && skip_object(s, depth + 1);
    case '[':
        return depth < JSCAN_DEPTH_MAX && skip_array(s, depth + 1);
    case '"':
        return jscan_string(s, &raw);
    case 'n':
        return jscan_null(s);
    case 't':
    case 'f':
        return jscan_bool(s, &flag);
    default:
        return jscan_number(s, &raw);
    }
}

bool jscan_skip(struct jscan *s)
{
    return skip_value(s, 0);
}

static size_t utf8_put(uint8_t out[4], unsigned long code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* The code point of a \u escape whose digits start at *p, with its low half if it is a pair; *p
 * moves behind it. 0 (NUL included) when it stands for nothing that can be kept. */
static unsigned long unicode_escape(const uint8_t **p, const uint8_t *end)
{
    long code = hex4(*p, end);
    long low;

    if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    *p += 4;
    if (code < 0xd800 || code > 0xdbff)
        return (unsigned long)code;
    if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return 0;
    low = hex4(*p + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *p += 6;
    return (unsigned long)(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
}

/* One escape behind its backslash, as UTF-8; 0 when refused. */
static size_t unescape_one(const uint8_t **p, const uint8_t *end, uint8_t out[4])
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *found;
    unsigned long code;

    if (*p == end || **p == '\0')
        return 0;
    if (**p == 'u') {
        ++*p;
        code = unicode_escape(p, end);
        return code == 0 ? 0 : utf8_put(out, code);
    }
    found = strchr(from, **p);
    if (found == NULL)
        return 0;
    ++*p;
    out[0] = (uint8_t)to[found - from];
    return 1;
}

bool jscan_unescape(struct jscan_text raw, char *out, size_t size, size_t *len)
{
    const uint8_t *p = raw.at;
    const uint8_t *end = raw.at + raw.len;
    size_t used = 0;

    while (p < end) {
        uint8_t escaped[4];
        const uint8_t *from = p;
        size_t n;

        if (*p == '\\') {
            p++;
            n = unescape_one(&p, end, escaped);
            from = escaped;
        } else {
            n = text_utf8_len(p, (size_t)(end - p));
            p += n;
        }
        if (n == 0 || n > size - used)
            return false;
        memcpy(out + used, from, n);
        used += n;
    }
    *len = used;
    return true;
}
