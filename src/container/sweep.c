#include "container/sweep.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "container/child.h"
#include "container/descend.h"

enum {
    /* This often, and for so long. */
    EVERY_MS = 50,
    ROUNDS = 100,
    LIMIT_US = 6000000, /* and whoever looks is given up then */
};

static const char mark_name[] = "MLGATE_NODE";

void sweep_init(struct sweep *s, uint64_t now_us)
{
    uint64_t number = 0;

    *s = (struct sweep){0};
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = now_us;
    snprintf(s->mark, sizeof(s->mark), "%s=%016" PRIx64, mark_name, number);
}

void sweep_mark_this(const struct sweep *s)
{
    setenv(mark_name, strchr(s->mark, '=') + 1, 1);
}

static int look(void *mark, int link)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (descend_signal_marked(getppid(), mark, SIGKILL) == 0)
            return 0;
        poll(NULL, 0, EVERY_MS);
    }
    return 1;
}

bool sweep_start(struct sweep *s, int output, uint64_t now_us)
{
    const struct child_program program = {.name = "mlgate-sweep", .main = look, .ctx = s->mark};
    const struct child_surroundings around = {.link = -1, .output = output, .when_gone = SIGKILL};

    s->pid = descend_possible() ? child_start(&program, &around) : 0;
    s->until_us = now_us + LIMIT_US;
    return s->pid > 0;
}

bool sweep_overdue(const struct sweep *s, uint64_t now_us)
{
    if (s->pid <= 0 || now_us < s->until_us)
        return false;
    kill(s->pid, SIGKILL);
    return true;
}
