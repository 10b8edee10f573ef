/* What a killed shim left behind: its descendants have become children of PID 1, and are told from
 * processes that came by `docker exec` by a mark in their environment. They are looked for by a
 * process of its own, because reading about a process that hangs in the kernel may hang too. */
#ifndef CONTAINER_SWEEP_H
#define CONTAINER_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sweep {
    pid_t pid; /* who looks; 0: nobody. Set to 0 by who reaped it */
    uint64_t until_us;
    char mark[48]; /* NAME=VALUE */
};

/* Makes the mark. `now_us` stands in where the kernel has no random number yet. */
void sweep_init(struct sweep *s, uint64_t now_us);
/* In a shim: everything below this process will have the mark. */
void sweep_mark_this(const struct sweep *s);
/* Whether somebody looks now: kills who has the mark, until nobody has it (status 0). `output` as
 * in child.h. */
bool sweep_start(struct sweep *s, int output, uint64_t now_us);
/* Who looks is past his time, and has been killed. */
bool sweep_overdue(const struct sweep *s, uint64_t now_us);

#endif
