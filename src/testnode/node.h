/* The inside of the stand-in: shared by server.c (the state machine), port.c (listening), fleet.c
 * (the engines), conn.c (HTTP over one socket), exchange.c (what a request does), generation.c (a
 * completion), weights_run.c (models on disk) and proxy.c (passing one on to an engine). Nobody
 * else includes this. */
#ifndef TESTNODE_NODE_H
#define TESTNODE_NODE_H

#include <openssl/evp.h>
#include <uv.h>

#include "base/list.h"
#include "http/chunk.h"
#include "http/head.h"
#include "testnode/answer.h"
#include "testnode/engine.h"
#include "testnode/testnode.h"
#include "testnode/weights.h"

enum {
    NODE_READ_BYTES = 64 * 1024,
    NODE_BURST = 64, /* events or blocks in one turn of the loop, so that the others get theirs */
    NODE_CONNS_MAX = 16384,      /* more are closed as they come */
    NODE_IN_MAX = HTTP_HEAD_MAX, /* pipelined bytes held before reading stops */
    NODE_OUT_HIGH = 64 * 1024,   /* bytes queued behind a slow reader before its source stops */
    NODE_OUT_LOW = 16 * 1024,    /* and where it goes on */
    NODE_JSON_MAX = 16 * 1024 * 1024, /* a JSON body; a prompt of a million tokens fits */
    NODE_HEAD_TIME_MS = 60 * 1000,    /* from the first byte of a head to its last */
    NODE_FRESH_TIME_MS = 300 * 1000,  /* until the first byte of the first request */
    NODE_GRACE_MS = 2,                /* before the first answer of a connection; see run() */
    NODE_LINGER_MS = 1000,            /* for the client to read a refusal and close */
    NODE_IDLE_INFERENCE_MS = 300000,  /* MLNode's own keep-alive limits */
    NODE_IDLE_MANAGEMENT_MS = 5000,
    NODE_LINE_MAX = 512, /* of a request line in a log */
    NODE_PEER_MAX = 64,
};

/* A port of ours: bound from start to end, so that nobody else gets it, and listening at times. */
struct port {
    struct testnode *node;
    enum node_port kind;
    struct engine *engine;     /* whose it is; NULL: MLNode's own */
    struct listener *listener; /* NULL: could not be bound */
    bool listening;
    struct sockaddr_storage addr; /* with the real port */
};

struct engine {
    struct engine_state *state; /* in testnode.engine_states */
    struct port port;
};

struct testnode {
    uv_loop_t *loop;
    struct log *log;
    struct testnode_options options;
    char *model_name; /* what options.model points to */
    struct model model;
    struct weights weights;
    uv_timer_t load_timer;
    struct port ports[NODE_PORTS]; /* the inference one listens while an engine is alive */
    struct engine *engines;
    struct engine_state *engine_states;
    uint64_t proxied; /* requests that came to the inference port */
    struct list conns;
    size_t n_conns;
    size_t handles; /* open ones besides those of the connections */
    uint64_t serial;
    bool stopping;
    void (*closed)(void *arg);
    void *closed_arg;
    char read_buf[NODE_READ_BYTES]; /* between uv's alloc and read callbacks */
};

/* A completion on its way. */
struct generation {
    struct ask ask;
    struct answer answer;
    size_t step;
    size_t sent;        /* tokens */
    uint64_t began_ns;  /* when token 0 is due */
    uint64_t paused_ns; /* since when the reader holds it up; 0 = it does not */
};

/* One request and its answer. */
struct exchange {
    struct node_match match;
    char line[NODE_LINE_MAX]; /* for the log */
    uint64_t began_ns;
    struct blob body;
    bool body_too_big;
    uint64_t received;
    EVP_MD_CTX *digest; /* sink */
    struct generation *gen;
    uint64_t source_at; /* source: next byte, and the end */
    uint64_t source_end;
    bool waits_for_load; /* a blocking `up` */
    struct engine_control control;
    const char *control_why; /* why there is none */
    struct relay *relay;     /* to the engine that answers in our place */
    int refusal;             /* the proxy's own answer, because no engine gives one; 0 = none */
    bool counted;            /* by the engine, until it is over */
    bool probe;
    bool broken;   /* the answer ends before its end */
    int status;    /* 0 until the answer begins */
    uint64_t sent; /* body bytes */
};

enum conn_phase {
    CONN_HEAD = 0,   /* waiting for a request, or inside its head */
    CONN_BODY = 1,   /* inside the body of a request */
    CONN_ANSWER = 2, /* the exchange is at work */
    CONN_DRAIN = 3,  /* the answer is complete and waits for a slow reader */
    CONN_LINGER = 4, /* our side is shut; waiting for the client's end */
    CONN_CLOSED = 5,
};

struct conn {
    struct list node;
    struct testnode *owner;
    enum node_port port;
    struct engine *engine; /* whose port it came to; NULL: MLNode's */
    enum conn_phase phase;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    unsigned handles;
    bool reading;
    bool consuming; /* inside consume(): finishing an answer must not start another pass */
    bool fresh;     /* no request was complete yet */
    bool waiting;   /* the answer is still to begin: see run() */
    bool held;      /* the timer ran out while the engine was frozen */
    bool ended;     /* the client sends no more */
    struct blob in; /* bytes received and not yet consumed */
    size_t scan;
    struct http_framing framing;
    struct http_chunk chunk;
    uint64_t body_left;
    unsigned minor;
    bool to_head; /* the answer must have no body */
    bool chunked_answer;
    bool close_after;
    char peer[NODE_PEER_MAX];
    struct exchange exchange;
};

