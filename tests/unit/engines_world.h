/* MLNode and its engines as a fake world, and scenarios that are played in it: lines of words.
 *
 *   state=WORD        what management says: INFERENCE …; WORD@S: S seconds late; or 404, garbage,
 *                     twice (two states), noword
 *   5000=MODELS       MLNode's proxy, asked for /v1/models: a letter for each id; - for none; or
 *                     500, garbage
 *   5001=MODELS       an engine, healthy
 *   5001=200/MODELS   the same; 503/a says 503 to /health, 200@1/a 200 and one second late,
 *                     200/a@1 the models one second late
 *   5001=a+200        the same, and it answers 200 to /api/v1/state; a+silent nothing
 *                     for all of them also: refuse, lost (no answer to SYN), silent, crash
 *   wait=S            seconds pass
 *   again             engines_look_again
 *   refused=5001      a request was refused there
 *   live=5001,5002    who may be chosen now; or none
 *   is=INFERENCE      the state known; or STOPPED, UNKNOWN
 *   asked=5003:2      connections to that port since the last such word
 *   open=0            connections that are open now */
#ifndef TEST_ENGINES_WORLD_H
#define TEST_ENGINES_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/engines.h"
#include "gateway_host_fake.h"

enum {
    MANAGEMENT = 8080,
    INFERENCE = 5000,
    FIRST = 5001,
    PORTS = 8,
    LAST = FIRST + PORTS - 1,
    WORD_MAX = 64,
    SECOND_US = 1000 * 1000,
};

struct place {
    char health[WORD_MAX]; /* state or health */
    char models[WORD_MAX];
    char front[WORD_MAX]; /* what it says to /api/v1/state, an engine; "": 404 */
    unsigned asked;       /* connections when `asked` was checked last */
};

struct world {
    struct fake_host *h;
    struct engines *engines;
    struct engines_config cfg;
    unsigned changed;
    struct place management;
    struct place inference;
    struct place engine[ENGINES_MAX];
    unsigned calls; /* makes times in answers differ */
    size_t ports;
};

static inline unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

/* ---- the world ------------------------------------------------------------------------------- */

static inline struct place *place_of(struct world *w, uint16_t port)
{
    if (port == MANAGEMENT)
        return &w->management;
    if (port == INFERENCE)
        return &w->inference;
    assert_in_range(port, FIRST, FIRST + w->ports - 1);
    return &w->engine[port - FIRST];
}

static inline void answer_state(struct fake_conn *c, const char *word)
{
    char body[256];

    snprintf(body, sizeof(body), "{\"state\":\"%s\",\"poc_status\":\"IDLE\",\"later\":[1,{}]}",
             word);
    if (strcmp(word, "garbage") == 0)
        fake_answer(c, 200, "", "<html>INFERENCE</html>");
    else if (strcmp(word, "twice") == 0)
        fake_answer(c, 200, "", "{\"state\":\"INFERENCE\",\"state\":\"STOPPED\"}");
    else if (strcmp(word, "noword") == 0)
        fake_answer(c, 200, "", "{\"state\":[\"INFERENCE\"]}");
    else if (word[0] >= '0' && word[0] <= '9')
        fake_answer(c, number(word), "", "{\"state\":\"INFERENCE\"}");
    else
        fake_answer(c, 200, "Content-Type: application/json\r\n", body);
}

static inline void answer_models(struct world *w, struct fake_conn *c, const char *models)
{
    char body[4096] = "{\"object\":\"list\",\"data\":[";
    size_t used = strlen(body);

    if (strcmp(models, "garbage") == 0) {
        fake_answer(c, 200, "", "{\"data\":[{\"id\":\"a\"},7]}");
        return;
    }
    if (models[0] >= '0' && models[0] <= '9') {
        fake_answer(c, number(models), "", "{\"data\":[{\"id\":\"org/a\"}]}");
        return;
    }
    w->calls++;
    for (size_t i = 0; models[i] != '\0' && models[i] != '-' && models[i] != '@'; i++)
        used +=
            (size_t)snprintf(body + used, sizeof(body) - used,
                             "%s{\"id\":\"org/%c\",\"created\":%u,\"permission\":[{\"id\":%u}]}",
                             i > 0 ? "," : "", models[i], w->calls, w->calls);
    snprintf(body + used, sizeof(body) - used, "]}");
    fake_say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    fake_chunk(c, body);
    fake_chunk(c, "");
}

