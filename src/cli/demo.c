/* `mlgate demo`: server, client and a stand-in model server on loopback, and what they do together.
 * Read it from `story`; each step waits for events, never for a guess of time. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/demo_chat.h"
#include "cli/demo_http.h"
#include "cli/demo_latency.h"
#include "cli/demo_place.h"
#include "cli/demo_report.h"
#include "cli/demo_stage.h"
#include "cli/verb.h"
#include "net/net.h"

enum {
    STORY_MS = 10 * 1000, /* from the start to the summary; takes about two seconds */
    STOP_MS = 4 * 1000,   /* all children together; takes some milliseconds */
    DOUBT_MS = 300,
    WHY_SIZE = 400,
    TEXT_WIDTH = 78,
    ANSWER_MAX = 64 * 1024, /* of the completion that is not streamed */
};

static const char chat_path[] = "/v1/chat/completions";
static const char stream_request[] = "{\"stream\":true,\"messages\":[{\"role\":\"user\","
                                     "\"content\":\"Let tokens pass the moment they arrive\"}]}";
static const char whole_request[] = "{\"max_tokens\":8,\"messages\":[{\"role\":\"user\","
                                    "\"content\":\"Now all of it at once\"}]}";

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
    struct demo_http *http;
    struct latency *latency;
    struct chat chat;
    char answer[ANSWER_MAX];
    size_t answer_len;
    uint64_t asked_us;
    int column;
    struct demo_report report;
    const char *step;         /* what is going on, after "while" */
    enum demo_child concerns; /* whose words explain a failure of this step; CHILDREN: nobody's */
    bool reached;             /* what the step waits for has come */
    bool interrupted;
    bool stopping;
    char doubtful[WHY_SIZE];
    char why[WHY_SIZE]; /* "" while all is well */
};

/* ---- steps and their failures ---------------------------------------------------------------- */

/* The first failure is the one that is told; those that follow from it are not. */
static void __attribute__((format(printf, 3, 4)))
fail(struct demo *d, enum demo_child concerns, const char *format, ...)
{
    va_list args;

    if (d->why[0] != '\0')
        return;
    d->concerns = concerns;
    va_start(args, format);
    vsnprintf(d->why, sizeof(d->why), format, args);
    va_end(args);
}

static void settle(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    fail(d, d->concerns, "%s", d->doubtful);
}

/* What a request runs into. A child that dies breaks connections before the kernel tells us of its
 * end, so that end gets a moment to come forward as the cause. */
static void __attribute__((format(printf, 2, 3))) doubt(struct demo *d, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(d->doubtful, sizeof(d->doubtful), format, args);
    va_end(args);
    uv_timer_start(&d->doubt, settle, DOUBT_MS, 0);
}

static bool going_on(const struct demo *d)
{
    return d->why[0] == '\0' && !d->interrupted;
}

static void begin_step(struct demo *d, const char *step, enum demo_child concerns)
{
    d->step = step;
    d->concerns = concerns;
    d->reached = false;
}

static bool wait_for_it(struct demo *d)
{
    while (!d->reached && going_on(d))
        uv_run(&d->loop, UV_RUN_ONCE);
    return going_on(d);
}

static void flush_text(struct demo *d)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        fail(d, CHILDREN, "standard output cannot be written");
}

static void say(struct demo *d, const char *text)
{
    if (d->json)
        return;
    fputs(text, stdout);
    flush_text(d);
}

/* ---- the children ---------------------------------------------------------------------------- */

static void child_up(void *ctx, enum demo_child which)
{
    struct demo *d = ctx;

    d->reached = true;
}

static void child_failed(void *ctx, enum demo_child which, const char *why)
{
    fail(ctx, which, "%s", why);
}

static void children_ended(void *ctx)
{
    struct demo *d = ctx;

    d->reached = true;
}

static bool bring_up(struct demo *d, enum demo_child which, const char *step)
{
    begin_step(d, step, which);
    stage_start(d->stage, which);
    return wait_for_it(d);
}

static bool start_children(struct demo *d)
{
    say(d, "A stand-in model server, an frp server and a tunnel client, all on loopback:\n\n");
    if (!bring_up(d, CHILD_TESTNODE, "starting the testnode") ||
        !bring_up(d, CHILD_SERVER, "starting the server") ||
        !bring_up(d, CHILD_CLIENT, "waiting for the client to get its ports from the server"))
        return false;
    stage_places(d->stage, &d->report);
    if (!d->json)
        report_places(&d->report, d->colour, stdout);
    return true;
}

/* ---- a streamed answer ----------------------------------------------------------------------- */

static void asking_failed(void *ctx, const char *why)
{
    doubt(ctx, "%s", why);
}

/* Each token leaves for the terminal when it comes. */
static void show_token(void *ctx, const char *text)
{
    struct demo *d = ctx;
    int width = (int)strlen(text);

    if (d->column + width > TEXT_WIDTH)
        d->column = 0;
    if (d->column == 0)
        say(d, "\n  ");
    d->column += width;
    say(d, text);
}

