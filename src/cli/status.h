/* `mlgate status`, between its files: who is asked, and what came back. */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    STATUS_ASK_MS = 3000, /* a restart of the worker takes a fraction of it */
    /* A document of a node has some KiB; a server's with thousands of clients more. */
    STATUS_MAX = 16 * 1024 * 1024,
    STATUS_DIGITS = 6, /* of a number with a fraction */
};

struct status_target {
    char path[PATH_MAX];      /* of the door (observe/door.h) */
    char directory[PATH_MAX]; /* of a container, whose PID 1 can be asked too; "": it is none */
    bool server;              /* a server's door */
    const char *who;          /* for "... is not running" */
};

struct status_answer {
    json_t *document;            /* NULL: nobody answered, or nothing that can be used */
    char error[PATH_MAX + 1024]; /* a sentence; "" when the document is whole */
};

/* Where the server of this state directory (NULL: it has none) and port answers: status.sock in the
 * one, or a name without a file made of the other. The caller frees it. */
char *status_server_door(const char *state_dir, uint16_t port);

/* Asks, at most for a few seconds. Where the worker does not answer, PID 1's health record is all
 * there is: `document` and `error` are both set then. The caller drops the document. */
void status_ask(const struct status_target *target, struct status_answer *answer);

/* Where else mlgate listens according to this table ("/proc/net/unix"): "PATH, PATH" without
 * `not_this`, a few of them, printable, into `out`. Whether there are any. */
bool status_find(const char *proc_net_unix, const char *not_this, char *out, size_t size);

/* One report, or one document made with `json_flags` (json_dumpf). */
void status_print(FILE *out, const struct status_answer *answer, bool json, size_t json_flags,
                  bool colour);

/* Once a second until SIGINT, SIGTERM, or until nobody reads: on a terminal always the same place,
 * else one after the other. Returns whether the last one was answered. */
bool status_watch(const struct status_target *target, bool json);

#endif