static inline void say_late(void *ctx)
{
    struct fake_conn *c = ctx;
    struct world *w = c->ctx;
    char word[WORD_MAX];
    struct fake_request r;

    c->taken = 0;
    assert_true(fake_request(c, &r));
    if (strcmp(r.target, "/v1/models") == 0) {
        answer_models(w, c, place_of(w, c->port)->models);
        return;
    }
    snprintf(word, sizeof(word), "%s", place_of(w, c->port)->health);
    word[strcspn(word, "@")] = '\0';
    if (c->port == MANAGEMENT)
        answer_state(c, word);
    else
        fake_answer(c, number(word), "", "");
}

/* An engine has no such path. */
static inline void answer_front(struct fake_conn *c, const char *word)
{
    if (strcmp(word, "silent") == 0)
        return;
    fake_answer(c, word[0] != '\0' ? number(word) : 404, "", "{\"state\":\"INFERENCE\"}");
}

static inline void asked(struct fake_conn *c)
{
    struct world *w = c->ctx;
    const struct place *p = place_of(w, c->port);
    struct fake_request r;
    bool models;
    const char *late;

    assert_true(fake_request(c, &r));
    models = strcmp(r.target, "/v1/models") == 0;
    if (c->port != MANAGEMENT && strcmp(r.target, "/api/v1/state") == 0) {
        answer_front(c, p->front);
        return;
    }
    assert_string_equal(r.target, models                  ? "/v1/models"
                                  : c->port == MANAGEMENT ? "/api/v1/state"
                                                          : "/health");
    if (strcmp(models ? p->models : p->health, "silent") == 0)
        return;
    late = strchr(models ? p->models : p->health, '@');
    if (late != NULL)
        fake_after(w->h, (uint64_t)(strtod(late + 1, NULL) * SECOND_US), say_late, c);
    else
        say_late(c);
}

static const struct fake_peer peer = {.data = asked};

static inline uint64_t tick(void *ctx, uint64_t now_us)
{
    struct world *w = ctx;
    uint64_t due = engines_tick(w->engines, now_us);

    assert_true(due > now_us);
    assert_true(due <= now_us + 10 * SECOND_US); /* the longest patience of all */
    return due;
}

static inline void changed(void *ctx)
{
    ((struct world *)ctx)->changed++;
}

static inline struct world *world_new_range(uint16_t first, uint16_t last, uint16_t never)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->h = fake_new();
    w->ports = ENGINES_MAX;
    w->cfg = (struct engines_config){
        .management = {.host = "127.0.0.1", .port = MANAGEMENT},
        .inference = {.host = "127.0.0.1", .port = INFERENCE},
        .host = "127.0.0.1",
        .first_port = first,
        .last_port = last,
        .never = {0, never},
    };
    w->engines = engines_new(fake_gateway(w->h), &w->cfg, changed, w);
    w->h->tick = tick;
    w->h->tick_ctx = w;
    w->h->tick_due = 0;
    return w;
}

static inline struct world *world_new(void)
{
    return world_new_range(FIRST, LAST, 0);
}

static inline void world_free(struct world *w)
{
    engines_free(w->engines);
    fake_free(w->h);
    mem_free(w);
}

/* ---- words ----------------------------------------------------------------------------------- */

static inline enum fake_door door_of(const char *value)
{
    if (strcmp(value, "refuse") == 0)
        return FAKE_REFUSES;
    return strcmp(value, "lost") == 0 ? FAKE_SILENT : FAKE_ACCEPTS;
}