static void stream_arrives(void *ctx, const char *data, size_t len)
{
    struct demo *d = ctx;

    chat_feed(&d->chat, data, len, net_now_us());
}

static void stream_ended(void *ctx, unsigned status)
{
    struct demo *d = ctx;
    const struct chat *c = &d->chat;

    if (status != 200)
        doubt(d, "the answer has status %u", status);
    else if (c->why != NULL)
        doubt(d, "%s", c->why);
    else if (!c->done || c->tokens != DEMO_TOKENS)
        doubt(d, "the stream ended %s after %zu of %d tokens",
              c->done ? "with [DONE]" : "without [DONE]", c->tokens, DEMO_TOKENS);
    else
        d->reached = true;
}

static void ask(struct demo *d, const struct demo_http_events *events, const char *json)
{
    d->asked_us = net_now_us();
    d->http = demo_http_new(d->net, d->report.inference_port, events, d);
    demo_http_ask(d->http, chat_path, json);
}

static void hang_up(struct demo *d)
{
    struct demo_http_traffic t = demo_http_traffic(d->http);

    d->report.bytes_sent += t.sent;
    d->report.bytes_received += t.received;
    demo_http_free(d->http);
    d->http = NULL;
}

static bool stream_chat(struct demo *d)
{
    static const struct demo_http_events events = {
        .body = stream_arrives, .done = stream_ended, .failed = asking_failed};
    struct demo_report *r = &d->report;

    begin_step(d, "streaming a chat completion through the tunnel", CHILD_CLIENT);
    say(d, "\nA chat completion, streamed through the tunnel:\n");
    chat_init(&d->chat, show_token, d);
    ask(d, &events, stream_request);
    if (!wait_for_it(d))
        return false;
    hang_up(d);
    r->stream.tokens = d->chat.tokens;
    r->stream.first_ms = (double)(d->chat.first_us - d->asked_us) / 1e3;
    r->stream.rate = chat_rate(&d->chat);
    r->stream.longest_gap_ms = (double)d->chat.longest_gap_us / 1e3;
    say(d, "\n\n");
    if (!d->json)
        report_stream(r, d->colour, stdout);
    return true;
}

/* ---- one that is not streamed ---------------------------------------------------------------- */

static void whole_arrives(void *ctx, const char *data, size_t len)
{
    struct demo *d = ctx;

    if (len > sizeof(d->answer) - d->answer_len) {
        fail(d, d->concerns, "the answer is longer than %d bytes", ANSWER_MAX);
        return;
    }
    memcpy(d->answer + d->answer_len, data, len);
    d->answer_len += len;
}

static void whole_ended(void *ctx, unsigned status)
{
    struct demo *d = ctx;

    d->report.whole.ms = (double)(net_now_us() - d->asked_us) / 1e3;
    if (status != 200)
        doubt(d, "the answer has status %u", status);
    else
        d->reached = true;
}

static bool whole_chat(struct demo *d)
{
    static const struct demo_http_events events = {
        .body = whole_arrives, .done = whole_ended, .failed = asking_failed};
    char *text;

    begin_step(d, "asking for a completion that is not streamed", CHILD_CLIENT);
    ask(d, &events, whole_request);
    if (!wait_for_it(d))
        return false;
    hang_up(d);
    text = chat_whole(d->answer, d->answer_len, &d->report.whole.tokens);
    if (text == NULL)
        fail(d, d->concerns, "the answer is not a chat completion");
    else if (!d->json)
        report_whole(&d->report, text, d->colour, stdout);
    mem_free(text);
    return going_on(d);
}

/* ---- what the tunnel costs ------------------------------------------------------------------- */

static void measured(void *ctx, const struct latency_result *result, const char *why)
{
    struct demo *d = ctx;
    struct demo_report *r = &d->report;

    if (result == NULL) {
        doubt(d, "%s", why);
        return;
    }
    d->reached = true;
    r->latency.rounds = result->rounds;
    r->latency.direct_us = result->direct_us;
    r->latency.tunnel_us = result->tunnel_us;
    r->bytes_sent += result->tunnel.sent;
    r->bytes_received += result->tunnel.received;
}

static bool measure(struct demo *d)
{
    const struct demo_report *r = &d->report;

    begin_step(d, "measuring small requests", CHILD_CLIENT);
    d->latency =
        latency_start(d->net, r->node_management_port, r->inference_port, "/health", measured, d);
    if (!wait_for_it(d))
        return false;
    latency_free(d->latency);
    d->latency = NULL;
    stage_memory(d->stage, &d->report);
    return true;
}

static bool sum_up(struct demo *d)
{
    begin_step(d, "printing the summary", CHILDREN);
    d->report.directory = d->keep ? d->dir : NULL;
    if (d->json)
        report_json(&d->report, stdout);
    else
        report_summary(&d->report, d->colour, stdout);
    flush_text(d);
    return going_on(d);
}

