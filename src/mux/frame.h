/* The 12-byte header of yamux frames (frp-compatible; doc/PROTOCOL.md, "yamux"). Pure conversion.
 */
#ifndef MUX_FRAME_H
#define MUX_FRAME_H

#include <stdint.h>

enum { MUX_HEADER_SIZE = 12 };

enum mux_frame_type {
    MUX_DATA = 0,
    MUX_WINDOW = 1,
    MUX_PING = 2,
    MUX_GO_AWAY = 3,
};

enum mux_frame_flag {
    MUX_SYN = 1,
    MUX_ACK = 2,
    MUX_FIN = 4,
    MUX_RST = 8,
};

struct mux_frame {
    uint8_t type;   /* enum mux_frame_type */
    uint16_t flags; /* bits of enum mux_frame_flag */
    uint32_t id;    /* stream; 0 for Ping and GoAway */
    uint32_t length;
};

void mux_frame_put(uint8_t out[MUX_HEADER_SIZE], const struct mux_frame *f);
/* ERR_SYNTAX for a version other than 0, ERR_TYPE for an unknown frame type. */
int mux_frame_get(struct mux_frame *f, const uint8_t in[MUX_HEADER_SIZE]);

#endif
