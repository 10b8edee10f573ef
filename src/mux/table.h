/* Streams by id: a chained hash that doubles as it fills. Owns its bucket array, not the streams.
 */
#ifndef MUX_TABLE_H
#define MUX_TABLE_H

#include <stdint.h>

struct mux_stream;

struct mux_table {
    struct mux_stream **buckets;
    uint32_t n_buckets; /* 0 or a power of two */
    uint32_t count;
};

struct mux_stream *table_find(const struct mux_table *t, uint32_t id);
/* The id must not be in the table. */
void table_add(struct mux_table *t, struct mux_stream *s);
void table_remove(struct mux_table *t, struct mux_stream *s);
void table_clear(struct mux_table *t);

#endif
