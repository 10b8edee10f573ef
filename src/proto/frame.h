/* Cuts a byte stream into v1 messages, whatever the boundaries of the reads. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/msg.h"

/* One connection's reading state. The fields are private. A zeroed reader is a fresh one. Memory
 * for a body is held only while a message is incomplete (at most MSG_BODY_MAX bytes). */
struct frame_reader {
    uint8_t *body;
    uint16_t body_len;
    uint16_t body_got;
    uint8_t head_got;
    uint8_t head[MSG_HEAD_LEN];
    int error;
};

void frame_reader_init(struct frame_reader *r);
/* Releases a half-read body; the reader is fresh afterwards. */
void frame_reader_clear(struct frame_reader *r);
/* True between messages: nothing of a next one has arrived. */
bool frame_reader_idle(const struct frame_reader *r);

/* Takes bytes of at most one message from `data`; *used says how many. Bytes after them are the
 * caller's: they may be the next message, the control cipher's IV or relayed data.
 *
 * 0: a message is complete; *out owns memory until msg_clear.
 * ERR_MORE: all `len` bytes were taken and the message goes on.
 * ERR_TYPE: the type byte is unknown, reported as soon as it is seen.
 * ERR_LIMIT: the announced length is above MSG_BODY_MAX, reported with the head's last byte.
 * ERR_SYNTAX: the length is negative or zero, or the body is not acceptable (proto/msg.h). A body
 * can also fail with ERR_LIMIT.
 *
 * After any of the last three the connection is to be closed: the reader keeps returning the same
 * code and takes no more bytes. *out is untouched unless 0 is returned. */
int frame_feed(struct frame_reader *r, const uint8_t *data, size_t len, size_t *used,
               struct msg *out);

#endif
