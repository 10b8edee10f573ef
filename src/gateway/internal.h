/* What the gateway's files share. No one else includes this.
 *
 *   downstream.c  a client's connection: heads in, one exchange at a time, keep-alive
 *   exchange.c  the life of one request: route, errors of ours, its end
 *   attempt.c   its upstream: choice, retries, the damped question
 *   request.c   its body on the way to the upstream
 *   answer.c    the upstream's answer on the way to the client
 *   upstream.c  connections to MLNode and the pools of idle ones
 *   cork.c      small writes of one event in one piece
 *   refusals.c  the last ones, for the status page
 *
 * Who owns whom: a client owns its exchange, until it leaves one that runs to its end; an exchange
 * owns its upstream connection, until it gives it back to its pool. All three are freed by tasks
 * after the events on the stack have returned; until then `over` or a NULL stream says that nothing
 * may be done with them. */
#ifndef GATEWAY_INTERNAL_H
#define GATEWAY_INTERNAL_H

#include "base/bytes.h"
#include "base/list.h"
#include "gateway/asked.h"
#include "gateway/gateway.h"
#include "http/chunk.h"
#include "http/edit.h"
#include "http/head.h"

enum {
    /* The next request of a client waits while this much of the last answer has not left. */
    DOWNSTREAM_QUEUE_MAX = 64 * 1024,
    /* Requests that one client begins in one go. A read may hold thousands that we answer
     * ourselves, and tokens for others would wait for all of them. */
    BEGIN_AT_ONCE = 32,
    /* The body of a refused request is read and dropped up to this, to keep the connection. */
    DISCARD_MAX = 1024 * 1024,
    /* Interim answers (1xx) before the final one. */
    INTERIM_MAX = 16,
    /* Engines that one request may try before port 5000. */
    ENGINE_TRIES = 3,
    /* Bytes of "METHOD /path" kept for the log. */
    LINE_MAX_BYTES = 160,
    /* Of a client's address: an IPv6 one has 45 at most; what a server says may be anything. */
    PEER_MAX = 64,
    /* Lines about refused heads after a quiet time; then one a second. */
    HEAD_LINES_BURST = 10,
    RETRY_AFTER_S = 5, /* of a 503: the time to look again */
    /* Kept for the status page: one screen. The log has the others. */
    REFUSALS_KEPT = 16,
};

/* A moment on one of the gateway's lists, whose entries all wait equally long: so each list is
 * sorted by itself. */
struct wait {
    struct list node;
    uint64_t due_us;
};

struct upstream_pool {
    struct gateway *gw;
    struct endpoint at;
    struct engine *engine; /* NULL: management or port 5000 */
    struct list idle;      /* the last one used is the last one here */
    size_t n_idle;
    struct list node; /* on gateway.pools */
};

struct upstream {
    struct upstream_pool *pool;
    struct stream *stream;     /* NULL: gone */
    struct exchange *exchange; /* NULL: idle */
    struct list node;          /* on pool->idle */
    struct wait wait;          /* idle: until it is closed */
    struct net_task task;      /* frees */
    uint64_t idle_since_us;
    size_t queued; /* written and not yet left */
    size_t owed;   /* delivered and not yet consumed */
    bool open;
    bool used; /* carried a request before: may turn out to be stale */
};

struct downstream {
    struct gateway *gw;
    struct stream *stream; /* NULL: gone */
    struct exchange *exchange;
    struct bytes pending; /* received, not consumed: part of a head, or requests that wait */
    size_t scan;          /* of the head parser, within pending */
    size_t queued;        /* written and not yet left */
    size_t owed;          /* delivered as a request's body and not yet consumed */
    unsigned begun;       /* requests in this go; at most BEGIN_AT_ONCE */
    struct list node;     /* on gateway.clients */
    struct wait wait;     /* idle, or inside a head */
    struct net_task task; /* goes on with pending; frees */
    char *peer;
    uint16_t peer_port;
    enum gateway_role role : 8;
    bool in_head; /* which list `wait` is on */
    bool eof;
};

enum answer_phase {
    ANSWER_HEAD = 0, /* nothing but interim answers went to the client */
    ANSWER_BODY = 1,
    ANSWER_DONE = 2, /* complete: towards the client, from its upstream */
};

struct exchange {
    struct gateway *gw;
    struct downstream *client; /* NULL: left, and the request runs to its end */
    struct upstream *up;       /* NULL: none now */
    /* For the log: the client's address, its own copy once the client has left, and the upstream
     * that was tried last (NULL: none). */
    const char *peer;
    const struct upstream_pool *pool;
    const char *fault;     /* of an answer that was refused; static, else NULL */
    struct engine *engine; /* counted on */
    struct list node;      /* on gateway.exchanges, by age */
    struct wait wait;      /* connecting, attempt, pause */
    struct net_task task;  /* frees */
    struct route route;
    struct engine *tried[ENGINE_TRIES];
    unsigned n_tried;
    unsigned interim;

