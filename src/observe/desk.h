/* Answers those who come to a door (door.h), on an event loop: everybody gets one text, and the
 * connection ends. Nothing is read. Who takes his text slowly keeps nobody waiting, and not for
 * ever. One descriptor is kept for an asker who comes when no other is free. */
#ifndef OBSERVE_DESK_H
#define OBSERVE_DESK_H

#include <sys/types.h>
#include <uv.h>

enum {
    /* At once; others wait in the door's queue. A text fits into the kernel's buffer as a rule, so
     * that nobody is here for longer than a turn. */
    DESK_ASKERS_MAX = 8,
    DESK_PATIENCE_MS = 5000, /* for somebody to take his text */
};

struct desk;

/* `fd` is a door's, maybe inherited, and stays the caller's; `owner` as in struct door. `text`
 * makes what is said; the desk frees it. */
struct desk *desk_new(uv_loop_t *loop, int fd, uid_t owner, char *(*text)(void *ctx), void *ctx);
/* Sends all away. Then desk_free, after the loop ran dry. NULL is allowed. */
void desk_close(struct desk *d);
void desk_free(struct desk *d);

#endif
