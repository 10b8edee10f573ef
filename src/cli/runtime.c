#include "cli/runtime.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    /* Fewer descriptors than this and a busy node runs out in the middle of its work. */
    FEW_DESCRIPTORS = 4096,
    /* Last words leave at once on a line that works; on a dead one they would wait for minutes. */
    GRACE_MS = 500,
};

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

static void grace_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void runtime_stop(struct runtime *r)
{
    if (r->stopping)
        return;
    r->stopping = true;
    uv_timer_start(&r->grace, grace_over, GRACE_MS, 0);
    uv_unref((uv_handle_t *)&r->grace);
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

void runtime_init(struct runtime *r, const char *tag, enum log_level level, enum log_format format,
                  size_t memory_limit)
{
    *r = (struct runtime){0};
    signal(SIGPIPE, SIG_IGN);
    r->log = log_new(STDOUT_FILENO, tag, level, format);
    raise_descriptors(r->log);
    uv_loop_init(&r->loop);
    r->net = net_new(&r->loop, r->log, memory_limit);
    uv_signal_init(&r->loop, &r->term);
    uv_signal_init(&r->loop, &r->intr);
    uv_timer_init(&r->loop, &r->grace);
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
    uv_close((uv_handle_t *)&r->grace, NULL);
    net_stop(r->net);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    net_free(r->net);
    uv_loop_close(&r->loop);
    log_free(r->log);
}
