/* The connection object, shared by its files: conn.c (life, ends, the stream's calls), conn_read.c,
 * conn_write.c. No one else includes this. */
#ifndef NET_CONN_INTERNAL_H
#define NET_CONN_INTERNAL_H

#include "base/bytes.h"
#include "net/conn.h"
#include "net/internal.h"

enum {
    /* After our FIN a closed connection drains what the peer still sends for at most this long, so
     * that the kernel does not answer unread bytes with a reset that destroys our last ones. */
    CONN_LINGER_US = 2 * 1000 * 1000,
    /* A closed connection whose peer takes none of the queued bytes is given up after this. */
    CONN_STUCK_US = 120 * 1000 * 1000,
};

enum phase {
    PHASE_CONNECTING = 1,
    PHASE_HANDSHAKE = 2,
    PHASE_OPEN = 3,
    PHASE_LINGERING = 4, /* the owner left; the rest of the queue and our FIN still go out */
    PHASE_CLOSING = 5,   /* uv_close asked for */
};

/* What libuv works on, one at a time: connecting, then writes, then the end. */
struct request {
    union {
        uv_connect_t connect;
        uv_write_t write;
        uv_shutdown_t shutdown;
    } uv;
    size_t write_len; /* what the write was given of the first chunk of out, pinned until then */
};

/* What a client's connection is to become once TCP is up. */
struct tls_wish {
    struct tls_context *context;
    char *name;
    bool first_byte;
};

struct conn {
    struct stream stream;
    struct net *net;
    uv_tcp_t tcp;
    struct request *request; /* while libuv works on one: an idle connection has none */
    struct net_task task;    /* end of turn: flush, or report a failure */
    struct list lingering;   /* on net->lingering */
    struct bytes out;        /* ciphertext or plain bytes the kernel did not take yet */
    size_t unconsumed;
    uint64_t linger_until_us;
    uint32_t read_in_turn; /* the last turn of the loop that read */
    struct tls *tls;
    struct tls_wish *wish;
    enum phase phase : 8;
    enum reason failed : 8; /* waits for the end of the turn to be told */
    bool reading;
    bool finish; /* FIN after the queue */
    bool finish_sent;
    bool eof;
};

/* conn.c */
bool conn_owned(const struct conn *c);
void conn_tell(struct conn *c, enum stream_event event, const uint8_t *data, size_t len);
/* Has the owner told at the end of the turn, never inside one of its calls. */
void conn_fail(struct conn *c, enum reason why);
/* Tells now, and drops. */
void conn_report_failure(struct conn *c);
/* Closes the socket; the memory goes when libuv has let go of it. */
void conn_drop(struct conn *c);
enum reason conn_reason_of(int uv_code);
/* How the socket ended, behind the bytes that it delivered: UV_EOF, or another uv code. */
int conn_how_ended(const struct conn *c);
struct request *conn_take_request(struct conn *c);
void conn_drop_request(struct conn *c);
/* Sends our FIN when it is asked for and nothing is queued before it. */
void conn_finish_if_drained(struct conn *c);

/* conn_read.c */
/* Starts or stops reading as the unconsumed bytes demand. */
void conn_pace_reading(struct conn *c);
/* Takes ciphertext in; with none, begins a client's handshake. */
void conn_decrypt(struct conn *c, const uint8_t *data, size_t len);

/* conn_write.c */
void conn_write(struct stream *s, const uint8_t *data, size_t len);
void conn_end_of_turn(struct net_task *t);

#endif
