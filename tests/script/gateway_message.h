/* A second reading of what the gateway sent: heads by http/head.h, bodies by a decoder of its own
 * that takes nothing but the one form a sender should use. For scripts and fuzz targets. */
#ifndef SCRIPT_GATEWAY_MESSAGE_H
#define SCRIPT_GATEWAY_MESSAGE_H

#include "http/head.h"

struct message {
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head;
    struct http_framing framing;
    char *body; /* decoded; terminated */
    size_t body_len;
    size_t chunks; /* of a chunked body */
    size_t length; /* bytes of the whole message, or all there were */
    bool has_head;
    bool complete;
};

enum message_kind {
    MESSAGE_REQUEST = 0,
    MESSAGE_RESPONSE = 1,
    MESSAGE_RESPONSE_TO_HEAD = 2,
};

/* Reads the message at the front of `data`; `ended` tells that nothing follows, which completes a
 * body that ends with its connection. Returns NULL, or in one word what is wrong with the bytes.
 * A message that is merely cut short is not wrong. message_clear afterwards in any case; slices of
 * the head point into `data`. */
const char *message_read(const char *data, size_t len, enum message_kind kind, bool ended,
                         struct message *out);
void message_clear(struct message *m);

/* The value of the only field of that name as text into out (size bytes); false when there is none
 * or more than one. */
bool message_field(const struct message *m, const char *name, char *out, size_t size);

#endif
