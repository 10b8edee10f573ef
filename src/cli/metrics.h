/* GET /metrics of a long-running verb. */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#include "observe/metrics.h"
#include "observe/page.h"

enum { METRICS_ERROR_ROOM = 200 }; /* an address, and what the system says */

struct metrics_page {
    struct page *page; /* NULL: none is open */
    struct net *net;
    int64_t started_s;              /* Unix time */
    char error[METRICS_ERROR_ROOM]; /* why it could not be opened; "": it could */
    void (*write)(void *ctx, struct metrics *m);
    void *ctx;
};

/* Opens it at `host` (an IP literal; NULL: nowhere) until metrics_page_close. `write` adds what the
 * verb has, for each request. A port that cannot be had is a warning, and nothing more: nobody's
 * service waits for its numbers. `setting` is the variable or flag to name. */
void metrics_page_open(struct metrics_page *p, struct net *n, const char *host, uint16_t port,
                       const char *setting);
void metrics_page_close(struct metrics_page *p);

#endif
