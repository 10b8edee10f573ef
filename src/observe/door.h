/* A door for those who operate this machine: a listening Unix socket that answers who connects and
 * is trusted, and reads nothing. Plain POSIX, so that PID 1 may have one.
 *
 * It is a file at `path`. Where that cannot be made (a read-only image, a full disk, a path that is
 * too long), it has a name without a file, which is derived from the path. A path that begins with
 * '@' has no file in the first place. */
#ifndef OBSERVE_DOOR_H
#define OBSERVE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct door {
    int fd;         /* listening and never waiting; -1: none */
    uid_t owner;    /* who opened it: answered, as root is */
    char path[108]; /* to be removed at the end; "": a name without a file */
};

/* 0, or a negative errno and no door: -EADDRINUSE when somebody who lives has it. A socket that a
 * former life left is replaced; any other file stays. Mode 0600. */
int door_open(struct door *door, const char *path);
/* Only in the process that opened it. */
void door_close(struct door *door);

/* Who waits at `fd`, or -1 with errno; EAGAIN: nobody, or so many who are not trusted that it is
 * better to come back. These are sent away without an answer. The descriptor never waits, and is
 * the caller's. `fd` may be inherited from who opened the door. */
int door_accept(int fd, uid_t owner);

/* The asker's side: a connected descriptor that the caller closes, or a negative errno.
 * -ENOENT, -ECONNREFUSED: nobody there; -EACCES, -EPERM: not allowed, or the other one is
 * neither root, nor of our user, nor the only one who can put files where the door is; -ETIMEDOUT:
 * nobody took us in for `patience_ms`. */
int door_knock(const char *path, int patience_ms);
/* Whether root or this process's user listens on the file `path`. Waits for nobody: false also
 * where nobody takes us in now. */
bool door_is_ours(const char *path);
/* All that is said until the end, terminated, at most `max` bytes; the caller frees it. Its length,
 * or a negative errno: -EACCES for silence, which is how a door refuses, -ETIMEDOUT, -EMSGSIZE. */
ssize_t door_hear(int fd, size_t max, int patience_ms, char **out);

#endif
