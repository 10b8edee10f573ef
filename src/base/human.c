#include "base/human.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

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

char *human_age(char out[HUMAN_MAX], uint64_t s)
{
    const unsigned long long minutes = s / 60;
    const unsigned long long hours = minutes / 60;

    if (s == 0)
        snprintf(out, HUMAN_MAX, "less than 1 s");
    else if (s < 60)
        snprintf(out, HUMAN_MAX, "%llu s", (unsigned long long)s);
    else if (hours == 0)
        snprintf(out, HUMAN_MAX, "%llu m %llu s", minutes, (unsigned long long)s % 60);
    else if (hours < 24)
        snprintf(out, HUMAN_MAX, "%llu h %llu m", hours, minutes % 60);
    else
        snprintf(out, HUMAN_MAX, "%llu d %llu h", hours / 24, hours % 24);
    return out;
}

char *human_ms(char out[HUMAN_MAX], double ms)
{
    if (ms < 0.995)
        snprintf(out, HUMAN_MAX, "%.2f ms", ms);
    else if (ms < 99.5)
        snprintf(out, HUMAN_MAX, "%.1f ms", ms);
    else if (ms < 999.5)
        snprintf(out, HUMAN_MAX, "%.0f ms", ms);
    else if (ms < 59950)
        snprintf(out, HUMAN_MAX, "%.1f s", ms / 1000);
    else
        human_age(out, (uint64_t)(ms / 1000 + 0.5));
    return out;
}

char *human_count(char out[HUMAN_MAX], uint64_t n)
{
    char digits[TEXT_UINT_MAX];
    size_t len = text_put_uint(digits, n);
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}
