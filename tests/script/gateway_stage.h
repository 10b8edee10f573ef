/* Scripts of the gateway's exchanges: a gateway in the fake world (tests/unit/gateway_host_fake.h),
 * users who connect to it, MLNode and one engine behind it. The test speaks for users and
 * upstreams by hand. Who is asked what is written down as lines:
 *
 *   5001 GET /v1/models       the head of a request reached that port
 *   5001 reset                the gateway reset a connection there that had carried a request
 *
 * What the gateway asks on its own account (state, health, models) is answered by the stage and
 * not written down. */
#ifndef SCRIPT_GATEWAY_STAGE_H
#define SCRIPT_GATEWAY_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway_host_fake.h"
#include "gateway_message.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum {
    MANAGEMENT = 8080,
    INFERENCE = 5000,
    ENGINE = 5001, /* and 5002, 5003, of which stage_new opens the first alone */
    ENGINES = 3,
    SECOND_US = 1000 * 1000,
};

struct stage {
    struct fake_host *h;
    struct gateway *g;
    struct gateway_config cfg;
    struct fake_peer node;
    struct fake_text heard;
    const char *state; /* what management says of itself */
    unsigned users;
    /* The message that was looked at last; its slices point into last_text. */
    struct message last;
    char *last_text;
    struct stage_conn *conns; /* by fake_conn.id */
    size_t n_conns;
    char field[256];
    /* Answers each whole request by itself when set. */
    void (*play)(struct fake_conn *c, const struct message *m);
};

/* Everything is up, and the engine on 5001 is known. */
struct stage *stage_new(void);
/* The same with a change before the gateway is made: of the configuration, the state, the ports. */
struct stage *stage_with(void (*change)(struct stage *s));
/* Stops the gateway and frees the world: whatever is held still ends the process. */
void stage_free(struct stage *s);

/* Something listens on that port, as this world's MLNode, from now on. */
void stage_open(struct stage *s, uint16_t port);
/* The gateway finds what there is to find now. */
void stage_settle(struct stage *s);

/* A new user, 10.0.0.1, 10.0.0.2, …, port 1000. */
struct fake_conn *stage_user(struct stage *s, enum gateway_role role);
/* Says it and lets everything happen that follows. */
void stage_say(struct fake_conn *c, const char *text);
/* The newest connection to `port` that carried a user's request. */
struct fake_conn *stage_up(struct stage *s, uint16_t port);

/* Exactly these lines since the last expectation. */
#define HEARD(s, text) stage_heard((s), (text), __FILE__, __LINE__)
void stage_heard(struct stage *s, const char *text, const char *file, int line);

/* The next message from c->got + c->taken, which must be whole; it is s->last from here on. A body
 * of NULL may be anything. */
#define ANSWER(c, status, body) stage_answer((c), (status), (body), false, __FILE__, __LINE__)
#define ANSWER_TO_HEAD(c, status)                                                                  \
    stage_answer((c), (status), NULL, true, __FILE__, __LINE__) /* nothing but the head */
void stage_answer(struct fake_conn *c, unsigned status, const char *body, bool to_head,
                  const char *file, int line);
/* The next answer is an error of the gateway's with that code. */
#define ERROR(c, status, code) stage_error((c), (status), (code), __FILE__, __LINE__)
void stage_error(struct fake_conn *c, unsigned status, const char *code, const char *file,
                 int line);
/* The same of a request that reached an upstream; which body it has. */
#define REQUEST(c, body) stage_request((c), (body), __FILE__, __LINE__)
void stage_request(struct fake_conn *c, const char *body, const char *file, int line);
/* Nothing but what was looked at came. */
#define SILENCE(c) assert_string_equal(rest_of(c), "")

/* What reached the user and was not looked at yet. */
static inline const char *rest_of(const struct fake_conn *c)
{
    return c->got.data + c->taken;
}

/* The value of the only such field in the head last looked at; "" when there is none. Valid until
 * the next call. */
const char *stage_field(struct stage *s, const char *name);

/* Counters of the gateway now. */
struct gateway_counters stage_counts(const struct stage *s);

/* For s->play: 200 and "METHOD target body". */
void play_echo(struct fake_conn *c, const struct message *m);

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST(path, length, body)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n" body
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define CHUNKED          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

#endif
