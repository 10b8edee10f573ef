/* What the demo's files share. No one else includes this.
 *
 *   demo.c       the verb: arguments, the loop around the story, the end
 *   demo_step.c  one step after the other, and what is said when one fails
 *   demo_talk.c  completions, streamed and whole
 *   demo_call.c  small requests whose way through the gateway is looked at */
#ifndef CLI_DEMO_INTERNAL_H
#define CLI_DEMO_INTERNAL_H

#include "cli/demo_chat.h"
#include "cli/demo_latency.h"
#include "cli/demo_report.h"
#include "cli/demo_stage.h"
#include "net/http_client.h"
#include "net/net.h"

enum {
    DEMO_WHY_SIZE = 400,
    DEMO_ANSWER_MAX = 64 * 1024, /* of an answer that is kept whole */
};

/* One of the two streamed completions. */
struct demo_talk {
    struct demo *demo;
    struct http_client *http;
    struct chat chat;
    uint64_t asked_us;
    bool over;
};

struct demo {
    bool keep;
    bool json;
    bool colour;
    uv_loop_t loop;
    struct net *net;
    uv_timer_t deadline;
    uv_timer_t doubt;
    uv_signal_t interrupt;
    uv_signal_t terminate;
    char *dir;
    struct stage *stage;
    struct demo_talk through;
    struct demo_talk direct;
    struct http_client *http; /* of the step that asks one thing at a time */
    struct latency *latency;
    char answer[DEMO_ANSWER_MAX];
    size_t answer_len;
    uint64_t asked_us;
    int column;
    struct demo_report report;
    const struct call *call;  /* demo_call.c: what is being asked */
    bool answered;            /* … its answer is here */
    const char *step;         /* what is going on, after "while" */
    enum demo_child concerns; /* whose words explain a failure of this step; CHILDREN: nobody's */
    bool reached;             /* what the step waits for has come */
    bool interrupted;
    bool stopping;
    char doubtful[DEMO_WHY_SIZE];
    char why[DEMO_WHY_SIZE]; /* "" while all is well */
};

/* demo_step.c */
void demo_begin(struct demo *d, const char *step, enum demo_child concerns);
/* Until `reached`, a failure or an interruption; whether it was the first. */
bool demo_wait(struct demo *d);
bool demo_going_on(const struct demo *d);
/* The first failure is the one that is told; those that follow from it are not. */
void __attribute__((format(printf, 3, 4)))
demo_fail(struct demo *d, enum demo_child concerns, const char *format, ...);
/* What a request runs into. A child that dies breaks connections before the kernel tells us of its
 * end, so that end gets a moment to come forward as the cause. */
void __attribute__((format(printf, 2, 3))) demo_doubt(struct demo *d, const char *format, ...);
/* Text for people; nothing with --json. */
void demo_say(struct demo *d, const char *text);
void demo_flush(struct demo *d);
/* On standard error: what failed, and the last words of whom it concerns. */
void demo_explain(const struct demo *d);

/* demo_talk.c. Each is a step: false when it failed. */
bool demo_stream(struct demo *d);
bool demo_whole(struct demo *d);
void demo_talk_release(struct demo *d);

/* demo_call.c. The two are steps as well. */
bool demo_calls(struct demo *d);
/* The gateway has logged a request. */
void demo_call_logged(void *ctx, const char *line);

#endif
