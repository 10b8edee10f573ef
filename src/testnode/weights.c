#include "testnode/weights.h"

#include <string.h>

#include "base/err.h"

const char *weights_status_name(enum weights_status status)
{
    static const char *const names[] = {"NOT_FOUND", "DOWNLOADING", "DOWNLOADED"};

    return names[status];
}

static size_t find(const struct weights *w, const char *name)
{
    size_t i = 0;

    while (i < w->n && strcmp(w->at[i].name, name) != 0)
        i++;
    return i;
}

static bool is_coming(const struct weights *w, size_t i, uint64_t now_ms)
{
    return now_ms - w->at[i].began_ms < w->delay_ms;
}

enum weights_status weights_status(const struct weights *w, const char *name, uint64_t now_ms,
                                   uint64_t *elapsed_ms)
{
    size_t i = find(w, name);

    if (i == w->n)
        return WEIGHTS_NOT_FOUND;
    if (elapsed_ms != NULL)
        *elapsed_ms = now_ms - w->at[i].began_ms;
    return is_coming(w, i, now_ms) ? WEIGHTS_DOWNLOADING : WEIGHTS_DOWNLOADED;
}

int weights_download(struct weights *w, const char *name, uint64_t now_ms)
{
    size_t len = strlen(name);
    size_t coming = 0;
    size_t i = find(w, name);

    if (len == 0 || len > MODEL_NAME_MAX)
        return ERR_SYNTAX;
    if (i < w->n)
        return is_coming(w, i, now_ms) ? ERR_EXISTS : 0;
    for (size_t k = 0; k < w->n; k++)
        coming += is_coming(w, k, now_ms);
    if (coming >= WEIGHTS_DOWNLOADS || w->n == WEIGHTS_MAX)
        return ERR_LIMIT;
    memcpy(w->at[w->n].name, name, len + 1);
    w->at[w->n++].began_ms = now_ms;
    return 0;
}

enum weights_status weights_delete(struct weights *w, const char *name, uint64_t now_ms)
{
    enum weights_status was = weights_status(w, name, now_ms, NULL);

    if (was != WEIGHTS_NOT_FOUND)
        w->at[find(w, name)] = w->at[--w->n];
    return was;
}
