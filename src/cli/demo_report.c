#include "cli/demo_report.h"

#include <string.h>

#include "base/mem.h"

const char *const demo_child_names[CHILDREN] = {
    [CHILD_TESTNODE] = "testnode",
    [CHILD_SERVER] = "server",
    [CHILD_CLIENT] = "client",
};

const char *const demo_upstream_names[TO_PLACES] = {
    [TO_NOWHERE] = "nowhere else",
    [TO_MANAGEMENT] = "to management",
    [TO_INFERENCE] = "to inference",
    [TO_ENGINE] = "to an engine",
};

/* The longest of what is shown: a method, a blank and a path. */
enum { CALL_WIDTH = 35 };

static const char *bold(bool colour)
{
    return colour ? "\033[1m" : "";
}

static const char *dim(bool colour)
{
    return colour ? "\033[2m" : "";
}

static const char *plain(bool colour)
{
    return colour ? "\033[0m" : "";
}

static double megabytes(size_t bytes)
{
    return (double)bytes / 1e6;
}

void report_places(const struct demo_report *r, bool colour, FILE *out)
{
    const char *d = dim(colour);
    const char *p = plain(colour);

    fprintf(out, "  testnode  127.0.0.1:%u (inference) and :%u (management)%s, pid %d%s\n",
            r->node_inference_port, r->node_management_port, d, r->pid[CHILD_TESTNODE], p);
    fprintf(out, "            engines behind its inference port on :%u and :%u\n",
            r->engine_port[0], r->engine_port[1]);
    fprintf(out, "  server    127.0.0.1:%u, frp over TLS only%s, pid %d%s\n", r->server_port, d,
            r->pid[CHILD_SERVER], p);
    fprintf(out, "  client    CLIENT_ID %s: ports %u and %u of the server lead to it%s, pid %d%s\n",
            r->client_id, r->inference_port, r->poc_port, d, r->pid[CHILD_CLIENT], p);
    fprintf(out,
            "            its gateway goes on to the testnode, and listens on :%u and :%u too\n",
            r->gateway_port, r->gateway_poc_port);
}

static void print_glued(size_t glued, FILE *out)
{
    if (glued == 0)
        fputs("each by itself", out);
    else
        fprintf(out, "%zu together with the one before", glued);
}

void report_stream(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out,
            "  %s%zu tokens%s: first after %.1f ms, then %.1f a second, longest pause %.1f ms, ",
            bold(colour), r->stream.tokens, plain(colour), r->stream.first_ms, r->stream.rate,
            r->stream.longest_gap_ms);
    print_glued(r->stream.glued, out);
    fputc('\n', out);
}

void report_whole(const struct demo_report *r, const char *text, bool colour, FILE *out)
{
    fprintf(out, "\nOne that is not streamed:\n\n  %s\n\n  %s%zu tokens%s: all after %.1f ms\n",
            text, bold(colour), r->whole.tokens, plain(colour), r->whole.ms);
}

static void print_call(const struct demo_call *c, FILE *out)
{
    int width = CALL_WIDTH - 1 - (int)strlen(c->method);

    fprintf(out, "            %s %-*s on %u  %u ", c->method, width, c->path, c->port, c->status);
    if (c->refused)
        fputs(c->code, out);
    else if (c->to == TO_NOWHERE)
        fputs("by the gateway itself", out);
    else
        fprintf(out, "%s, :%u", demo_upstream_names[c->to], c->to_port);
    fprintf(out, "%s%s\n", c->what[0] != '\0' ? ": " : "", c->what);
}

static void print_calls(const struct demo_report *r, bool refused, FILE *out)
{
    for (size_t i = 0; i < r->n_calls; i++)
        if (r->calls[i].refused == refused)
            print_call(&r->calls[i], out);
}

static void print_measured(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out,
            "  latency   %s%.0f us added%s to GET /v1/models: %.0f at an engine itself, %.0f "
            "through;\n            medians of %u\n",
            bold(colour), r->latency.tunnel_us - r->latency.direct_us, plain(colour),
            r->latency.direct_us, r->latency.tunnel_us, r->latency.rounds);
    fprintf(out,
            "  stream    first token after %.1f ms, %.1f at an engine itself; longest pause "
            "%.1f ms, %.1f\n            at an engine itself; tokens came ",
            r->stream.first_ms, r->direct.first_ms, r->stream.longest_gap_ms,
            r->direct.longest_gap_ms);
    print_glued(r->stream.glued, out);
    fprintf(out, "\n  bytes     %.1f kB to the model and %.1f kB back through %u and %u\n",
            (double)r->bytes_sent / 1e3, (double)r->bytes_received / 1e3, r->inference_port,
            r->poc_port);
    fprintf(out, "  memory    testnode %.1f MB, server %.1f MB, client %.1f MB resident\n",
            megabytes(r->resident[CHILD_TESTNODE]), megabytes(r->resident[CHILD_SERVER]),
            megabytes(r->resident[CHILD_CLIENT]));
}

static void print_commands(const struct demo_report *r, bool colour, FILE *out)
{
    char *line;

    fprintf(out, "\n%sGo on with%s\n", bold(colour), plain(colour));
    for (int i = 0; (line = report_command(r, i)) != NULL; i++) {
        fprintf(out, "  %s\n", line);
        mem_free(line);
    }
    fprintf(out, "\nCtrl-C stops everything and removes %s.\n", r->directory);
}

void report_summary(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out, "\n%sSummary%s\n  routed    by path first, then by port:\n", bold(colour),
            plain(colour));
    print_calls(r, false, out);
    fputs("  refused   before MLNode hears of it:\n", out);
    print_calls(r, true, out);
    print_measured(r, colour, out);
    if (r->directory != NULL) {
        fprintf(out, "  logs      %s/{testnode,server,client}.log\n", r->directory);
        print_commands(r, colour, out);
    } else {
        fputs("\nWith --keep all of it stays up, with curl lines to go on with.\n", out);
    }
}
