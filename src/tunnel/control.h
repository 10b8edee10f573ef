/* A control connection: frp messages over the first mux stream, in clear until the login is over
 * and through the control cipher afterwards, in each direction on its own. Both ends use it. Sans
 * I/O.
 *
 * The owner's events may call anything here except control_free. */
#ifndef TUNNEL_CONTROL_H
#define TUNNEL_CONTROL_H

#include <stdbool.h>

#include "mux/session.h"
#include "proto/cipher.h"
#include "proto/frame.h"

enum {
    /* What may wait for the peer to read: 65,536 users at once make 0.7 MiB of messages. Then the
     * connection is given up, because an answer to each message could fill the memory. */
    CONTROL_QUEUE_MAX = 1024 * 1024,
};

/* Where unpredictable bytes come from: the system's generator, or a script in tests. */
struct randomness {
    void (*fill)(void *ctx, uint8_t *out, size_t len);
    void *ctx;
};

struct control {
    struct mux_stream *stream; /* NULL once it ended */
    struct frame_reader reader;
    struct cipher *read_cipher;  /* NULL: clear */
    struct cipher *write_cipher; /* NULL: clear */
    bool ended;                  /* stop decoding: the owner is closing */
    void (*message)(void *ctx, struct msg *m);
    /* What arrived is not frp's protocol (`code` of enum err), or ERR_NOTNOW: the peer reads
     * nothing of what it is sent. The last call. */
    void (*broken)(void *ctx, int code);
    void *ctx;
};

void control_init(struct control *c, struct mux_stream *stream,
                  void (*message)(void *ctx, struct msg *m), void (*broken)(void *ctx, int code),
                  void *ctx);
/* Takes received bytes, all of them; a message handler that switches the cipher on affects the very
 * next byte, as frp does. */
void control_input(struct control *c, const uint8_t *data, size_t len);
/* ERR_LIMIT when the message does not fit a frame (nothing is sent), ERR_NOTNOW without stream or
 * when CONTROL_QUEUE_MAX is reached (`broken` is told). */
int control_send(struct control *c, const struct msg *m);
/* 0 or ERR_CRYPTO. */
int control_encrypt_reads(struct control *c, const uint8_t key[CIPHER_KEY_LEN]);
int control_encrypt_writes(struct control *c, const uint8_t key[CIPHER_KEY_LEN],
                           const struct randomness *random);
/* A run_id that can be kept in `size` bytes and shown in a log: printable ASCII without blanks. */
bool control_run_id_ok(const char *run_id, size_t size);
/* Releases ciphers and buffers, not the stream. */
void control_clear(struct control *c);

#endif
