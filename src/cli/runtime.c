#include "cli/runtime.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* Fewer descriptors than this and a busy node runs out in the middle of its work. */
enum { FEW_DESCRIPTORS = 4096 };

static void raise_descriptors(struct log *log)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FEW_DESCRIPTORS)
        log_warn(log,
                 "only %lu open files are allowed: each user takes one; raise it (ulimit -n, "
                 "docker run --ulimit nofile=65536)",
                 (unsigned long)limit.rlim_cur);
}

void runtime_stop(struct runtime *r)
{
    if (r->stopping)
        return;
    r->stopping = true;
    uv_close((uv_handle_t *)&r->term, NULL); /* the second signal gets the default: the end */
    uv_close((uv_handle_t *)&r->intr, NULL);
    if (r->stop != NULL)
        r->stop(r->ctx);
}

static void signalled(uv_signal_t *handle, int number)
{
    struct runtime *r = handle->data;

    log_info(r->log, "%s: stopping", number == SIGINT ? "interrupted" : "asked to stop");
    runtime_stop(r);
}

void runtime_init(struct runtime *r, const char *tag, enum log_level level, size_t memory_limit)
{
    *r = (struct runtime){0};
    signal(SIGPIPE, SIG_IGN);
    r->log = log_new(STDOUT_FILENO, tag, level);
    raise_descriptors(r->log);
    uv_loop_init(&r->loop);
    r->net = net_new(&r->loop, r->log, memory_limit);
    uv_signal_init(&r->loop, &r->term);
    uv_signal_init(&r->loop, &r->intr);
    r->term.data = r;
    r->intr.data = r;
    uv_signal_start(&r->term, signalled, SIGTERM);
    uv_signal_start(&r->intr, signalled, SIGINT);
}

void runtime_run(struct runtime *r, void (*stop)(void *ctx), void *ctx)
{
    r->stop = stop;
    r->ctx = ctx;
    uv_run(&r->loop, UV_RUN_DEFAULT);
}

void runtime_free(struct runtime *r)
{
    if (!r->stopping) {
        uv_close((uv_handle_t *)&r->term, NULL);
        uv_close((uv_handle_t *)&r->intr, NULL);
    }
    net_stop(r->net);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    net_free(r->net);
    uv_loop_close(&r->loop);
    log_free(r->log);
}
