/* A world made of memory for what lives behind struct gateway_host: a clock that only the test
 * moves, upstreams by port number, clients, and streams in between that break every program which
 * breaks the rules of net/stream.h.
 *
 * Two ends. The near end is the struct stream that the code under test holds. The far end is a
 * struct fake_conn that the test plays, by hand or with the callbacks of a struct fake_peer. Far
 * ends live until fake_free and may be used at any time; what they send to a stream that is gone is
 * dropped, as a network does.
 *
 * Nothing happens by itself: fake_run delivers until nothing is left, fake_advance moves the clock
 * as well, and stops at everything that is due on the way. A turn is as in the real loop: events of
 * the streams, then timers, then the tasks of `soon`. An event never comes inside a call of the
 * code under test, STREAM_SENT inside stream_write excepted.
 *
 * The process ends, with a line that says which rule, when the code under test
 *   - consumes more than was delivered,
 *   - writes after stream_finish,
 *   - calls anything of a stream after stream_close, stream_reset or STREAM_CLOSED (under the
 *     address sanitizer: touches its memory at all),
 *   - holds a stream still, or chunks of the pool, at fake_free,
 *   - makes events for ever (FAKE_TURNS_MAX turns at one moment of the clock).
 * Data is delivered in memory of exactly its size that goes when the event returns. */
#ifndef TEST_GATEWAY_HOST_FAKE_H
#define TEST_GATEWAY_HOST_FAKE_H

#include <stdarg.h>
#include <stddef.h>

#include "base/bytes.h"
#include "gateway/host.h"
#include "http/head.h"

enum {
    FAKE_TURNS_MAX = 5000000,
    FAKE_WINDOW = 512 * 1024, /* held bytes at which delivery pauses: CONN_READ_WINDOW */
};

struct fake_host;
struct fake_conn;

/* Called by fake_run, each may be NULL. A peer with none of them accepts and says nothing. */
struct fake_peer {
    void (*opened)(struct fake_conn *c); /* the near end heard STREAM_OPEN */
    void (*data)(struct fake_conn *c);   /* more in c->got */
    void (*ended)(struct fake_conn *c);  /* the near end finished or closed, all it sent is here */
    void (*gone)(struct fake_conn *c);   /* the near end was reset; what it sent may be missing */
    /* All that was sent has been delivered, and the near end takes more: a place to make endless
     * bodies without holding them. Asked again only after something was sent. */
    void (*more)(struct fake_conn *c);
};

/* How a connection attempt ends. */
enum fake_door {
    FAKE_REFUSES = 0, /* also ports that nobody mentioned */
    FAKE_ACCEPTS = 1,
    FAKE_SILENT = 2, /* neither: packets are lost */
    FAKE_FAILS = 3,  /* another error: REASON_CONNECT_FAILED */
};

struct fake_text {
    char *data; /* terminated */
    size_t len;
    size_t size;
};

/* The far end. What is not named "read" is the fake's own. */
struct fake_conn {
    struct fake_host *host;
    const struct fake_peer *peer; /* may be exchanged at any time */
    void *ctx;                    /* the test's */
    uint16_t port;                /* read: 0 for clients */
    unsigned id;                  /* read: 1, 2, … in order of creation */
    struct fake_text got;         /* read: everything received, unless `forget` */
    uint64_t got_total;           /* read */
    uint64_t delivered;           /* read: bytes the near end got in STREAM_DATA */
    uint64_t consumed;            /* read: and gave back */
    bool open;                    /* read: the connection was established */
    bool ended;                   /* read: the near end sends no more */
    bool reset;                   /* read: the near end was reset */
    bool released;                /* read: the near end belongs to nobody any more */
    bool forget;                  /* count what arrives and keep nothing */
    size_t room;                  /* bytes the far end still takes; SIZE_MAX without limit */
    size_t taken;                 /* of `got`: what fake_request has read */

    struct fake_near *near;
    struct bytes out; /* towards the far end, not yet there */
    struct fake_text in;
    size_t in_at;
    struct fake_conn *next;
    uint64_t told_got;
    enum reason fail;
    bool connecting, dialled, finish, told_ended, told_gone, eof, told_eof, asked_more, inside;
};

/* The fake's own. */
struct fake_later {
    struct fake_later *next;
    uint64_t due_us;
    void (*run)(void *ctx);
    void *ctx;
};

