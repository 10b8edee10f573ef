#include "observe/metrics.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum {
    FIRST_SIZE = 16 * 1024,
    NAME_MAX_BYTES = 80, /* of families and labels: ours */
    /* A byte of a value takes five at most: \\xNN. */
    LABEL_MAX = NAME_MAX_BYTES + 5 * METRICS_VALUE_MAX + 8,
    /* One more label than a sample may have: "le" or "reason". */
    LINE_MAX = 2 * NAME_MAX_BYTES + (METRICS_LABELS_MAX + 1) * LABEL_MAX,
};

/* ---- the text -------------------------------------------------------------------------------- */

/* Room for `len` more bytes, or false. */
static bool grow(struct metrics *m, size_t len)
{
    size_t size = m->size > 0 ? m->size : FIRST_SIZE;

    if (m->full || len > METRICS_TEXT_MAX - m->len) {
        m->full = true;
        return false;
    }
    while (size < m->len + len)
        size *= 2;
    if (size > m->size)
        m->text = mem_realloc(m->text, size);
    m->size = size;
    return true;
}

/* Appends; the caller has asked for room. */
static void add(struct metrics *m, const char *text, size_t len)
{
    memcpy(m->text + m->len, text, len);
    m->len += len;
}

static void add_text(struct metrics *m, const char *text)
{
    add(m, text, strlen(text));
}

static void add_uint(struct metrics *m, uint64_t value)
{
    m->len += text_put_uint(m->text + m->len, value);
}

/* Seconds without trailing zeros. */
static void add_seconds(struct metrics *m, uint64_t us)
{
    char places[] = ".000000";
    const size_t all = sizeof(places) - 1;
    size_t n = all;

    add_uint(m, us / 1000000);
    for (uint64_t rest = us % 1000000; n > 1; rest /= 10)
        places[--n] = (char)('0' + rest % 10);
    n = all;
    while (n > 1 && places[n - 1] == '0')
        n--;
    if (n > 1)
        add(m, places, n);
}

static void add_byte(struct metrics *m, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char escaped[] = {'\\', '\\', 'x', hex[c >> 4], hex[c & 15]};

    if (c < 0x20 || c >= 0x7f || c == '\\')
        add(m, escaped, sizeof(escaped));
    else if (c == '"')
        add(m, "\\\"", 2);
    else
        add(m, (const char *)&c, 1);
}

static void add_label(struct metrics *m, const struct metrics_label *label, bool first)
{
    add_text(m, first ? "{" : ",");
    add_text(m, label->name);
    add_text(m, "=\"");
    for (size_t i = 0; i < METRICS_VALUE_MAX && label->value[i] != '\0'; i++)
        add_byte(m, (unsigned char)label->value[i]);
    add_text(m, "\"");
}

/* "family_suffix{labels,last} ", where `last` may be NULL. */
static bool add_series(struct metrics *m, const char *suffix, const struct metrics_label *labels,
                       size_t n, const struct metrics_label *last)
{
    if (!grow(m, LINE_MAX))
        return false;
    add_text(m, m->family);
    add_text(m, suffix);
    for (size_t i = 0; i < n; i++)
        add_label(m, &labels[i], i == 0);
    if (last != NULL)
        add_label(m, last, n == 0);
    add_text(m, n > 0 || last != NULL ? "} " : " ");
    return true;
}

/* ---- families and samples -------------------------------------------------------------------- */

static void add_header(struct metrics *m, const char *what, const char *text)
{
    if (!grow(m, NAME_MAX_BYTES + strlen(text) + 16))
        return;
    add_text(m, what);
    add_text(m, m->family);
    add_text(m, " ");
    add_text(m, text);
    add_text(m, "\n");
}

void metrics_family(struct metrics *m, const char *name, const char *type, const char *help)
{
    m->family = name;
    add_header(m, "# HELP ", help);
    add_header(m, "# TYPE ", type);
}

static void put_uint(struct metrics *m, const char *suffix, const struct metrics_label *labels,
                     size_t n, const struct metrics_label *last, uint64_t value)
{
    if (!add_series(m, suffix, labels, n, last))
        return;
    add_uint(m, value);
    add_text(m, "\n");
}

static void put_us(struct metrics *m, const char *suffix, const struct metrics_label *labels,
                   size_t n, uint64_t us)
{
    if (!add_series(m, suffix, labels, n, NULL))
        return;
    add_seconds(m, us);
    add_text(m, "\n");
}

void metrics_put(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t value)
{
    put_uint(m, "", labels, n, NULL, value);
}

void metrics_put_us(struct metrics *m, const struct metrics_label *labels, size_t n, uint64_t us)
{
    put_us(m, "", labels, n, us);
}

void metrics_one(struct metrics *m, const char *name, const char *type, const char *help,
                 uint64_t value)
{
    metrics_family(m, name, type, help);
    metrics_put(m, NULL, 0, value);
}

void metrics_reasons(struct metrics *m, const struct metrics_label *labels, size_t n,
                     const struct reason_counts *counts)
{
    for (int i = 0; i < REASON_COUNT; i++) {
        const struct metrics_label reason = {"reason", reason_name((enum reason)i)};

        if (counts->of[i] > 0)
            put_uint(m, "", labels, n, &reason, counts->of[i]);
    }
}

void metrics_histogram(struct metrics *m, const struct metrics_label *labels, size_t n,
                       const struct histogram *h)
{
    static const struct {
        uint64_t us;
        const char *le;
    } ends[] = {{1000, "0.001"},    {2500, "0.0025"},   {5000, "0.005"},     {10000, "0.01"},
                {25000, "0.025"},   {50000, "0.05"},    {100000, "0.1"},     {250000, "0.25"},
                {500000, "0.5"},    {1000000, "1"},     {2500000, "2.5"},    {5000000, "5"},
                {10000000, "10"},   {25000000, "25"},   {50000000, "50"},    {100000000, "100"},
                {250000000, "250"}, {500000000, "500"}, {1000000000, "1000"}};
    struct metrics_label le = {"le", "+Inf"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        le.value = ends[i].le;
        put_uint(m, "_bucket", labels, n, &le, histogram_at_most(h, ends[i].us));
    }
    le.value = "+Inf";
    put_uint(m, "_bucket", labels, n, &le, h->count);
    put_us(m, "_sum", labels, n, h->sum_us);
    put_uint(m, "_count", labels, n, NULL, h->count);
}

void metrics_free(struct metrics *m)
{
    mem_free(m->text);
    *m = (struct metrics){0};
}
