/* The audit of PID 1: looks now and then, and says what changed in one line. */
#ifndef CONTAINER_LISTENERS_H
#define CONTAINER_LISTENERS_H

#include "base/log.h"
#include "container/audit.h"

enum {
    LISTENERS_FIRST_US = 10000000, /* what the image starts beside us is up by then */
    LISTENERS_EVERY_US = 60000000,
};

struct listeners {
    struct log *log;
    const char *proc; /* "/proc" */
    const struct audit_span *expected;
    size_t n_expected;
    /* the caller leaves these zero */
    struct audit said;
    uint64_t next_us;
    bool looked; /* once at least, and `said` is what was found */
    bool unreadable_said;
};

/* To be called at any time and often. Reads the kernel's tables when it is time to. */
void listeners_tick(struct listeners *l, uint64_t now_us);

#endif
