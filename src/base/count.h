/* Counters by close reason, and a gate that keeps repeated log lines from flooding. */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct reason_counts {
    uint64_t of[REASON_COUNT];
};

/* "done 12, local-refused 3" of what is not zero, or "none". Always terminated. */
void reason_counts_text(const struct reason_counts *counts, char *out, size_t size);

/* Lets one event through per second and counts the others. Zeroed is ready. */
struct log_gate {
    uint64_t open_at_us;
    uint64_t held;
};

/* True: log now, and say that *held were held back before. */
bool log_gate(struct log_gate *g, uint64_t now_us, uint64_t *held);

#endif
