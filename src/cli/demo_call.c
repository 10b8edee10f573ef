/* Requests that show where the gateway sends what, and what it sends nowhere. Each is asked over
 * the tunnel; where it went is read from the gateway's own access log. */
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "cli/demo_internal.h"

enum { SMUGGLED = 5 /* bytes of body by the one length, none by the other */ };

struct call {
    enum demo_port on;
    const char *method;
    const char *path;
    const char *logged; /* the path as the log has it, when it is another */
    enum demo_upstream to;
    unsigned status;
    const char *code; /* of a refusal */
    bool two_lengths; /* with a body that two readers would end in two places */
};

static const struct call calls[] = {
    {DEMO_INFERENCE, "GET", "/api/v1/state", NULL, TO_MANAGEMENT, 200, NULL, false},
    {DEMO_POC, "GET", "/api/v1/state", NULL, TO_MANAGEMENT, 200, NULL, false},
    {DEMO_INFERENCE, "GET", "/v1/models", NULL, TO_ENGINE, 200, NULL, false},
    {DEMO_POC, "GET", "/v3.0.8/v1/models", "/v1/models", TO_ENGINE, 200, NULL, false},
    {DEMO_INFERENCE, "GET", "/health", NULL, TO_ENGINE, 200, NULL, false},
    {DEMO_POC, "GET", "/health", NULL, TO_MANAGEMENT, 200, NULL, false},
    {DEMO_POC, "GET", "/mlgate-test/source?bytes=9", "/mlgate-test/source", TO_INFERENCE, 200, NULL,
     false},
    {DEMO_POC, "GET", "/mlgate/status", NULL, TO_NOWHERE, 200, NULL, false},
    {DEMO_INFERENCE, "POST", "/api/v1/train/start", NULL, TO_NOWHERE, 404, "not_served", false},
    {DEMO_POC, "POST", "/api/v1/tra%69n/start", NULL, TO_NOWHERE, 404, "not_served", false},
    {DEMO_INFERENCE, "POST", "/v1/chat/completions", NULL, TO_NOWHERE, 400, "bad_request", true},
};

_Static_assert(sizeof(calls) / sizeof(calls[0]) <= DEMO_CALLS_MAX, "the report holds them all");

static char *request_of(const struct call *c)
{
    const char *body = c->two_lengths ? "0\r\n\r\n" : "";
    char length[80] = "";

    if (c->two_lengths)
        snprintf(length, sizeof(length), "Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
                 SMUGGLED);
    else if (strcmp(c->method, "POST") == 0)
        snprintf(length, sizeof(length), "Content-Length: 0\r\n");
    return mem_printf("%s %s HTTP/1.1\r\nHost: mlnode\r\n%s\r\n%s", c->method, c->path, length,
                      body);
}

/* ---- where it went --------------------------------------------------------------------------- */

static enum demo_upstream place_of(const struct demo_report *r, unsigned port)
{
    if (port == r->node_management_port)
        return TO_MANAGEMENT;
    if (port == r->node_inference_port)
        return TO_INFERENCE;
    for (int i = 0; i < DEMO_ENGINES; i++)
        if (port == r->engine_port[i])
            return TO_ENGINE;
    return TO_NOWHERE;
}

/* "… GET /v1/models 200, 139 bytes, …, upstream 127.0.0.1:30004, done". */
static bool is_line_of(const struct call *c, const char *line)
{
    char *words = mem_printf(" %s %s %u, ", c->method, c->logged ? c->logged : c->path, c->status);
    bool found = strstr(line, words) != NULL;

    mem_free(words);
    return found;
}

void demo_call_logged(void *ctx, const char *line)
{
    static const char upstream[] = ", upstream 127.0.0.1:";
    struct demo *d = ctx;
    struct demo_report *r = &d->report;
    const char *at = strstr(line, upstream);
    unsigned port = 0;

    if (d->call == NULL || !is_line_of(d->call, line))
        return;
    if (at != NULL)
        sscanf(at + strlen(upstream), "%u", &port);
    r->calls[r->n_calls].to = place_of(r, port);
    r->calls[r->n_calls].to_port = (uint16_t)port;
    if (r->calls[r->n_calls].to != d->call->to)
        demo_fail(d, CHILD_CLIENT, "%s %s went %s", d->call->method, d->call->path,
                  demo_upstream_names[r->calls[r->n_calls].to]);
    d->call = NULL;
    d->reached = d->answered;
}

/* ---- what came back -------------------------------------------------------------------------- */

static void arrives(void *ctx, const char *data, size_t len)
{
    struct demo *d = ctx;
    size_t room = sizeof(d->answer) - d->answer_len;

    len = len < room ? len : room;
    memcpy(d->answer + d->answer_len, data, len);
    d->answer_len += len;
}

static void take_code(const struct demo *d, struct demo_call *out)
{
    json_t *answer = json_loadb(d->answer, d->answer_len, 0, NULL);
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));

    snprintf(out->code, sizeof(out->code), "%s", code ? code : "");
    json_decref(answer);
}

static void answered(void *ctx, unsigned status)
{
    struct demo *d = ctx;
    struct demo_call *out = &d->report.calls[d->report.n_calls];

    out->status = status;
    take_code(d, out);
    d->answered = true;
    d->reached = d->call == NULL;
}

static void failed(void *ctx, enum reason why, const char *text)
{
    demo_doubt(ctx, "%s", text);
}

static bool make_call(struct demo *d, const struct call *c)
{
    static const struct http_client_events events = {
        .body = arrives, .done = answered, .failed = failed};
    struct demo_report *r = &d->report;
    struct demo_call *out = &r->calls[r->n_calls];
    struct http_client_target at = {.host = "127.0.0.1"};

    d->reached = d->answered = false;
    d->answer_len = 0;
    d->call = c;
    out->what = c->two_lengths ? "two lengths for one body" : "";
    out->method = c->method;
    out->path = c->path;
    out->port = c->on == DEMO_POC ? r->poc_port : r->inference_port;
    out->refused = c->code != NULL;
    at.port = out->port;
    d->http = http_client_new(d->net, &at, &events, d);
    http_client_send(d->http, request_of(c));
    if (!demo_wait(d))
        return false;
    http_client_free(d->http);
    d->http = NULL;
    if (out->status != c->status || (c->code != NULL && strcmp(out->code, c->code) != 0))
        demo_fail(d, CHILD_CLIENT, "%s %s was answered with %u %s", c->method, c->path, out->status,
                  out->code);
    r->n_calls++;
    return demo_going_on(d);
}

bool demo_calls(struct demo *d)
{
    demo_begin(d, "looking where requests go", CHILD_CLIENT);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (!make_call(d, &calls[i]))
            return false;
    return true;
}
