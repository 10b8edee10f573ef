/* A loop for questions that are all asked at once and share one deadline, with a line on a terminal
 * while they are waited for. */
#ifndef CHECK_ASKING_H
#define CHECK_ASKING_H

#include <stdio.h>

#include "net/net.h"

enum {
    CHECK_DEADLINE_MS = 12000, /* a whole check stays below 15 s */
};

struct asking {
    uv_loop_t loop;
    struct net *net;
    uv_timer_t deadline;
    uv_timer_t redraw;
    FILE *terminal; /* NULL: nothing is shown */
    unsigned asked;
    unsigned answered;
    uint64_t since_ms;
};

/* `terminal`: where to show the line, or NULL. SIGPIPE must be ignored. */
void asking_open(struct asking *a, FILE *terminal);
/* One more question is on its way; asking_answered is its `done`, with `a` as its ctx. */
void asking_add(struct asking *a);
void asking_answered(void *a);
/* Until all are answered or the time is up. Returns with nothing on the terminal. */
void asking_wait(struct asking *a);
/* After all questions were freed. */
void asking_close(struct asking *a);

#endif
