/* The weights that MLNode has on disk, as the stand-in says it: none at first; a download takes as
 * long as a load, and nothing is written. Pure: times as in testnode/model.h. */
#ifndef TESTNODE_WEIGHTS_H
#define TESTNODE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testnode/model.h"

enum {
    WEIGHTS_MAX = 16,      /* models that are remembered; more are answered as if busy */
    WEIGHTS_DOWNLOADS = 3, /* at once, as MLNode's own limit */
};

struct weights_entry {
    char name[MODEL_NAME_MAX + 1];
    uint64_t began_ms;
};

struct weights {
    struct weights_entry at[WEIGHTS_MAX];
    size_t n;
    unsigned delay_ms;
};

enum weights_status {
    WEIGHTS_NOT_FOUND = 0,
    WEIGHTS_DOWNLOADING = 1,
    WEIGHTS_DOWNLOADED = 2,
};

/* As MLNode spells it. */
const char *weights_status_name(enum weights_status status);
/* `elapsed_ms` (NULL is allowed) is that of a download. */
enum weights_status weights_status(const struct weights *w, const char *name, uint64_t now_ms,
                                   uint64_t *elapsed_ms);
/* 0; ERR_EXISTS while it is being downloaded; ERR_LIMIT: too many at once; ERR_SYNTAX: no name.
 * What is there already stays. */
int weights_download(struct weights *w, const char *name, uint64_t now_ms);
/* Deletes or cancels: what it was. */
enum weights_status weights_delete(struct weights *w, const char *name, uint64_t now_ms);

#endif
