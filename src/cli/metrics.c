#include "cli/metrics.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "config/env.h"
#include "observe/process_metrics.h"

static char *write_all(void *ctx, size_t *len)
{
    struct metrics_page *p = ctx;
    struct metrics m = {0};

    process_metrics_write(&m, net_pool(p->net), p->started_s);
    p->write(p->ctx, &m);
    *len = m.len;
    return m.text;
}

void metrics_page_open(struct metrics_page *p, struct net *n, const char *host, uint16_t port,
                       const char *setting)
{
    static const struct page_path paths[] = {
        {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_all}, {NULL, NULL, NULL}};
    struct log *log = net_log(n);
    const char *open = "", *close = "";
    int error;

    if (host == NULL)
        return;
    if (strchr(host, ':') != NULL) {
        open = "[";
        close = "]";
    }
    p->net = n;
    p->started_s = (int64_t)time(NULL);
    p->page = page_open(n, host, port, paths, p, &error);
    if (p->page == NULL) {
        snprintf(p->error, sizeof(p->error), "cannot listen on %s%s%s:%u: %s", open, host, close,
                 port, uv_strerror(error));
        log_warn(log, "no metrics: cannot listen on %s%s%s:%u: %s; choose another address with %s",
                 open, host, close, port, uv_strerror(error), setting);
        return;
    }
    log_info(log, "metrics on http://%s%s%s:%u/metrics (%s)", open, host, close, port, setting);
    if (!env_is_loopback(host))
        log_warn(log,
                 "%s: %s is not a loopback address: whoever reaches port %u there reads the "
                 "metrics",
                 setting, host, port);
}

void metrics_page_close(struct metrics_page *p)
{
    page_close(p->page);
    p->page = NULL;
}
