/* Which model inference/up asked for: a look at the body of that request as it passes. A copy is
 * looked at once the body is whole; the request itself is neither held up nor changed. There is one
 * look at a time: the request that came last has it. Pure. */
#ifndef GATEWAY_ASKED_H
#define GATEWAY_ASKED_H

#include <stdbool.h>
#include <stddef.h>

enum {
    /* The API node sends a few hundred bytes: a name and arguments of vLLM. */
    ASKED_BODY_MAX = 64 * 1024,
    /* A hub's name has at most 96 + 1 + 96 letters; a longer one is cut as log_safe cuts. */
    ASKED_NAME_MAX = 128,
};

struct asked {
    const void *by; /* the request that is looked at; NULL: none. Compared, never followed */
    char *body;
    size_t len;
    char name[ASKED_NAME_MAX]; /* as log_safe writes it; "": none was asked for yet */
};

/* Zeroed is ready. The body of `by` begins; an older look is given up. */
void asked_begin(struct asked *a, const void *by);
/* A piece of it, without framing. One of another request is not looked at. */
void asked_take(struct asked *a, const void *by, const char *data, size_t len);
/* It is whole: a JSON object with a "model" that is a text changes a->name; true when it did. */
bool asked_done(struct asked *a, const void *by);
/* The request is over, whole or not. */
void asked_leave(struct asked *a, const void *by);

#endif
