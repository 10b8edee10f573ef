#include "base/text.h"

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

bool text_equal_secret(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned difference = a_len != b_len;
    size_t len = a_len < b_len ? a_len : b_len;

    for (size_t i = 0; i < len; i++)
        difference |= (unsigned)(unsigned char)a[i] ^ (unsigned)(unsigned char)b[i];
    return difference == 0;
}
