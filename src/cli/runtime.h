/* What every long-running verb needs: a loop, a log on stdout, a net, and a stop on SIGTERM or
 * SIGINT. */
#ifndef CLI_RUNTIME_H
#define CLI_RUNTIME_H

#include <stdbool.h>

#include "net/net.h"

struct runtime {
    uv_loop_t loop;
    struct log *log;
    struct net *net;
    uv_signal_t term;
    uv_signal_t intr;
    uv_timer_t grace; /* bounds the time from the stop to the end */
    void (*stop)(void *ctx);
    void *ctx;
    bool stopping;
};

/* Descriptors: as many as the hard limit allows. SIGPIPE: ignored. `tag` is static. */
void runtime_init(struct runtime *r, const char *tag, enum log_level level, enum log_format format,
                  size_t memory_limit);
/* `stop` is called once, by the first signal or runtime_stop. Runs until nothing is left to do, but
 * no longer than a moment after the stop: a peer that takes no bytes does not hold the process. A
 * second signal ends the process at once. */
void runtime_run(struct runtime *r, void (*stop)(void *ctx), void *ctx);
void runtime_stop(struct runtime *r);
void runtime_free(struct runtime *r);

#endif
