/* Bytes under way in one direction, as a test wants them: late, in any portions, frozen for a while
 * (kept and delivered afterwards) or cut (lost). */
#ifndef SCRIPT_WIRE_H
#define SCRIPT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where in the wire's history a portion ends, and when it arrives. */
struct wire_portion {
    uint64_t end;
    uint64_t due_us;
};

struct wire {
    uint8_t *data; /* what lies between `delivered` and `sent` */
    size_t size;
    uint64_t sent; /* bytes since the start */
    uint64_t delivered;
    struct wire_portion *portions;
    size_t n_portions;
    uint64_t delay_us;
    bool frozen;
    bool cut;
};

void wire_send(struct wire *w, uint64_t now_us, const void *data, size_t len);
size_t wire_under_way(const struct wire *w);
/* Of these, what may be delivered at `now_us`. */
size_t wire_due(const struct wire *w, uint64_t now_us);
/* The first `len` bytes, at most wire_due, in memory of exactly this size: a sanitizer sees whoever
 * reads past it. The caller frees. */
uint8_t *wire_take(struct wire *w, size_t len);
void wire_clear(struct wire *w);

#endif