    struct bytes head; /* rendered, while it may have to be sent (again); one run */
    size_t head_len;   /* of the one in the gateway's scratch buffer */

    struct http_framing request;
    struct http_chunk request_chunk;
    uint64_t request_left;

    struct bytes early; /* of an answer head that is not complete */
    size_t scan;
    struct http_framing answer;
    struct http_chunk answer_chunk;
    uint64_t answer_left;

    uint64_t began_us;
    uint64_t first_us; /* first byte of the final answer; 0: none yet */
    uint64_t bytes_in;
    uint64_t bytes_out;
    unsigned status;
    uint16_t peer_port;
    enum answer_phase phase : 8;
    enum reason why : 8;
    bool head_request; /* HEAD: no body comes back */
    bool old_client;   /* HTTP/1.0 */
    bool keep_alive;   /* the client's connection, after this */
    bool expects;      /* sends the body when it is told to (Expect: 100-continue) */
    bool replayable;   /* nothing is lost when it is sent again: GET, HEAD, OPTIONS without body */
    bool retried;
    bool request_done; /* all of it was taken from the client */
    bool discard;      /* answered by us: the rest of the request is dropped */
    bool sent;         /* bytes of it went to an upstream */
    bool heard;        /* bytes of an answer came back */
    bool orphan;       /* goes on without its client */
    bool over;
    char line[]; /* "METHOD /path", printable */
};

/* Small writes of one event, collected for one stream. */
struct cork {
    struct stream *stream; /* NULL: empty */
    size_t len;
    bool writing;
    char data[HTTP_RENDER_MAX + 16 * 1024];
};

/* Lines of the access log, written once a turn. No more than a pipe takes in one piece (PIPE_BUF):
 * others write to the same one. */
struct access {
    struct net_task task;
    size_t len;
    char lines[4096];
};

/* A request that was turned away. */
struct refusal {
    uint64_t at_us;
    const char *why;     /* static */
    char peer[PEER_MAX]; /* the client's address without port */
    /* "METHOD /path" without the query, printable, "-" for what is unknown of a head that was
     * refused; "": no request came. */
    char line[LINE_MAX_BYTES];
};

struct gateway {
    const struct gateway_host *host;
    struct gateway_config cfg;
    struct engines *engines;
    struct upstream_pool management;
    struct upstream_pool inference;
    struct list pools; /* of engines */
    struct list clients;
    struct list exchanges;
    struct list idle_clients; /* struct wait lists from here */
    struct list open_heads;
    struct list idle_upstreams;
    struct list connecting;
    struct list attempts;
    struct list pauses;
    struct list discards;
    size_t n_orphans;
    size_t objects; /* clients, exchanges and upstreams not freed yet */
    struct gateway_counters counters;
    struct histogram first_byte[ROUTE_CLASSES];
    struct refusal refusals[REFUSALS_KEPT];
    uint64_t n_refusals; /* ever */
    struct json_t *(*document)(void *ctx);
    void *document_ctx;
    struct log_gates gates;
    struct log_gate full_gate;   /* clients refused because there are too many */
    struct log_gate head_gate;   /* heads refused */
    struct log_gate memory_gate; /* clients reset by the memory limit */
    struct log_gate answer_gate; /* answers of MLNode refused */
    uint64_t started_us;
    bool draining;
    bool stopping;
    struct asked asked;
    struct cork cork;
    struct access access;
    char scratch[HTTP_RENDER_MAX]; /* a head while it is being rendered */
};

static inline uint64_t gateway_now(const struct gateway *g)
{
    return g->host->now(g->host->ctx);
}

/* gateway.c */
/* Puts `w` at the end of `list`, due `after_us` from now. */
void gateway_wait(struct gateway *g, struct list *list, struct wait *w, uint64_t after_us);
void gateway_soon(struct gateway *g, struct net_task *t);
/* log_gate among this gateway's gates. */
bool gateway_gate(struct gateway *g, struct log_gate *gate, char more[LOG_HELD_MAX]);
/* Has the host look at the memory limit at once when it is passed: a burst of large heads outruns
 * every regular look. Call at the end of each event. */
void gateway_mind_memory(struct gateway *g);

/* cork.c: every write of the gateway goes through here. Call cork_flush at the end of each event
 * and before a stream that was written to is closed. */
void cork_write(struct gateway *g, struct stream *s, const char *data, size_t len);
void cork_flush(struct gateway *g);
/* Forgets what waits for this stream, which is about to be reset. */
void cork_drop(struct gateway *g, const struct stream *s);

