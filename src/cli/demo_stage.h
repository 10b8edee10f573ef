/* The three children of the demo and what each needs to know of the others: ports, the token, the
 * server's pin. Whether a child is up is read from what it says, so a change of those lines in
 * testnode/verb.c, tunnel/server.c, tunnel/client.c or gateway/engines.c is a change here. */
#ifndef CLI_DEMO_STAGE_H
#define CLI_DEMO_STAGE_H

#include <uv.h>

#include "cli/demo_report.h"

/* Of the testnode's answers: how many tokens, and how many a second. */
enum { DEMO_TOKENS = 32, DEMO_RATE = 40 };

struct stage;

struct stage_events {
    /* The child does what it was started for: the testnode and the server listen, the client has
     * both its ports on the server and has found the engines. */
    void (*up)(void *ctx, enum demo_child which);
    /* It ended unasked, was refused by the server, or ended badly. `why` is a clause, valid during
     * the call. */
    void (*failed)(void *ctx, enum demo_child which, const char *why);
    void (*all_ended)(void *ctx);
    /* The client's gateway has said what became of a request; the line is valid during the call. */
    void (*request)(void *ctx, const char *line);
};

/* `dir` is the children's; it must outlive the stage. NULL: no ports are free. */
struct stage *stage_new(uv_loop_t *loop, const char *dir, const struct stage_events *events,
                        void *ctx);
/* In the order of enum demo_child, each after the one before is up. One event follows; `failed` may
 * come inside the call. */
void stage_start(struct stage *s, enum demo_child which);
/* Asks all that run to end, the last one started first, each after the one before has ended.
 * all_ended follows, perhaps inside the call. */
void stage_stop(struct stage *s);
/* Ends at once whatever still runs. */
void stage_kill(struct stage *s);
/* Ports, CLIENT_ID and process ids of what is up. */
void stage_places(const struct stage *s, struct demo_report *r);
void stage_memory(const struct stage *s, struct demo_report *r);
/* The last lines of one child under a heading; nothing when it said none. */
void stage_print_lines(const struct stage *s, enum demo_child which, FILE *out);
/* After all_ended, or before any start. The loop must run once more. NULL is allowed. */
void stage_free(struct stage *s);

#endif
