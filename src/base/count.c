#include "base/count.h"

#include <inttypes.h>
#include <stdio.h>

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
