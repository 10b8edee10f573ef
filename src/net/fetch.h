/* One question over HTTP, asked and waited for: for tools and helper processes that have no event
 * loop. Never from a loop's callback. Plain HTTP without TLS, redirects, proxies or cookies: all
 * that is asked with it is on loopback or in a private network. */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "net/sockaddr.h"

enum { FETCH_ERROR_MAX = 320 }; /* holds every sentence */

struct fetch_request {
    const char *host; /* a name, or an IP literal without brackets */
    uint16_t port;
    const char *method;  /* NULL: GET, with a body POST */
    const char *path;    /* begins with '/'; visible ASCII, already escaped */
    const char *json;    /* the body; NULL: none */
    unsigned timeout_ms; /* for everything together; not 0 */
    size_t body_max;     /* a longer answer is a failure; not 0 */
};

struct fetch_answer {
    unsigned status;
    char *body; /* ends with a NUL that body_len does not count; NULL after a failure */
    size_t body_len;
    int64_t date_s;            /* the answer's Date in seconds since 1970; 0: none */
    char peer[ADDR_PORT_TEXT]; /* who was connected to; "": nobody */
    enum reason why;           /* of a failure, as struct http_client_events has them */
};

/* 0 when a whole answer came, whatever its status; else
 *   ERR_SYNTAX  the request's method, path or limits are not usable; nothing was sent
 *   ERR_IO      answer->why tells, and `error` is one sentence (FETCH_ERROR_MAX bytes do)
 * Everything in `answer` was sent by a stranger, and goes through log_safe before it is shown. */
int fetch(const struct fetch_request *request, struct fetch_answer *answer, char *error,
          size_t size);
/* After success or failure, any number of times. */
void fetch_release(struct fetch_answer *answer);

#endif
