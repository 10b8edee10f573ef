#include "mux/frame.h"

#include "base/err.h"

static void put32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

void mux_frame_put(uint8_t out[MUX_HEADER_SIZE], const struct mux_frame *f)
{
    out[0] = 0;
    out[1] = f->type;
    out[2] = (uint8_t)(f->flags >> 8);
    out[3] = (uint8_t)f->flags;
    put32(out + 4, f->id);
    put32(out + 8, f->length);
}

int mux_frame_get(struct mux_frame *f, const uint8_t in[MUX_HEADER_SIZE])
{
    if (in[0] != 0)
        return ERR_SYNTAX;
    if (in[1] > MUX_GO_AWAY)
        return ERR_TYPE;
    f->type = in[1];
    f->flags = (uint16_t)(in[2] << 8 | in[3]);
    f->id = get32(in + 4);
    f->length = get32(in + 8);
    return ERR_OK;
}
