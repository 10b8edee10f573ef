/* Conversations of the tunnel's two cores on a fake clock.
 *
 * An end is a real client_session or server_session on a real mux; what carries the bytes between
 * the ends, when, and in which portions, is the script's choice. The other end may be a raw peer
 * (raw_peer.h), which speaks frp by hand. All that happens is written down as lines of text:
 *
 *   client: logged in as 0123456789abcdef at 0.70.1, stock
 *   server: user 0 hears "GET /"
 *   raw: s1 NewProxy {"proxy_name":"t1","proxy_type":"tcp","remote_port":6000}
 *
 * Nothing here needs a test framework: the fuzz targets use it as well. */
#ifndef SCRIPT_CONVERSATION_H
#define SCRIPT_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/client_config.h"
#include "config/server_config.h"
#include "tunnel/client_session.h"
#include "tunnel/server_session.h"
#include "wire.h"

enum {
    SCRIPT_WALL_S = 1700000000, /* of the protocol text's vectors, as the token "abc" is */
    SCRIPT_TICK_MS = 100,
    SCRIPT_PROXIES = 4,
    SCRIPT_USERS = 1024,
};

enum script_side {
    SIDE_CLIENT = 0,
    SIDE_SERVER = 1,
};

struct script_end {
    struct script *script;
    struct mux_session *mux; /* NULL: not ours, or not there */
    struct pool pool;
    bool mux_failed;
    bool ended;
    enum reason why;
};

struct script_user {
    struct work_want want;
    struct script *script;
    struct mux_stream *stream; /* NULL before it is served and after its end */
    unsigned served;           /* how often: more than once is a fault */
    bool wanted;               /* asked for, not served and not withdrawn */
};

struct script {
    /* Free to change before script_begin. */
    struct client_config client_cfg;
    struct server_config server_cfg;
    struct client_identity identity;
    struct proxy_config proxies[SCRIPT_PROXIES];
    const char *login_refusal;                 /* by the server's owner; NULL: accepted */
    const char *proxy_refusal[SCRIPT_PROXIES]; /* for port 6000 + index; NULL: it listens */
    bool hold_answers; /* the server's owner answers no NewProxy: the script does */
    bool quiet;        /* writes nothing down */
    void (*served)(struct script *t, unsigned user); /* inside `got` of that user; may be NULL */
    int64_t client_skew_s;

    struct script_end end[2];
    struct client_session *client;
    struct server_session *server;
    struct wire wire[2]; /* to that side */
    size_t room[2];      /* what a real end may have under way to that side */
    size_t step;         /* the most bytes of one delivery; 0: all */
    void (*raw_hears)(void *ctx, const uint8_t *data, size_t len);
    void *raw_ctx;
    uint8_t key[CIPHER_KEY_LEN];
    struct randomness random; /* 00 01 02 ... for ever */
    uint8_t next_random;
    uint64_t now_us;
    unsigned ticks;
    struct script_user users[SCRIPT_USERS];
    unsigned n_users;
    struct mux_stream *works[SCRIPT_USERS]; /* the client's side of users; NULL after their end */
    unsigned n_works;
    bool taken[SCRIPT_PROXIES]; /* the server listens on port 6000 + index */
    size_t leaked;              /* bytes of streams that were held when their end was gone */
    unsigned faults; /* what no end may do: end twice, speak afterwards, serve whom nobody wants */
    char *text;
    size_t text_len;
    char *said;    /* what script_take returned last */
    char *hearing; /* whose bytes the last line holds; NULL: nobody's */
};

/* Defaults: token "abc", one proxy t1 on port 6000, no heartbeat, clocks in step. */
void script_init(struct script *t);
/* Makes that side's end; the client logs in. */
void script_begin(struct script *t, enum script_side side);
/* That side goes away as its owner would let it: the session first, then what carries it. */
void script_drop(struct script *t, enum script_side side);
/* A new wire between two ends that were dropped; what was under way is lost. */
void script_rewire(struct script *t);
/* Everything, at any moment. False when an end still held memory of streams or did what no end may
 * do. */
bool script_free(struct script *t);

/* Delivers what may be delivered now, and the answers to it, until nobody has more to say. */
void script_run(struct script *t);
/* At most `len` bytes to `side`, in one piece; how many there were. Nothing else moves. */
size_t script_deliver(struct script *t, enum script_side side, size_t len);
/* Puts what a real end has to say on its way. */
void script_pull(struct script *t, enum script_side from);
/* Puts bytes on their way to `side`, for an end that is not ours. */
void script_send(struct script *t, enum script_side side, const void *data, size_t len);
/* Time passes in ticks, with all that both ends do in them. */
void script_advance(struct script *t, uint64_t ms);
/* One tick of both ends, `ms` after the last; nothing is delivered. */
void script_tick(struct script *t, uint64_t ms);

/* A user arrives at the server's port; its number. */
unsigned script_user(struct script *t);
void script_user_leaves(struct script *t, unsigned user);
/* A user, or the service that it reached (in the order of arrival), sends. */
void script_user_says(struct script *t, unsigned user, const char *text);
void script_service_says(struct script *t, unsigned work, const char *text);
/* Ends that stream at once. */
void script_user_ends(struct script *t, unsigned user);
void script_service_ends(struct script *t, unsigned work);

void script_note(struct script *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes that follow bytes of the same `who` continue the line. */
void script_heard(struct script *t, const char *who, const uint8_t *data, size_t len);
/* The lines since the last call, without the last line feed. Valid until the next call. */
const char *script_take(struct script *t);

#endif
