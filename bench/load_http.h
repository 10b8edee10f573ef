/* What the verbs that speak HTTP share. */
#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"

enum {
    HTTP_REQUEST_HEAD = 512,
    HTTP_READ_SIZE = 64 * 1024,
    HTTP_PROMPT = 300, /* bytes of the body that asks for a stream */
};

/* Writes the head of a request; returns its length. `body` is the length of the body that the
 * caller sends behind it; a POST when `post`. */
size_t http_head(char *out, bool post, const char *target, uint64_t body);
/* Writes a POST that asks for a stream of events, body included, into `out` of
 * HTTP_REQUEST_HEAD + HTTP_PROMPT bytes. `query` holds the engine's numbers. */
size_t http_prompt(char *out, const char *query);
/* Connects, blocking, and sends; negative when that fails. A read that takes longer than
 * `patience_s` fails too. */
int http_send(uint16_t port, const char *request, size_t len, int patience_s);
/* Reads some of an answer from a blocking socket into `buffer` of HTTP_READ_SIZE; returns how many
 * bytes of body came, negative when the answer is over or was none. */
int http_read(int fd, struct message *m, uint8_t *buffer);
/* Reads to the end of a whole answer with status 200; ends the process when it is none. */
void http_read_all(int fd, uint64_t *body_bytes);

#endif
