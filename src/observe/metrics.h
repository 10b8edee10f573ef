/* Numbers for Prometheus: the text exposition format, version 0.0.4. Pure.
 *
 * A family is begun once, with its type and its help; the samples that follow belong to it. Label
 * values may hold any bytes, also a peer's: whatever is not printable ASCII, and the backslash, is
 * written as \xNN, so that no value breaks a line and different values stay different. */
#ifndef OBSERVE_METRICS_H
#define OBSERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/count.h"
#include "base/histogram.h"

enum {
    /* Of the whole text. A server with as many proxies as are listed by name has an eighth of it;
     * only names of bytes that have to be escaped could need more. */
    METRICS_TEXT_MAX = 4 * 1024 * 1024,
    METRICS_LABELS_MAX = 4,  /* of one sample */
    METRICS_VALUE_MAX = 256, /* bytes of a label's value; what is longer is cut */
};

struct metrics_label {
    const char *name; /* of ours: letters and underscores */
    const char *value;
};

struct metrics {
    char *text; /* mem_alloc'ed, `len` bytes, not terminated; NULL while there is none */
    size_t len;
    size_t size;
    const char *family;
    /* METRICS_TEXT_MAX is reached: lines that find no room are left out, whole. */
    bool full;
};

#define METRICS_COUNTER   "counter"
#define METRICS_GAUGE     "gauge"
#define METRICS_HISTOGRAM "histogram"

/* `name`, `type` and `help` are static, in one line and without a backslash. Zeroed metrics are
 * ready for the first one. */
void metrics_family(struct metrics *m, const char *name, const char *type, const char *help);
/* A sample of the present family, with `n` labels. */
void metrics_put(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t value);
/* The same of a duration: microseconds in, seconds out. */
void metrics_put_us(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t us);
/* A family of one number without labels. */
void metrics_one(struct metrics *m, const char *name, const char *type, const char *help,
                 uint64_t value);
/* One sample for each reason that ever occurred, with the label "reason" behind the n others. */
void metrics_reasons(struct metrics *m, const struct metrics_label *labels, size_t n,
                     const struct reason_counts *counts);
/* In seconds, cumulated at 1, 2.5 and 5 of each decade from a millisecond to 1,000 s. */
void metrics_histogram(struct metrics *m, const struct metrics_label *labels, size_t n,
                       const struct histogram *h);
void metrics_free(struct metrics *m);

#endif
