/* The client's run_id on disk: who logs in with the old one takes its ports over at once.
 * Unguessable (stock frps admits work connections by run_id alone), one process at a time (flock),
 * mode 0600. */
#ifndef TUNNEL_RUN_ID_H
#define TUNNEL_RUN_ID_H

#include "base/log.h"

enum { RUN_ID_LEN = 32 }; /* hex digits of 128 random bits */

struct run_id {
    char text[RUN_ID_LEN + 1];
    int fd; /* holds the lock; -1: not kept */
};

/* Reads or makes it. A file that is locked by another process, not writable, or not ours in content
 * gives a fresh run_id that is not kept, and one line in the log. `path` NULL: fresh. */
void run_id_load(struct run_id *r, const char *path, struct log *log);
void run_id_release(struct run_id *r);

#endif