static inline void set_place(struct world *w, uint16_t port, const char *value)
{
    struct place *p = place_of(w, port);
    const char *slash = strchr(value, '/');

    if (strcmp(value, "crash") == 0) {
        fake_crash(w->h, port);
        return;
    }
    fake_listen(w->h, port, door_of(value), &peer, w);
    if (port == MANAGEMENT) {
        snprintf(p->health, WORD_MAX, "%s", value);
        return;
    }
    snprintf(p->health, WORD_MAX, "%.*s", slash ? (int)(slash - value) : 3, slash ? value : "200");
    snprintf(p->models, WORD_MAX, "%.*s", (int)strcspn(slash ? slash + 1 : value, "+"),
             slash ? slash + 1 : value);
    snprintf(p->front, WORD_MAX, "%s", strchr(value, '+') ? strchr(value, '+') + 1 : "");
}

static inline void list_live(struct world *w, char *out, size_t size)
{
    const struct engine *engine;
    size_t used = 0;
    size_t n = 0;

    snprintf(out, size, "none");
    for (size_t i = 0; (engine = engines_at(w->engines, i)) != NULL; i++) {
        if (!engine->live)
            continue;
        n++;
        used +=
            (size_t)snprintf(out + used, size - used, "%s%u", used > 0 ? "," : "", engine->at.port);
        assert_true(used < size);
    }
    assert_int_equal(engines_live(w->engines), n);
}

static inline struct engine *engine_at(struct world *w, uint16_t port)
{
    const struct engine *engine;

    for (size_t i = 0; (engine = engines_at(w->engines, i)) != NULL; i++)
        if (engine->at.port == port)
            return (struct engine *)(uintptr_t)engine;
    fail_msg("engine %u is not known", port);
    return NULL;
}

static inline void check_asked(struct world *w, const char *value)
{
    uint16_t port = (uint16_t)number(value);
    struct place *p = place_of(w, port);
    unsigned now = fake_connects_to(w->h, port);

    assert_int_equal(now - p->asked, number(strchr(value, ':') + 1));
    p->asked = now;
}

static inline void do_word(struct world *w, const char *key, const char *value)
{
    static const char *const states[] = {"UNKNOWN", "STOPPED", "INFERENCE"};
    char live[1024];

    if (key[0] == '5')
        set_place(w, (uint16_t)number(key), value);
    else if (strcmp(key, "state") == 0)
        set_place(w, MANAGEMENT, value);
    else if (strcmp(key, "wait") == 0)
        fake_advance(w->h, (uint64_t)(strtod(value, NULL) * SECOND_US));
    else if (strcmp(key, "again") == 0)
        engines_look_again(w->engines);
    else if (strcmp(key, "refused") == 0)
        engines_refused(w->engines, engine_at(w, (uint16_t)number(value)));
    else if (strcmp(key, "open") == 0)
        assert_int_equal(w->h->open, number(value));
    else if (strcmp(key, "is") == 0)
        assert_string_equal(states[engines_state(w->engines)], value);
    else if (strcmp(key, "asked") == 0)
        check_asked(w, value);
    else if (strcmp(key, "live") == 0)
        list_live(w, live, sizeof(live)), assert_string_equal(live, value);
    else
        fail_msg("word %s", key);
}

static inline void play(struct world *w, const char *words)
{
    while (*words != '\0') {
        size_t len = strcspn(words, " ");
        char *word = mem_strndup(words, len);
        char *value = strchr(word, '=');

        if (value != NULL)
            *value++ = '\0';
        do_word(w, word, value != NULL ? value : "");
        mem_free(word);
        words += len + strspn(words + len, " ");
    }
}

static inline void play_all(const char *const *scenarios, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct world *w = world_new();

        print_message("    %s\n", scenarios[i]);
        play(w, scenarios[i]);
        assert_true(w->h->most_open <= 18);
        world_free(w);
    }
}

#define PLAY_ALL(scenarios) play_all(scenarios, sizeof(scenarios) / sizeof((scenarios)[0]))

#endif
