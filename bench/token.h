/* An event of the engine's streams: text of a fixed size within one answer, one chunk each.
 *   data: SENT DUE NUMBER MARK filler LF LF
 * SENT and DUE are 16 hexadecimal digits of CLOCK_MONOTONIC in ns, NUMBER is 8. Both ends run on
 * one machine, so the stamps can be compared. */
#ifndef BENCH_TOKEN_H
#define BENCH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKEN_HEAD = 50, /* up to and with MARK */
    TOKEN_MIN = 64,
    TOKEN_MAX = 8192,
};

struct token {
    uint64_t sent_ns; /* when it was written; when it was due, if the reader held it up */
    uint64_t due_ns;  /* when the open-loop schedule wanted it */
    uint32_t number;  /* 0, 1, 2 ... within its stream */
    bool together; /* due before the one before was written: gluing them is not the proxy's doing */
};

/* Writes `size` bytes, TOKEN_MIN to TOKEN_MAX. */
void token_write(const struct token *t, char *out, size_t size);
/* Reads the first TOKEN_HEAD bytes; false when they are no event's. */
bool token_read(struct token *t, const char *head);

#endif
