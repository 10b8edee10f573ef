/* Small strict text helpers. No locale, no octal, no surprise. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Plain decimal digits only ("0", "007" is 7): no sign, no blanks, no overflow past `max`.
 * false and *out untouched otherwise. */
bool text_uint(const char *text, size_t len, uint64_t max, uint64_t *out);
/* `value` in decimal into out (at most TEXT_UINT_MAX bytes, not terminated); returns the length. */
enum { TEXT_UINT_MAX = 20 };
size_t text_put_uint(char *out, uint64_t value);
/* Lower-case hex of `len` bytes into out[2*len+1]. */
void text_hex(char *out, const uint8_t *data, size_t len);
/* What a hex digit of either case stands for; -1: none. Inline: it is asked for each byte of a
 * size. */
static inline int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
/* Length of the well-formed UTF-8 sequence that starts at p[0], 0 when there is none (RFC 3629: no
 * overlong forms, no surrogates). */
size_t text_utf8_len(const uint8_t *p, size_t len);
/* Whether it is well-formed from its beginning to its end. */
bool text_is_utf8(const char *text);
/* `text` as it stands between the quotes of a JSON string, of ASCII and well-formed UTF-8: control
 * bytes are escaped, bytes of no character become U+FFFD. As much as fits into `size` bytes, never
 * half an escape (at most TEXT_JSON_UNIT_MAX bytes) or half a character; not terminated. Returns
 * the length. */
enum { TEXT_JSON_UNIT_MAX = 6 };
size_t text_put_json(char *out, size_t size, const char *text, size_t len);
/* host:port, and [host]:port for an IPv6 address; a longer host is cut. Returns `out`. */
enum { TEXT_HOST_PORT = 264 }; /* the longest name of DNS, brackets, a port */
char *text_host_port(char out[TEXT_HOST_PORT], const char *host, uint16_t port);
/* Compares in time that depends on the lengths only. */
bool text_equal_secret(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
