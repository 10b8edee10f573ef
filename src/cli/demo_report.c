#include "cli/demo_report.h"

#include <jansson.h>

#include "base/mem.h"

const char *const demo_child_names[CHILDREN] = {
    [CHILD_TESTNODE] = "testnode",
    [CHILD_SERVER] = "server",
    [CHILD_CLIENT] = "client",
};

enum { LINES = 4, REAL_DIGITS = 5 };

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

static double added_us(const struct demo_report *r)
{
    return r->latency.tunnel_us - r->latency.direct_us;
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
    fprintf(out, "  server    127.0.0.1:%u, frp over TLS only%s, pid %d%s\n", r->server_port, d,
            r->pid[CHILD_SERVER], p);
    fprintf(out, "  client    CLIENT_ID %s: %u leads to :%u and %u to :%u%s, pid %d%s\n",
            r->client_id, r->inference_port, r->node_management_port, r->poc_port,
            r->node_inference_port, d, r->pid[CHILD_CLIENT], p);
}

void report_stream(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out,
            "  %s%zu tokens%s: first after %.1f ms, then %.1f a second, longest pause %.1f ms\n",
            bold(colour), r->stream.tokens, plain(colour), r->stream.first_ms, r->stream.rate,
            r->stream.longest_gap_ms);
}

void report_whole(const struct demo_report *r, const char *text, bool colour, FILE *out)
{
    fprintf(out, "\nOne that is not streamed:\n\n  %s\n\n  %s%zu tokens%s: all after %.1f ms\n",
            text, bold(colour), r->whole.tokens, plain(colour), r->whole.ms);
}

/* One command to go on with; the caller's. */
static char *command(const struct demo_report *r, int i)
{
    switch (i) {
    case 0:
        return mem_printf("curl -N http://127.0.0.1:%u/v1/chat/completions "
                          "-H 'Content-Type: application/json' -d '{\"stream\":true,\"messages\":"
                          "[{\"role\":\"user\",\"content\":\"Count with me\"}]}'",
                          r->inference_port);
    case 1:
        return mem_printf("curl http://127.0.0.1:%u/v1/models", r->inference_port);
    case 2:
        return mem_printf("curl http://127.0.0.1:%u/api/v1/state", r->inference_port);
    default:
        return mem_printf("tail -f %s/*.log", r->directory);
    }
}

static void print_commands(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out, "\n%sGo on with%s\n", bold(colour), plain(colour));
    for (int i = 0; i < LINES; i++) {
        char *line = command(r, i);

        fprintf(out, "  %s\n", line);
        mem_free(line);
    }
    fprintf(out, "\nCtrl-C stops everything and removes %s.\n", r->directory);
}

void report_summary(const struct demo_report *r, bool colour, FILE *out)
{
    fprintf(out, "\n%sSummary%s\n", bold(colour), plain(colour));
    fprintf(
        out,
        "  latency   %s%.0f us added%s to GET /health: %.0f direct, %.0f through; medians of %u\n",
        bold(colour), added_us(r), plain(colour), r->latency.direct_us, r->latency.tunnel_us,
        r->latency.rounds);
    fprintf(out, "  bytes     %.1f kB to the model and %.1f kB back through port %u\n",
            (double)r->bytes_sent / 1e3, (double)r->bytes_received / 1e3, r->inference_port);
    fprintf(out, "  memory    testnode %.1f MB, server %.1f MB, client %.1f MB resident\n",
            megabytes(r->resident[CHILD_TESTNODE]), megabytes(r->resident[CHILD_SERVER]),
            megabytes(r->resident[CHILD_CLIENT]));
    if (r->directory != NULL) {
        fprintf(out, "  logs      %s/{testnode,server,client}.log\n", r->directory);
        print_commands(r, colour, out);
    } else {
        fputs("\nWith --keep all of it stays up, with curl lines to go on with.\n", out);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *ports(const struct demo_report *r)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i}", "server", r->server_port, "inference",
                     r->inference_port, "poc", r->poc_port, "testnode_inference",
                     r->node_inference_port, "testnode_management", r->node_management_port);
}

static json_t *children(const struct demo_report *r)
{
    json_t *all = json_object();

    for (int i = 0; i < CHILDREN; i++)
        json_object_set_new(all, demo_child_names[i],
                            json_pack("{s:i, s:I}", "pid", r->pid[i], "resident_bytes",
                                      (json_int_t)r->resident[i]));
    return all;
}

static json_t *measured(const struct demo_report *r)
{
    return json_pack("{s:{s:I, s:f, s:f, s:f}, s:{s:I, s:f}, s:{s:i, s:f, s:f, s:f}, s:{s:I, s:I}}",
                     "stream", "tokens", (json_int_t)r->stream.tokens, "first_token_ms",
                     r->stream.first_ms, "tokens_per_second", r->stream.rate, "longest_gap_ms",
                     r->stream.longest_gap_ms, "completion", "tokens", (json_int_t)r->whole.tokens,
                     "ms", r->whole.ms, "latency", "rounds", (int)r->latency.rounds, "direct_us",
                     r->latency.direct_us, "tunnel_us", r->latency.tunnel_us, "added_us",
                     added_us(r), "bytes", "sent", (json_int_t)r->bytes_sent, "received",
                     (json_int_t)r->bytes_received);
}

static void add_directory(const struct demo_report *r, json_t *all)
{
    json_t *commands = json_array();

    for (int i = 0; i < LINES; i++) {
        char *line = command(r, i);

        json_array_append_new(commands, json_string(line));
        mem_free(line);
    }
    json_object_set_new(all, "directory", json_string(r->directory));
    json_object_set_new(all, "commands", commands);
}

void report_json(const struct demo_report *r, FILE *out)
{
    json_t *all = json_pack("{s:s, s:s, s:o, s:o}", "version", MLGATE_VERSION, "client_id",
                            r->client_id, "ports", ports(r), "processes", children(r));

    json_object_update_new(all, measured(r));
    if (r->directory != NULL)
        add_directory(r, all);
    json_dumpf(all, out, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    fputc('\n', out);
    json_decref(all);
}
