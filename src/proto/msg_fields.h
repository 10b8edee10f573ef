/* Private to proto: the table that says which JSON key of which message lives where, shared by
 * decoder and encoder so that they cannot disagree. */
#ifndef PROTO_MSG_FIELDS_H
#define PROTO_MSG_FIELDS_H

#include "proto/msg.h"

enum msg_field_kind {
    FIELD_TEXT = 0,   /* const char * */
    FIELD_INT64 = 1,  /* int64_t */
    FIELD_UINT16 = 2, /* uint16_t */
    FIELD_BOOL = 3,   /* bool */
    FIELD_METAS = 4,  /* metas and n_metas of struct msg_login */
    FIELD_EMPTY = 5,  /* written as {} whatever happens, not kept when read */
};

struct msg_field {
    const char *key; /* lower case */
    enum msg_field_kind kind;
    size_t offset; /* in struct msg */
};

struct msg_shape {
    enum msg_type type;
    const char *name;
    bool handled;
    const struct msg_field *fields; /* in Go's order */
    size_t n_fields;
};

/* NULL for an unknown type byte. */
const struct msg_shape *msg_shape_of(uint8_t type);

#endif