static void stay(struct demo *d)
{
    begin_step(d, "staying up", CHILDREN);
    uv_timer_stop(&d->deadline);
    wait_for_it(d);
    d->interrupted = false; /* as it should be */
}

static void story(struct demo *d)
{
    if (start_children(d) && stream_chat(d) && whole_chat(d) && measure(d) && sum_up(d) && d->keep)
        stay(d);
}

/* ---- the frame around it --------------------------------------------------------------------- */

static void story_overdue(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    fail(d, d->concerns, "not done %d s after the start", STORY_MS / 1000);
}

static void stop_overdue(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    fail(d, CHILDREN, "not all processes ended within %d s of being asked, and were killed",
         STOP_MS / 1000);
    stage_kill(d->stage);
}

static void signalled(uv_signal_t *handle, int number)
{
    struct demo *d = handle->data;

    if (d->stopping)
        stage_kill(d->stage);
    else
        d->interrupted = true;
}

static void explain(const struct demo *d)
{
    if (d->why[0] == '\0') {
        fprintf(stderr, "mlgate demo: interrupted while %s\n", d->step);
        return;
    }
    fprintf(stderr, "mlgate demo: failed while %s: %s\n", d->step, d->why);
    if (d->concerns != CHILDREN)
        stage_print_lines(d->stage, d->concerns, stderr);
}

static void stop_children(struct demo *d)
{
    d->stopping = true;
    d->reached = false;
    uv_timer_stop(&d->doubt);
    uv_timer_start(&d->deadline, stop_overdue, STOP_MS, 0);
    stage_stop(d->stage);
    while (!d->reached)
        uv_run(&d->loop, UV_RUN_ONCE);
}

static int tell_and_stop(struct demo *d)
{
    bool good;

    story(d);
    good = going_on(d);
    if (!good)
        explain(d); /* before the children end: what they say then is not the cause */
    stop_children(d);
    if (good && !going_on(d)) {
        d->step = "stopping";
        explain(d);
    }
    return going_on(d) ? 0 : 1;
}

static void watch(struct demo *d)
{
    uv_loop_init(&d->loop);
    uv_timer_init(&d->loop, &d->deadline);
    uv_timer_init(&d->loop, &d->doubt);
    uv_signal_init(&d->loop, &d->interrupt);
    uv_signal_init(&d->loop, &d->terminate);
    d->deadline.data = d;
    d->doubt.data = d;
    d->interrupt.data = d;
    d->terminate.data = d;
    uv_timer_start(&d->deadline, story_overdue, STORY_MS, 0);
    uv_signal_start(&d->interrupt, signalled, SIGINT);
    uv_signal_start(&d->terminate, signalled, SIGTERM);
    d->net = net_new(&d->loop, NULL, 0);
}

static void release(struct demo *d)
{
    demo_http_free(d->http);
    latency_free(d->latency);
    stage_free(d->stage);
    uv_close((uv_handle_t *)&d->deadline, NULL);
    uv_close((uv_handle_t *)&d->doubt, NULL);
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->terminate, NULL);
    net_stop(d->net);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    net_free(d->net);
    uv_loop_close(&d->loop);
}

/* A descriptor 0, 1 or 2 that is closed would become a socket, and be printed to. */
static void open_missing(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static int run(struct demo *d)
{
    static const struct stage_events events = {
        .up = child_up, .failed = child_failed, .all_ended = children_ended};
    char why[WHY_SIZE] = "no ports are free on 127.0.0.1";
    int status = 1;

    open_missing();
    signal(SIGPIPE, SIG_IGN);
    watch(d); /* first, so that no signal can leave the directory behind */
    d->dir = place_make(why, sizeof(why));
    if (d->dir != NULL)
        d->stage = stage_new(&d->loop, d->dir, &events, d);
    if (d->stage != NULL)
        status = tell_and_stop(d);
    else
        fprintf(stderr, "mlgate demo: %s\n", why);
    release(d);
    place_remove(d->dir);
    mem_free(d->dir);
    return status;
}

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate demo [--keep] [--json]\n\n"
        "Starts a stand-in model server, an frp server and a tunnel client on free loopback\n"
        "ports, streams a chat completion through them, measures, and stops them again. Needs\n"
        "no configuration and leaves nothing behind.\n\n"
        "  --keep      leave everything running until Ctrl-C, and print curl lines to go on with\n"
        "  --json      one line of JSON in the place of text\n"
        "  -h, --help  this text\n",
        out);
}

static bool may_colour(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

int cli_demo(int argc, char **argv)
{
    struct demo *d = mem_zalloc(sizeof(*d));
    int status = -1;

    for (int i = 1; i < argc && status < 0; i++) {
        if (strcmp(argv[i], "--keep") == 0) {
            d->keep = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            d->json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            status = 0;
        } else {
            fprintf(stderr, "mlgate demo: unknown argument '%s'\n\n", argv[i]);
            usage(stderr);
            status = 2;
        }
    }
    d->colour = may_colour();
    if (status < 0)
        status = run(d);
    mem_free(d);
    return status;
}
