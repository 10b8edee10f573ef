#include "base/text.h"

#include <stdio.h>
#include <string.h>

bool text_uint(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9 || digit > max || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

size_t text_put_uint(char *out, uint64_t value)
{
    char digits[TEXT_UINT_MAX];
    size_t n = 0;
    size_t len;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (len = 0; n > 0; len++)
        out[len] = digits[--n];
    return len;
}

void text_hex(char *out, const uint8_t *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

char *text_host_port(char out[TEXT_HOST_PORT], const char *host, uint16_t port)
{
    snprintf(out, TEXT_HOST_PORT, strchr(host, ':') ? "[%.253s]:%u" : "%.253s:%u", host, port);
    return out;
}

bool text_equal_secret(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned difference = a_len != b_len;
    size_t len = a_len < b_len ? a_len : b_len;

    for (size_t i = 0; i < len; i++)
        difference |= (unsigned)(unsigned char)a[i] ^ (unsigned)(unsigned char)b[i];
    return difference == 0;
}

size_t text_utf8_len(const uint8_t *p, size_t len)
{
    size_t need;
    uint8_t low = 0x80, high = 0xbf;

    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    /* RFC 3629 §4: the second byte's range is what excludes overlong forms, surrogates and code
     * points above U+10FFFF. */
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return need;
}

bool text_is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = text_utf8_len((const uint8_t *)text, left);

        if (n == 0)
            return false;
        text += n;
        left -= n;
    }
    return true;
}

/* What stands for a byte that JSON does not let stand for itself; returns the length. */
static size_t json_escape(char out[TEXT_JSON_UNIT_MAX], unsigned char c)
{
    static const char digits[] = "0123456789abcdef";

    if (c >= 0x80) {
        memcpy(out, "\\ufffd", 6);
        return 6;
    }
    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = (char)c;
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 15];
    return 6;
}

static bool json_plain(char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

size_t text_put_json(char *out, size_t size, const char *text, size_t len)
{
    size_t used = 0;

    while (len > 0) {
        char escape[TEXT_JSON_UNIT_MAX];
        const char *unit = text;
        size_t took = 1;
        size_t n = 1;

        if (!json_plain(*text)) {
            n = took = text_utf8_len((const uint8_t *)text, len);
            if (n < 2) {
                took = 1;
                n = json_escape(escape, (unsigned char)*text);
                unit = escape;
            }
        }
        if (n > size - used)
            break;
        memcpy(out + used, unit, n);
        used += n;
        text += took;
        len -= took;
    }
    return used;
}
