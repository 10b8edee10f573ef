/* `mlgate demo`: server, client and a stand-in model server on loopback, and what they do together.
 * Read it from `story`; each step waits for events, never for a guess of time. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/demo_internal.h"
#include "cli/demo_place.h"
#include "cli/terminal.h"
#include "cli/verb.h"

enum {
    STORY_MS = 10 * 1000, /* from the start to the summary; takes about two seconds */
    STOP_MS = 4 * 1000,   /* all children together; takes some milliseconds */
};

/* ---- the children ---------------------------------------------------------------------------- */

static void child_up(void *ctx, enum demo_child which)
{
    struct demo *d = ctx;

    d->reached = true;
}

static void child_failed(void *ctx, enum demo_child which, const char *why)
{
    demo_fail(ctx, which, "%s", why);
}

static void children_ended(void *ctx)
{
    struct demo *d = ctx;

    d->reached = true;
}

static bool bring_up(struct demo *d, enum demo_child which, const char *step)
{
    demo_begin(d, step, which);
    stage_start(d->stage, which);
    return demo_wait(d);
}

static bool start_children(struct demo *d)
{
    demo_say(
        d, "A stand-in model server, an frp server, and a tunnel client with its gateway, all on\n"
           "loopback:\n\n");
    if (!bring_up(d, CHILD_TESTNODE, "starting the testnode") ||
        !bring_up(d, CHILD_SERVER, "starting the server") ||
        !bring_up(d, CHILD_CLIENT,
                  "waiting for the client to get its ports and to find the engines"))
        return false;
    stage_places(d->stage, &d->report);
    if (!d->json)
        report_places(&d->report, d->colour, stdout);
    return true;
}

/* ---- what the tunnel costs ------------------------------------------------------------------- */

static void measured(void *ctx, const struct latency_result *result, const char *why)
{
    struct demo *d = ctx;
    struct demo_report *r = &d->report;

    if (result == NULL) {
        demo_doubt(d, "%s", why);
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

    demo_begin(d, "measuring small requests", CHILD_CLIENT);
    d->latency =
        latency_start(d->net, r->engine_port[0], r->inference_port, "/v1/models", measured, d);
    if (!demo_wait(d))
        return false;
    latency_free(d->latency);
    d->latency = NULL;
    stage_memory(d->stage, &d->report);
    return true;
}

static bool sum_up(struct demo *d)
{
    demo_begin(d, "printing the summary", CHILDREN);
    d->report.directory = d->keep ? d->dir : NULL;
    if (d->json)
        report_json(&d->report, stdout);
    else
        report_summary(&d->report, d->colour, stdout);
    demo_flush(d);
    return demo_going_on(d);
}

static void stay(struct demo *d)
{
    demo_begin(d, "staying up", CHILDREN);
    uv_timer_stop(&d->deadline);
    demo_wait(d);
    d->interrupted = false; /* as it should be */
}

static void story(struct demo *d)
{
    if (start_children(d) && demo_stream(d) && demo_whole(d) && demo_calls(d) && measure(d) &&
        sum_up(d) && d->keep)
        stay(d);
}

/* ---- the frame around it --------------------------------------------------------------------- */

static void story_overdue(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    demo_fail(d, d->concerns, "not done %d s after the start", STORY_MS / 1000);
}

static void stop_overdue(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    demo_fail(d, CHILDREN, "not all processes ended within %d s of being asked, and were killed",
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
    good = demo_going_on(d);
    if (!good)
        demo_explain(d); /* before the children end: what they say then is not the cause */
    stop_children(d);
    if (good && !demo_going_on(d)) {
        d->step = "stopping";
        demo_explain(d);
    }
    return demo_going_on(d) ? 0 : 1;
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
    demo_talk_release(d);
    http_client_free(d->http);
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
    static const struct stage_events events = {.up = child_up,
                                               .failed = child_failed,
                                               .all_ended = children_ended,
                                               .request = demo_call_logged};
    char why[DEMO_WHY_SIZE] = "no ports are free on 127.0.0.1";
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
        "Starts a stand-in model server with two engines, an frp server, and a tunnel client with\n"
        "its gateway on free loopback ports, streams a chat completion through them, shows what "
        "is\n"
        "routed where and what is refused, measures, and stops them again. Needs no configuration\n"
        "and leaves nothing behind.\n\n"
        "  --keep      leave everything running until Ctrl-C, and print curl lines to go on with\n"
        "  --json      one line of JSON in the place of text\n"
        "  -h, --help  this text\n",
        out);
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
    d->colour = terminal_colour();
    if (status < 0)
        status = run(d);
    mem_free(d);
    return status;
}
