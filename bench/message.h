/* HTTP/1.1 messages as far as the bench needs them, for the engine (requests) and the load
 * generator (answers). Its own reading on purpose: what is measured is not parsed with its own
 * code. Lenient about everything that its two users never send. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MESSAGE_HEAD_MAX = 2048, /* proxies add a few fields to the generator's some 200 bytes */
};

enum message_kind {
    MESSAGE_REQUEST = 1,
    MESSAGE_ANSWER = 2, /* without a length its body goes on until the connection closes */
};

enum message_state {
    MESSAGE_HEAD = 1,
    MESSAGE_BODY = 2,
    MESSAGE_DONE = 3,
    MESSAGE_BROKEN = 4, /* not HTTP, or a head that is too long */
};

enum message_framing {
    MESSAGE_LENGTH = 1, /* 0 too */
    MESSAGE_CHUNKED = 2,
    MESSAGE_TO_END = 3,
};

struct message {
    enum message_kind kind;
    enum message_state state;
    enum message_framing framing;
    int status;     /* of an answer */
    bool old;       /* a request of HTTP/1.0 */
    bool closes;    /* `Connection: close` */
    bool proxied;   /* a request that came through mlnode_proxy.py */
    uint64_t left;  /* of the body, or of the chunk */
    uint8_t chunk;  /* where in the chunked coding */
    uint32_t blank; /* octets of the line under way within the chunked coding */
    uint32_t head_len;
    char head[MESSAGE_HEAD_MAX + 1]; /* ends with NUL once the state is past MESSAGE_HEAD */
};

/* A piece of a body, inside the bytes that were given. */
struct piece {
    const uint8_t *data;
    size_t len;
};

void message_begin(struct message *m, enum message_kind kind);
/* Takes bytes up to the next piece of body or the end of the message, whichever comes first, and
 * returns how many; `out->len` is 0 when there was no piece. What comes behind a message that is
 * done or broken is left alone (0 is returned). */
size_t message_take(struct message *m, const uint8_t *data, size_t len, struct piece *out);
/* The connection ended: whether the message was whole. */
bool message_end(struct message *m);

#endif
