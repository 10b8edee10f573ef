/* Scripts as cmocka tests: a conversation in a fixture, and what must have been said. */
#ifndef SCRIPT_EXPECT_H
#define SCRIPT_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "raw_peer.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Exactly these lines, in this order, since the last expectation; EXPECT_NOTHING for none. */
#define EXPECT(t, ...)                                                                             \
    expect_lines((t), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
#define EXPECT_NOTHING(t) expect_lines((t), (const char *const[]){NULL}, __FILE__, __LINE__)

static inline void expect_lines(struct script *t, const char *const *lines, const char *file,
                                int line)
{
    const char *heard = script_take(t);
    char *wanted = mem_strdup("");
    bool same;

    for (size_t i = 0; lines[i] != NULL; i++) {
        char *more = mem_printf("%s%s%s", wanted, i ? "\n" : "", lines[i]);

        mem_free(wanted);
        wanted = more;
    }
    same = strcmp(heard, wanted) == 0;
    if (!same)
        print_error("%s:%d\n--- expected\n%s\n--- heard\n%s\n---\n", file, line, wanted, heard);
    mem_free(wanted);
    if (!same)
        fail();
}

/* Lines that many scripts expect of a client. */
#define LOGGED_IN "client: logged in as 0123456789abcdef at 0.70.1, stock"
#define ASKED(name, port)                                                                          \
    "raw: s1 NewProxy {\"proxy_name\":\"" name "\",\"proxy_type\":\"tcp\",\"remote_port\":" port "}"
#define TAKEN_BACK(name) "raw: s1 CloseProxy {\"proxy_name\":\"" name "\"}"
#define NEW_WORK(stream) "raw: " stream " NewWorkConn {\"run_id\":\"0123456789abcdef\"}"

/* What was said so far is not the subject. */
static inline void hush(struct script *t)
{
    script_take(t);
}

/* A script and a raw peer at its other end. */
struct scene {
    struct script t;
    struct raw raw;
};

static inline struct scene *scene_new(enum script_side raw_plays)
{
    struct scene *s = mem_zalloc(sizeof(*s));

    script_init(&s->t);
    raw_init(&s->raw, &s->t, raw_plays);
    return s;
}

/* False when memory of streams was still held. */
static inline bool scene_free(struct scene *s)
{
    bool clean = script_free(&s->t);

    raw_free(&s->raw);
    mem_free(s);
    return clean;
}

static inline void scene_end(struct scene *s)
{
    assert_true(scene_free(s));
}

static inline int with_raw_server(void **state)
{
    *state = scene_new(SIDE_SERVER);
    return 0;
}

static inline int with_raw_client(void **state)
{
    *state = scene_new(SIDE_CLIENT);
    return 0;
}

static inline int after(void **state)
{
    return scene_free(*state) ? 0 : -1;
}

#endif
