#include "base/human.h"

#include <inttypes.h>
#include <stdio.h>

char *human_bytes(char out[HUMAN_MAX], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(out, HUMAN_MAX, "%" PRIu64 " B", bytes);
        return out;
    }
    for (value /= 1024; value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1024;
    snprintf(out, HUMAN_MAX, "%.*f %s",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, units[unit]);
    return out;
}

char *human_seconds(char out[HUMAN_MAX], uint64_t seconds)
{
    if (seconds < 100)
        snprintf(out, HUMAN_MAX, "%" PRIu64 " s", seconds);
    else if (seconds < 100 * 60)
        snprintf(out, HUMAN_MAX, "%" PRIu64 " min", (seconds + 30) / 60);
    else if (seconds < 48 * 3600)
        snprintf(out, HUMAN_MAX, "%.1f h", (double)seconds / 3600);
    else if (seconds < UINT64_C(1000000) * 86400)
        snprintf(out, HUMAN_MAX, "%" PRIu64 " d", (seconds + 43200) / 86400);
    else
        snprintf(out, HUMAN_MAX, "for ever");
    return out;
}
