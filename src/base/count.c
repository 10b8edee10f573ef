#include "base/count.h"

#include <inttypes.h>
#include <stdio.h>

enum { GATE_US = 1000 * 1000 };

void reason_counts_text(const struct reason_counts *counts, char *out, size_t size)
{
    size_t used = 0;

    snprintf(out, size, "none");
    for (int i = 0; i < REASON_COUNT && used + 1 < size; i++) {
        int n;

        if (counts->of[i] == 0)
            continue;
        n = snprintf(out + used, size - used, "%s%s %" PRIu64, used ? ", " : "",
                     reason_name((enum reason)i), counts->of[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

bool log_gate(struct log_gate *g, uint64_t now_us, uint64_t *held)
{
    if (now_us < g->open_at_us) {
        g->held++;
        return false;
    }
    g->open_at_us = now_us + GATE_US;
    *held = g->held;
    g->held = 0;
    return true;
}
