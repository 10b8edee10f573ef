/* What the worker tells PID 1: one record of fixed size at a time over a socket that keeps records
 * whole (AF_UNIX, SOCK_SEQPACKET). PID 1 takes nothing else from a process that talks to the
 * network, and believes no more of a record than it can check. In the other direction go single
 * bytes, enum beat_order. */
#ifndef CONTAINER_BEAT_H
#define CONTAINER_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BEAT_MAGIC = 0x6d6c6762, /* "mlgb" */
    BEAT_EVERY_MS = 1000,
    BEAT_EVERY_DRAINING_MS = 50, /* the end of the last answer is waited for */
    BEAT_MODEL_MAX = 128,        /* as log_safe cuts it */
};

/* How MLNode's management takes the gateway's question for its state. */
enum beat_manner {
    MANNER_UNKNOWN = 0, /* nothing asked yet */
    MANNER_ABSENT = 1,  /* nobody listens */
    MANNER_SILENT = 2,  /* accepts and does not answer */
    MANNER_ANSWERS = 3, /* whatever it says */
    MANNERS
};

struct beat {
    uint32_t magic;
    uint8_t registered; /* 0, 1: one server at least has confirmed every proxy */
    uint8_t manner;     /* enum beat_manner */
    uint8_t draining;   /* 0, 1: no new requests are taken */
    uint8_t zero;
    uint32_t exchanges; /* requests under way */
    uint32_t clients;   /* connections of users */
    uint64_t sessions;  /* logins that succeeded, since the worker's start */
    uint64_t requests;
    /* The model that inference/up last named through this worker; "": none yet. Printable. */
    char asked_model[BEAT_MODEL_MAX];
};

enum beat_order {
    ORDER_DRAIN = 'd', /* refuse new requests */
    ORDER_CUT = 'c',   /* end those that are under way */
};

/* Whether a field of a record is printable ASCII that ends within it. */
bool beat_text_ok(const char *text, size_t size);
/* false, and *out untouched, when it is not such a record. */
bool beat_read(const void *data, size_t len, struct beat *out);

#endif
