/* The completions of the demo. The streamed one is asked twice at the same time, through tunnel and
 * gateway and straight at an engine, so that what both of them see can be compared. */
#include <string.h>

#include "base/mem.h"
#include "cli/demo_internal.h"

enum { TEXT_WIDTH = 78 };

static const char chat_path[] = "/v1/chat/completions";
static const char stream_request[] = "{\"stream\":true,\"messages\":[{\"role\":\"user\","
                                     "\"content\":\"Let tokens pass the moment they arrive\"}]}";
static const char whole_request[] = "{\"max_tokens\":8,\"messages\":[{\"role\":\"user\","
                                    "\"content\":\"Now all of it at once\"}]}";

/* ---- streamed -------------------------------------------------------------------------------- */

/* Each token leaves for the terminal when it comes. */
static void show_token(void *ctx, const char *text)
{
    struct demo *d = ctx;
    int width = (int)strlen(text);

    if (d->column + width > TEXT_WIDTH)
        d->column = 0;
    if (d->column == 0)
        demo_say(d, "\n  ");
    d->column += width;
    demo_say(d, text);
}

static void ignore_token(void *ctx, const char *text)
{
    (void)ctx;
}

static void stream_arrives(void *ctx, const char *data, size_t len)
{
    struct demo_talk *t = ctx;

    chat_feed(&t->chat, data, len, net_now_us(), http_client_reads(t->http));
}

static void stream_ended(void *ctx, unsigned status)
{
    struct demo_talk *t = ctx;
    struct demo *d = t->demo;
    const struct chat *c = &t->chat;

    t->over = true;
    if (status != 200)
        demo_doubt(d, "the answer has status %u", status);
    else if (c->why != NULL)
        demo_doubt(d, "%s", c->why);
    else if (!c->done || c->tokens != DEMO_TOKENS)
        demo_doubt(d, "the stream ended %s after %zu of %d tokens",
                   c->done ? "with [DONE]" : "without [DONE]", c->tokens, DEMO_TOKENS);
    else
        d->reached = d->through.over && d->direct.over;
}

static void talk_failed(void *ctx, enum reason why, const char *text)
{
    struct demo_talk *t = ctx;

    demo_doubt(t->demo, "%s", text);
}

static void begin_talk(struct demo *d, struct demo_talk *t, uint16_t port,
                       void (*token)(void *ctx, const char *text))
{
    const struct http_client_target at = {.host = "127.0.0.1", .port = port};
    static const struct http_client_events events = {
        .body = stream_arrives, .done = stream_ended, .failed = talk_failed};

    t->demo = d;
    chat_init(&t->chat, token, d);
    t->asked_us = net_now_us();
    t->http = http_client_new(d->net, &at, &events, t);
    http_client_ask(t->http, &(struct http_ask){.path = chat_path, .json = stream_request});
}

static struct demo_stream seen(const struct demo_talk *t)
{
    return (struct demo_stream){
        .tokens = t->chat.tokens,
        .first_ms = (double)(t->chat.first_us - t->asked_us) / 1e3,
        .rate = chat_rate(&t->chat),
        .longest_gap_ms = (double)t->chat.longest_gap_us / 1e3,
        .glued = t->chat.glued,
    };
}

void demo_talk_release(struct demo *d)
{
    http_client_free(d->through.http);
    http_client_free(d->direct.http);
    d->through.http = d->direct.http = NULL;
}

static void count_bytes(struct demo *d, const struct http_client *h)
{
    struct http_client_traffic t = http_client_traffic(h);

    d->report.bytes_sent += t.sent;
    d->report.bytes_received += t.received;
}

bool demo_stream(struct demo *d)
{
    struct demo_report *r = &d->report;

    demo_begin(d, "streaming a chat completion through the tunnel", CHILD_CLIENT);
    demo_say(d, "\nA chat completion, streamed through the tunnel:\n");
    begin_talk(d, &d->through, r->inference_port, show_token);
    begin_talk(d, &d->direct, r->engine_port[0], ignore_token);
    if (!demo_wait(d))
        return false;
    count_bytes(d, d->through.http);
    demo_talk_release(d);
    r->stream = seen(&d->through);
    r->direct = seen(&d->direct);
    demo_say(d, "\n\n");
    if (!d->json)
        report_stream(r, d->colour, stdout);
    return true;
}

/* ---- not streamed ---------------------------------------------------------------------------- */

static void whole_arrives(void *ctx, const char *data, size_t len)
{
    struct demo *d = ctx;

    if (len > sizeof(d->answer) - d->answer_len) {
        demo_fail(d, d->concerns, "the answer is longer than %d bytes", DEMO_ANSWER_MAX);
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
        demo_doubt(d, "the answer has status %u", status);
    else
        d->reached = true;
}

static void whole_failed(void *ctx, enum reason why, const char *text)
{
    demo_doubt(ctx, "%s", text);
}

/* Through the other port: inference is served on both. */
bool demo_whole(struct demo *d)
{
    const struct http_client_target at = {.host = "127.0.0.1", .port = d->report.poc_port};
    static const struct http_client_events events = {
        .body = whole_arrives, .done = whole_ended, .failed = whole_failed};
    char *text;

    demo_begin(d, "asking for a completion that is not streamed", CHILD_CLIENT);
    d->asked_us = net_now_us();
    d->http = http_client_new(d->net, &at, &events, d);
    http_client_ask(d->http, &(struct http_ask){.path = chat_path, .json = whole_request});
    if (!demo_wait(d))
        return false;
    count_bytes(d, d->http);
    http_client_free(d->http);
    d->http = NULL;
    text = chat_whole(d->answer, d->answer_len, &d->report.whole.tokens);
    if (text == NULL)
        demo_fail(d, d->concerns, "the answer is not a chat completion");
    else if (!d->json)
        report_whole(&d->report, text, d->colour, stdout);
    mem_free(text);
    return demo_going_on(d);
}
