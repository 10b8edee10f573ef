/* The system calls of the worker, as data. What is in neither list does not exist for it (ENOSYS),
 * as on an older kernel: libraries know how to live with that. */
#ifndef CONTAINER_CALLS_H
#define CONTAINER_CALLS_H

#include <stddef.h>
#include <stdint.h>

enum { CALL_CONDITIONS = 2 };

/* On the value of an argument: (value & mask) == wanted. */
struct call_condition {
    unsigned argument;
    uint64_t mask; /* 0: no condition */
    uint64_t wanted;
};

struct call {
    int number; /* libseccomp's: negative when this architecture has no such call */
    const char *name;
    struct call_condition only[CALL_CONDITIONS]; /* all of them must hold */
};

/* What a worker does. A call may stand there more than once. */
extern const struct call calls_allowed[];
extern const size_t calls_n_allowed;
/* What nothing in the worker ever does, and whoever took it over would do first: it ends. */
extern const struct call calls_trapped[];
extern const size_t calls_n_trapped;

#endif