/* downstream.c */
/* What is taken for a client's address: `peer`, or "unknown" where it cannot be one. */
const char *downstream_address(const char *peer);
struct downstream *downstream_new(struct gateway *g, struct stream *s, enum gateway_role role,
                                  const char *peer, uint16_t port);
void downstream_write(struct downstream *c, const char *data, size_t len);
/* `len` bytes of a request's body were delivered: consumed once they have left upstream. */
void downstream_owes(struct downstream *c, size_t len, size_t still_queued);
void downstream_release(struct downstream *c, size_t still_queued);
/* The exchange is over for `why`; the connection goes on (keep) or ends after what is queued. */
void downstream_exchange_over(struct downstream *c, bool keep, enum reason why);
/* Body bytes that waited may go on. */
void downstream_resume(struct downstream *c);
/* The connection ends, counted under `why`. */
void downstream_close(struct downstream *c, enum reason why);
void downstream_reset(struct downstream *c, enum reason why);

/* exchange.c */
void exchange_start(struct downstream *c, struct http_head *head);
/* Bytes that are no request of ours: an answer with this status, then the end. `head` is what was
 * understood of them, with `why` in it. */
void exchange_reject(struct downstream *c, unsigned status, const struct http_head *head);
/* Answers with an error of our own where an answer is still possible, or cuts the one that began.
 */
void exchange_fail(struct exchange *x, const struct http_error *e, enum reason why);
/* The upstream is gone for good, in the middle of its answer or before it. */
void exchange_lost(struct exchange *x);
/* The client is gone or has ended its side. */
void exchange_client_left(struct exchange *x, bool gone);
/* Lets go of the upstream, logs, tells the client. `reuse`: the upstream may carry another one. */
void exchange_end(struct exchange *x, enum reason why, bool reuse);
void exchange_abort(struct exchange *x, enum reason why);

/* attempt.c */
/* Chooses an upstream and sends the head there, now or when it is connected. */
void attempt_start(struct exchange *x);
/* Lets go of the upstream, with a reset. */
void attempt_drop(struct exchange *x);
/* There will be no further one. `reuse`: the upstream may carry another exchange. */
void attempt_end(struct exchange *x, bool reuse);
/* This one is lost: another one, or the end. */
void attempt_failed(struct exchange *x, enum reason why);
void attempt_connected(struct exchange *x);
/* Deadlines of gateway.connecting / attempts / pauses. */
void attempt_connect_timeout(struct exchange *x);
void attempt_timeout(struct exchange *x);
void attempt_pause_over(struct exchange *x);

/* request.c */
/* Whether body bytes can be taken now. */
bool request_wants(const struct exchange *x);
/* Takes body bytes; returns how many. The exchange may be over afterwards. */
size_t request_take(struct exchange *x, const char *data, size_t len);

/* answer.c */
void answer_take(struct exchange *x, const char *data, size_t len);
/* The upstream ended its side, or is gone. */
void answer_ended(struct exchange *x, bool gone, enum reason why);
/* Bytes towards the client have left: the upstream may deliver as much. */
void answer_release(struct exchange *x);

/* upstream.c */
void upstream_pool_init(struct upstream_pool *p, struct gateway *g, const struct endpoint *at,
                        struct engine *engine);
/* An idle connection that was used less than `max_idle_us` ago, or NULL. The kernel is asked
 * whether it has ended meanwhile, and whether bytes lie there that nobody asked for: the next user
 * would take them for his answer. */
struct upstream *upstream_take(struct upstream_pool *p, uint64_t max_idle_us);
struct upstream *upstream_connect(struct upstream_pool *p);
void upstream_write(struct upstream *u, const char *data, size_t len);
void upstream_give_back(struct upstream *u);
/* The peer hears of it at once: MLNode stops generating. */
void upstream_reset(struct upstream *u);
void upstream_pool_clear(struct upstream_pool *p);

/* access.c */
void access_init(struct gateway *g);
void access_log(const struct exchange *x);
/* A head that was refused; lines of these are gated. `line` as a refusal's, `bytes` of our answer's
 * body, `fault` static. */
void access_refused(const struct downstream *c, const char *line, unsigned status, size_t bytes,
                    enum reason why, const char *fault);
/* Writes what waits; at the latest before the gateway goes. */
void access_flush(struct gateway *g);

/* refusals.c: `line` as in struct refusal, `why` is static. */
void refusals_note(struct gateway *g, const char *line, const char *peer, const char *why);
/* The i-th of those that are kept, the latest first; NULL beyond the last. */
const struct refusal *refusals_at(const struct gateway *g, size_t i);

#endif
