#include "testnode/engine.h"

#include "base/err.h"
#include "testnode/route.h"

#include <string.h>

static enum engine_do find_word(struct http_slice word)
{
    static const char *const words[] = {
        [ENGINE_CRASH] = "crash", [ENGINE_BACK] = "back", [ENGINE_SLOW] = "slow",
        [ENGINE_SICK] = "sick",   [ENGINE_WELL] = "well", [ENGINE_FREEZE] = "freeze",
    };

    for (size_t i = ENGINE_CRASH; i < sizeof(words) / sizeof(words[0]); i++)
        if (word.len == strlen(words[i]) && memcmp(word.at, words[i], word.len) == 0)
            return (enum engine_do)i;
    return (enum engine_do)0;
}

int engine_control_parse(struct http_slice target, struct engine_control *out, const char **why)
{
    struct http_slice word = {"", 0};
    uint64_t port;
    uint64_t delay = 0;

    *why = "port is missing or no port number";
    if (!route_query_uint(target, "port", UINT16_MAX, &port) || port == 0)
        return ERR_SYNTAX;
    *why = "do must be crash, back, slow, sick, well or freeze";
    route_query(target, "do", &word);
    *out = (struct engine_control){.what = find_word(word), .port = (uint16_t)port};
    if (out->what == 0)
        return ERR_SYNTAX;
    *why = "delay_ms is missing or too large";
    if (out->what == ENGINE_SLOW &&
        !route_query_uint(target, "delay_ms", ENGINE_DELAY_MAX_MS, &delay))
        return ERR_SYNTAX;
    out->delay_ms = (unsigned)delay;
    return 0;
}

int engine_allows(const struct engine_state *e, const struct engine_control *control, bool running,
                  const char **why)
{
    bool back = control->what == ENGINE_BACK;

    if (control->what != ENGINE_CRASH && control->what != ENGINE_FREEZE && !back)
        return 0; /* settings, for the next process as well */
    *why = "the model is not up";
    if (!running)
        return ERR_NOTNOW;
    *why = back ? "the engine neither crashed nor froze" : "the engine is not alive";
    if (back)
        return e->alive && !e->frozen ? ERR_NOTNOW : 0;
    return e->alive ? 0 : ERR_NOTNOW;
}

struct engine_state *engine_find(struct engine_state *engines, size_t n, uint16_t port)
{
    for (size_t i = 0; i < n; i++)
        if (engines[i].port == port)
            return &engines[i];
    return NULL;
}

struct engine_state *engine_pick(struct engine_state *engines, size_t n)
{
    struct engine_state *best = NULL;

    for (size_t i = 0; i < n; i++) {
        struct engine_state *e = &engines[i];

        if (e->alive && !e->sick && (best == NULL || e->relays < best->relays))
            best = e;
    }
    return best;
}

bool engine_any_alive(const struct engine_state *engines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (engines[i].alive)
            return true;
    return false;
}

void engine_begin(struct engine_state *e, bool probe)
{
    if (probe) {
        e->probes++;
        return;
    }
    e->requests++;
    e->active++;
    if (e->active > e->max_active)
        e->max_active = e->active;
}

void engine_end(struct engine_state *e, bool probe, bool aborted)
{
    if (probe)
        return;
    e->active--;
    e->aborted += aborted;
}

static const char *json_bool(bool value)
{
    return value ? "true" : "false";
}

static void report_one(const struct engine_state *e, struct blob *out)
{
    blob_printf(out, "{\"port\":%u,\"alive\":%s,\"sick\":%s,\"frozen\":%s,\"delay_ms\":%u,",
                e->port, json_bool(e->alive), json_bool(e->sick), json_bool(e->frozen),
                e->delay_ms);
    blob_printf(out,
                "\"requests\":%llu,\"active\":%zu,\"max_active\":%zu,\"aborted\":%llu,"
                "\"probes\":%llu}",
                (unsigned long long)e->requests, e->active, e->max_active,
                (unsigned long long)e->aborted, (unsigned long long)e->probes);
}

void engine_report(const struct engine_state *engines, size_t n, uint64_t proxied, struct blob *out)
{
    blob_printf(out, "{\"proxied\":%llu,\"engines\":[", (unsigned long long)proxied);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            blob_printf(out, ",");
        report_one(&engines[i], out);
    }
    blob_printf(out, "]}");
}
