/* A growing run of bytes with one owner: JSON being composed, a request body being collected. Who
 * feeds one from the network checks a limit of its own first. */
#ifndef TESTNODE_BLOB_H
#define TESTNODE_BLOB_H

#include <stddef.h>

struct json_t;

struct blob {
    char *data; /* NULL while empty */
    size_t len;
    size_t cap;
};

void blob_add(struct blob *b, const void *data, size_t len);
void blob_fill(struct blob *b, char byte, size_t count);
void blob_printf(struct blob *b, const char *format, ...)
    __attribute__((nonnull, format(printf, 2, 3)));
/* Appends `value` as compact JSON. Strings, objects and arrays alike. */
void blob_json(struct blob *b, const struct json_t *value);
/* Forgets the first `len` bytes, at most all of them. */
void blob_drop(struct blob *b, size_t len);
/* Frees and empties. */
void blob_clear(struct blob *b);

#endif