/* conn.c. Every call that writes may find the client gone and close: then c->phase is CONN_CLOSED,
 * and c itself stays valid until the loop runs the close callbacks. */
void node_accept(struct port *port, uv_stream_t *listener);
/* Begins an answer with a body of `length` bytes, or of unknown length when negative. `extra` is
 * NULL or whole field lines. */
void conn_answer(struct conn *c, int status, const char *type, int64_t length, const char *extra);
void conn_body(struct conn *c, const char *data, size_t len);
void conn_end(struct conn *c);
/* Ends the connection after what was written, so that the client sees the answer break off. */
void conn_truncate(struct conn *c);
/* Bytes that wait behind a slow reader. */
size_t node_queued(const struct conn *c);
/* Calls exchange_tick after that time, replacing an earlier wish. */
void conn_wake(struct conn *c, uint64_t ms);
/* Closes at once, whatever is under way. `left`: it was the client's doing. */
void conn_cut(struct conn *c, bool left);
/* As conn_cut, but the client gets a reset. */
void conn_reset(struct conn *c);
/* Its engine is not frozen any more: goes on where it stopped. */
void conn_thaw(struct conn *c);
/* A reason to leave the request body unread may have gone. */
void conn_read_on(struct conn *c);

/* exchange.c */
void exchange_begin(struct conn *c, const struct http_head *head);
/* A piece of the request body. What the route has no use for is dropped. */
void exchange_take(struct conn *c, const char *data, size_t len);
/* The request is complete: answers now or later. */
void exchange_run(struct conn *c);
void exchange_tick(struct conn *c);
/* The reader caught up. */
void exchange_drained(struct conn *c);
/* The load that a blocking `up` waited for has ended. */
void exchange_loaded(struct conn *c);
/* The answer is written as an engine's that came through MLNode's proxy, with no engine behind. */
bool exchange_plays_both(const struct conn *c);
/* Writes the log lines. `left` as in conn_cut; frees nothing. */
void exchange_over(struct conn *c, bool left);
void exchange_clear(struct conn *c);
/* A whole answer; `body` is cleared, `extra` as for conn_answer. */
void exchange_json(struct conn *c, int status, struct blob *body, const char *extra);
/* An error in the shape of whoever would have answered. */
void exchange_failure(struct conn *c, int status, const char *message, const char *extra);
/* MLNode's own error, not an engine's. */
void exchange_refuse(struct conn *c, int status, const char *message);

/* generation.c */
/* A completion is asked for: begins it, or refuses. */
void generation_run(struct conn *c);
/* What is due of it now leaves. */
void generation_pump(struct conn *c);
/* Proof of compute takes the engine: a completion is refused, or breaks off when it has begun. */
void generation_preempt(struct conn *c);

/* weights_run.c: what MLNode's endpoint for weights answers. */
void weights_run_status(struct conn *c);
void weights_run_download(struct conn *c);
void weights_run_delete(struct conn *c);

/* proxy.c: as MLNode's proxy does, chooses an engine as the head arrives, passes the body on piece
 * by piece, and the answer with its length dropped. An engine that cannot answer is a 502. */
void proxy_begin(struct conn *c, const struct http_head *head);
void proxy_take(struct conn *c, const char *data, size_t len);
void proxy_run(struct conn *c);
void proxy_drained(struct conn *c);
/* The engine does not keep up with the request body. */
bool proxy_is_full(const struct conn *c);
/* Hangs up on the engine. Nothing happens when the exchange has no relay. */
void proxy_drop(struct conn *c);

/* port.c: 0 or a negative uv code. */
int port_open(struct port *port, const char *host, uint16_t number);
int port_listen(struct port *port);
/* Stops listening and holds the port; connections that were accepted live on. */
int port_shut(struct port *port);
void port_close(struct port *port);
uint16_t port_number(const struct port *port);

/* fleet.c */
/* Binds the engines' ports; 0 or a negative uv code with the cause in `error`. */
int fleet_open(struct testnode *node, char *error, size_t error_size);
/* All engines and the inference port listen; a negative uv code when one cannot. */
int fleet_up(struct testnode *node);
/* None listens, and what they served is cut. */
void fleet_down(struct testnode *node);
void fleet_close(struct testnode *node);
/* 0; ERR_NOTFOUND or ERR_NOTNOW with *why. */
int fleet_control(struct testnode *node, const struct engine_control *control, const char **why);

/* server.c */
/* Begins or ends proof of compute, as model_generate; completions under way are preempted. */
bool node_generate(struct testnode *node, bool on);
/* Begins a load; the errors of model_up. */
int node_up(struct testnode *node, const char *model, bool doomed);
/* Ends the engine: its port closes and its streams are cut. */
void node_down(struct testnode *node);
uint64_t node_now_ms(const struct testnode *node);
/* Called as the last handle of a connection closed, with c freed by the caller afterwards. */
void node_forget(struct testnode *node);
/* One of testnode.handles is closed. */
void node_handle_closed(struct testnode *node);

#endif
