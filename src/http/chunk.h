/* The chunked transfer coding (RFC 9112 7.1), decoded piece by piece as it arrives, with the
 * sender's chunk boundaries kept visible: a token of a stream is usually one chunk and should stay
 * one. */
#ifndef HTTP_CHUNK_H
#define HTTP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_CHUNK_DIGITS_MAX = 16,  /* a 64-bit size, leading zeros included */
    HTTP_CHUNK_EXT_MAX = 256,    /* bytes of extension in one chunk line; nobody here sends any */
    HTTP_TRAILER_MAX = 8 * 1024, /* bytes of the trailer section */
    HTTP_TRAILER_FIELDS_MAX = 32,
};

enum http_chunk_kind {
    HTTP_CHUNK_BEGIN = 1,   /* size: bytes of the chunk that follow, at least 1 */
    HTTP_CHUNK_DATA = 2,    /* data, len: a piece of the chunk, inside the caller's input */
    HTTP_CHUNK_END = 3,     /* the chunk and its CRLF are over */
    HTTP_CHUNK_TRAILER = 4, /* data, len: checked raw bytes of the trailer fields, CRLFs included */
    HTTP_CHUNK_DONE = 5,    /* the body is over; what follows is the next message */
};

struct http_chunk_event {
    enum http_chunk_kind kind;
    uint64_t size;
    const char *data;
    size_t len;
};

/* Plain data without pointers; may be copied. */
struct http_chunk {
    int state;
    unsigned digits;
    unsigned ext;
    unsigned trailer;
    unsigned fields;
    uint64_t size; /* of this chunk; counts down while its data passes */
};

void http_chunk_init(struct http_chunk *c);

/* Advances to the next event. `*used` is how many input bytes were taken, also on ERR_MORE (then
 * all of them). Extensions are checked and dropped. Trailers are refused when they break the syntax
 * of fields; what they mean is the caller's business, and a proxy may drop them (RFC 9110 6.5.1).
 *   0           *out holds an event; call again with the rest of the input
 *   ERR_MORE    input used up
 *   ERR_LIMIT   one of the limits above
 *   ERR_SYNTAX  not the coding: blanks around the size, no CRLF where one belongs, control bytes …
 *   ERR_NOTNOW  called after HTTP_CHUNK_DONE or after a refusal
 * Merged over neighbouring DATA and TRAILER events, the outcome does not depend on how the input
 * was split; only how much of a trailer was handed out before its refusal does. */
int http_chunk_next(struct http_chunk *c, const char *data, size_t len, size_t *used,
                    struct http_chunk_event *out);

#endif