struct fake_host {
    /* Set at any time. */
    size_t piece; /* at most so many bytes in one STREAM_DATA; 0: as many as there are */
    /* Instead of `piece`: how many of `have` bytes come next; at least 1. */
    size_t (*cut)(void *ctx, size_t have);
    void *cut_ctx;
    size_t window;   /* FAKE_WINDOW; smaller for a test of backpressure */
    bool sent_late;  /* STREAM_SENT comes as an event of its own; else inside stream_write */
    size_t drain;    /* with sent_late: at most so many bytes leave in a turn; 0: all */
    bool reset_late; /* what a reset stream held goes in the next turn; else inside stream_reset */
    bool say_stale;  /* what host->stale answers when the stream itself shows nothing */
    /* The process's timer: called when tick_due has come (0: in the next turn), and answers when it
     * wants to be called again. host->wake brings it forward. */
    uint64_t (*tick)(void *ctx, uint64_t now_us);
    void *tick_ctx;
    uint64_t tick_due;

    /* Read. */
    unsigned connects; /* attempts */
    unsigned open;     /* near ends that somebody owns now */
    unsigned most_open;
    unsigned ticks;
    struct pool pool;

    struct gateway_host gateway;
    uint64_t now_us;
    struct fake_conn *conns; /* newest first */
    struct fake_port *ports;
    struct fake_later *later;
    struct list tasks;
    int log_fd;
    bool running;
};

struct fake_host *fake_new(void);
/* Also the place where what is left over is noticed. */
void fake_free(struct fake_host *h);
/* To be handed to the code under test. */
const struct gateway_host *fake_gateway(struct fake_host *h);

/* ---- time ------------------------------------------------------------------------------------ */

/* One event of each stream, then what is due by the clock, then the tasks that were waiting;
 * whether anything happened. */
bool fake_turn(struct fake_host *h);
void fake_run(struct fake_host *h);
void fake_advance(struct fake_host *h, uint64_t us);
/* `run` is called when `us` have passed from now on. */
void fake_after(struct fake_host *h, uint64_t us, void (*run)(void *ctx), void *ctx);
/* The fake's own: one thing that is due; whether there was one. */
bool fake_run_due(struct fake_host *h);

/* ---- far ends -------------------------------------------------------------------------------- */

/* What happens to those who connect to `port` from now on; `peer` and `ctx` are for accepted ones
 * and must outlive the host. Connections that exist stay as they are. */
void fake_listen(struct fake_host *h, uint16_t port, enum fake_door door,
                 const struct fake_peer *peer, void *ctx);
/* Connection attempts to `port` so far. */
unsigned fake_connects_to(const struct fake_host *h, uint16_t port);
/* The newest connection to `port` (0: of a client); NULL when there is none. */
struct fake_conn *fake_latest(const struct fake_host *h, uint16_t port);

/* A client that has connected to the code under test: fake_stream is what an accept would return,
 * open already. The owner sets its `on` and `owner`; nothing is delivered before that. */
struct fake_conn *fake_client(struct fake_host *h, const struct fake_peer *peer, void *ctx);
struct stream *fake_stream(struct fake_conn *c);

void fake_send(struct fake_conn *c, const void *data, size_t len);
void fake_say(struct fake_conn *c, const char *text);
/* No more bytes from the far end. */
void fake_end(struct fake_conn *c);
/* STREAM_CLOSED for `why`, after what was sent. */
void fake_fail(struct fake_conn *c, enum reason why);
/* The same at once: what was not delivered is lost. */
void fake_fail_now(struct fake_conn *c, enum reason why);
/* Fails all connections to `port` now, and refuses from now on: a process that died. */
void fake_crash(struct fake_host *h, uint16_t port);
/* Takes `len` more bytes, for a far end whose `room` is limited. */
void fake_take(struct fake_conn *c, size_t len);
/* Bytes that were sent and not yet delivered. */
size_t fake_pending(const struct fake_conn *c);
void fake_text_add(struct fake_text *t, const void *data, size_t len);

/* ---- far ends that speak HTTP ---------------------------------------------------------------- */

enum { FAKE_FIELD_MAX = 1024 };

/* One request out of `got`, in order: its head, and its body by length (other bodies are the
 * caller's to read, from got.data + taken on). */
struct fake_request {
    char method[FAKE_FIELD_MAX];
    char target[FAKE_FIELD_MAX];
    const char *head; /* inside `got`: valid until more arrives */
    size_t head_len;
    const char *body;
    size_t body_len;
};

/* False while there is no whole one. A head that our own parser refuses ends the process. */
bool fake_request(struct fake_conn *c, struct fake_request *out);
/* Status line, Content-Length, `fields` (lines with CRLF, may be ""), body. */
void fake_answer(struct fake_conn *c, unsigned status, const char *fields, const char *body);
/* One chunk; "" is the last one. */
void fake_chunk(struct fake_conn *c, const char *data);

/* ---- what was logged ------------------------------------------------------------------------- */

/* All lines so far, or since fake_log_clear; to be freed with mem_free. */
char *fake_log(const struct fake_host *h);
void fake_log_clear(struct fake_host *h);
/* From here on the lines are for programs. */
void fake_log_json(struct fake_host *h);

#endif
