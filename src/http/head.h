/* HTTP/1.1 heads (RFC 9112), read strictly: whatever two implementations are known to read in two
 * ways is refused, so that only one interpretation of a request exists behind us. Nothing is copied
 * and nothing is remembered between calls but a scan offset, which the caller keeps. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum {
    HTTP_HEAD_MAX =
        64 * 1024,          /* start line, fields and the empty line; MLNode takes about as much */
    HTTP_HEADERS_MAX = 128, /* slots a caller should provide */
    HTTP_METHOD_MAX = 32,   /* the longest registered method has 17 letters */
};

/* Lengths above this are refused, so that sums of two of them cannot overflow 64 bits. */
#define HTTP_LENGTH_MAX ((uint64_t)INT64_MAX)

/* Bytes inside the caller's buffer; valid while those neither move nor change. Not terminated. */
struct http_slice {
    const char *at;
    size_t len;
};

struct http_header {
    struct http_slice name;
    struct http_slice value; /* without the blanks around it; may be empty */
};

struct http_head {
    struct http_header *headers; /* in: the caller's slots */
    size_t max_headers;          /* in: how many there are */
    size_t n_headers;
    struct http_slice method; /* requests */
    struct http_slice target; /* requests; begins with '/', or is "*" for OPTIONS */
    unsigned status;          /* responses: 100 to 599; 0 marks a request */
    struct http_slice reason; /* responses; may be empty */
    unsigned minor;           /* HTTP/1.minor: 0 or 1 */
    size_t length;            /* bytes of the whole head with its empty line */
    const char *why;          /* static text after a refusal, else NULL */
};

enum http_body {
    HTTP_BODY_NONE = 0,
    HTTP_BODY_LENGTH = 1,
    HTTP_BODY_CHUNKED = 2,
    HTTP_BODY_CLOSE = 3, /* responses only: the body ends with the connection */
};

struct http_framing {
    enum http_body kind;
    uint64_t length; /* HTTP_BODY_LENGTH: bytes, may be 0 */
    bool keep_alive; /* the connection may carry another message after this one */
};

/* Reads the head at the start of data. `*scan` is 0 for a new head and is otherwise left alone by
 * the caller between calls with a growing buffer, which may move. The outcome does not depend on
 * how the bytes arrived. 0           complete; out->length says where the body begins ERR_MORE
 * incomplete and fine so far ERR_LIMIT   longer than HTTP_HEAD_MAX, or more fields than slots
 * (answer 431) ERR_TYPE    CONNECT, a target in absolute form, or a version other than 1.0 and 1.1
 *   ERR_SYNTAX  anything else (answer 400 and close)
 * One empty line before a request is skipped (RFC 9112 2.2). A request needs exactly one Host field
 * (none is fine in HTTP/1.0), of bytes that names, addresses and ports are made of, or empty; the
 * absolute form is refused although RFC 9112 3.2.2 wants it accepted, because routing would have to
 * choose between it and Host. */
int http_request_parse(const char *data, size_t len, size_t *scan, struct http_head *out);
int http_response_parse(const char *data, size_t len, size_t *scan, struct http_head *out);

/* The one place that decides where a body ends (RFC 9112 6.3). For a response `to_head` tells that
 * it answers a HEAD request. 0, or ERR_SYNTAX with head->why set: length and transfer coding
 * together, a length that is repeated, signed, zero-padded, a list or above HTTP_LENGTH_MAX, a
 * coding other than exactly "chunked", any coding in HTTP/1.0. A 1xx answer is followed by another
 * head. */
int http_framing_decide(struct http_head *head, bool to_head, struct http_framing *out);

/* First field of that name (any case) at or after index `from`; NULL when there is none. */
const struct http_header *http_header_find(const struct http_head *head, const char *name,
                                           size_t from);
/* Whether a comma-separated field, over all its occurrences, holds `token` (any case). */
bool http_header_has_token(const struct http_head *head, const char *name, const char *token);
/* Equal to `text`, ASCII letters in any case. Inline, so that the length of a literal is known. */
static inline bool http_slice_is(struct http_slice slice, const char *text)
{
    return slice.len == strlen(text) && strncasecmp(slice.at, text, slice.len) == 0;
}
static inline bool http_is_blank(char c)
{
    return c == ' ' || c == '\t';
}
/* Without the blanks around it. */
static inline struct http_slice http_slice_trim(struct http_slice slice)
{
    while (slice.len > 0 && http_is_blank(slice.at[0])) {
        slice.at++;
        slice.len--;
    }
    while (slice.len > 0 && http_is_blank(slice.at[slice.len - 1]))
        slice.len--;
    return slice;
}
/* A byte allowed in field names and other tokens (RFC 9110 5.6.2). */
bool http_is_token_byte(unsigned char c);
/* A byte allowed in field values: blanks, visible ASCII and bytes above it (RFC 9110 5.5). */
static inline bool http_is_value_byte(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

#endif
