/* The world of the fuzz targets that drive the whole gateway: users on one side, MLNode and its
 * engines on the other, both played by the input. Both sides check what reaches them. */
#ifndef FUZZ_EXCHANGE_WORLD_H
#define FUZZ_EXCHANGE_WORLD_H

#include <stdio.h>
#include <stdlib.h>

#include "gateway/gateway.h"
#include "gateway_host_fake.h"
#include "gateway_message.h"

enum {
    USERS_MAX = 24,
    ASKS_MAX = 24,
    /* Streams in one run. The input is taken to be over when fewer are left than the gateway's own
     * questions of a long wait may need. */
    CONNS_MAX = 800,
    CONNS_MARGIN = 300,
    BODY_MAX = 6000,
    MANAGEMENT = 8080,
    INFERENCE = 5000,
    ENGINE = 5001,
    ENGINES = 2,
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s, %s:%d\n", #condition, __FILE__, __LINE__);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* One request of a user who sends requests as they should be. */
struct ask {
    bool to_head;
    bool again;   /* may be sent again: a safe method without body */
    bool damped;  /* /health: may be sent any number of times */
    bool refused; /* no upstream may hear of it */
    bool odd;     /* MLNode answered something that says not whose it is */
    unsigned seen;
    size_t body;
};

struct user {
    struct fake_conn *c;
    unsigned id;
    struct ask asks[ASKS_MAX];
    unsigned n_asks;
    struct fake_text rest; /* of requests that are begun */
    size_t rest_at;
    bool raw; /* sent bytes that nobody knows the meaning of */
};

enum then {
    THEN_NOTHING = 0,
    THEN_END = 1,
    THEN_RESET = 2,
};

/* What an upstream connection is about. */
struct far {
    bool probe;
    bool reading; /* inside a request */
    bool planned; /* its answer is made */
    bool late;    /* the answer waits for the whole request */
    bool slow;    /* sends it when the input says so */
    bool whole;   /* the answer in the plan is complete and the connection may go on after it */
    unsigned behaviour;
    unsigned requests;
    unsigned user;
    unsigned ask; /* 1, 2, …; 0: unknown */
    bool to_head;
    struct fake_text plan;
    size_t plan_at;
    enum then then;
};

struct world {
    struct fake_host *h;
    struct gateway *g;
    const uint8_t *data;
    size_t size;
    struct user users[USERS_MAX];
    unsigned n_users;
    struct far far[CONNS_MAX + 1];
    struct fake_peer node;
    const char *state;
    unsigned forwarded; /* heads that reached an upstream, /health aside */
    bool calm;          /* the input is over: everybody behaves */
};

static inline unsigned next_byte(struct world *w)
{
    if (w->size == 0)
        return 0;
    w->size--;
    return *w->data++;
}

/* The i-th byte of a body: none is like another's. */
static inline char byte_of(unsigned user, unsigned ask, bool answer, size_t i)
{
    return (char)((answer ? 'A' : 'a') + (user * 5 + ask * 3 + i * 7 + i / 26) % 26);
}

/* users */
struct user *user_new(struct world *w);
/* A request as the input says; part of it waits in `rest` when the input says so. */
void user_ask(struct world *w, struct user *u);
void user_goes_on(struct world *w, struct user *u, size_t len);
void user_babbles(struct world *w, struct user *u);
/* All that reached a user is a sequence of answers to his own requests, in order. */
void user_check(struct world *w, struct user *u);

/* node */
void node_init(struct world *w);
void node_goes_on(struct world *w, struct fake_conn *c, size_t len);
/* The n-th connection that carries requests, counted from the newest; NULL when there is none. */
struct fake_conn *node_conn(struct world *w, unsigned n);

#endif
