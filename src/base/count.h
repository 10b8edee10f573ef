/* Counters by close reason. */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct reason_counts {
    uint64_t of[REASON_COUNT];
};

/* "done 12, local-refused 3" of what is not zero, or "none". Always terminated. */
void reason_counts_text(const struct reason_counts *counts, char *out, size_t size);

#endif
