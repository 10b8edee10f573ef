#include "testnode/verb.h"

#include "base/text.h"
#include "testnode/ask.h"
#include "testnode/blob.h"
#include "testnode/engine.h"
#include "testnode/testnode.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_MAX = 64, ERROR_MAX = 256, LOAD_DELAY_MAX_MS = 3600 * 1000 };

enum flag {
    FLAG_LISTEN = 1,
    FLAG_LISTEN_MANAGEMENT = 2,
    FLAG_TOKEN_RATE = 3,
    FLAG_TOKENS = 4,
    FLAG_MODEL = 5,
    FLAG_LOAD_DELAY = 6,
    FLAG_UP = 7,
    FLAG_PRINT_PORTS = 8,
    FLAG_LOG_REQUESTS = 9,
    FLAG_HELP = 10,
    FLAG_ENGINES = 11,
    FLAG_ENGINE_PORT = 12,
    FLAG_ENGINE_IDLE = 13,
};

static const struct option flags[] = {
    {"listen", required_argument, NULL, FLAG_LISTEN},
    {"listen-management", required_argument, NULL, FLAG_LISTEN_MANAGEMENT},
    {"token-rate", required_argument, NULL, FLAG_TOKEN_RATE},
    {"tokens", required_argument, NULL, FLAG_TOKENS},
    {"model", required_argument, NULL, FLAG_MODEL},
    {"load-delay", required_argument, NULL, FLAG_LOAD_DELAY},
    {"up", no_argument, NULL, FLAG_UP},
    {"print-ports", no_argument, NULL, FLAG_PRINT_PORTS},
    {"log-requests", no_argument, NULL, FLAG_LOG_REQUESTS},
    {"engines", required_argument, NULL, FLAG_ENGINES},
    {"engine-port", required_argument, NULL, FLAG_ENGINE_PORT},
    {"engine-idle-ms", required_argument, NULL, FLAG_ENGINE_IDLE},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: mlgate testnode [flags]\n"
    "A stand-in for MLNode without a GPU: states, streaming completions, bulk transfers.\n"
    "  --listen HOST:PORT             inference port (127.0.0.1:5000; port 0 = any free one)\n"
    "  --listen-management HOST:PORT  management port (127.0.0.1:8080)\n"
    "  --token-rate N                 tokens a second of each answer (40; 0 = as fast as "
    "possible)\n"
    "  --tokens N                     tokens of an answer (32)\n"
    "  --model NAME                   model served from the start (Qwen/Qwen3-32B-FP8)\n"
    "  --load-delay MS                how long inference/up takes (1000)\n"
    "  --up                           start with the engine up\n"
    "  --engines N                    engines behind the inference port (0 = it answers by itself; "
    "128)\n"
    "  --engine-port P                port of the first, the others follow (5001; 0 = any free "
    "ones)\n"
    "  --engine-idle-ms MS            until an engine closes an idle connection (5000)\n"
    "  --print-ports                  one line of JSON with the real ports on standard output\n"
    "  --log-requests                 one line for each request on standard error\n"
    "  -h, --help                     this text\n";

struct verb {
    struct testnode_options options;
    char hosts[NODE_PORTS][HOST_MAX];
    bool print_ports;
    bool help;
    struct testnode *node;
    uv_signal_t signals[2];
};

/* "host:port", "[v6]:port"; the host is an address or localhost. */
static bool parse_listen(struct verb *v, enum node_port port, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t number;

    if (colon == NULL || !text_uint(colon + 1, strlen(colon + 1), UINT16_MAX, &number))
        return false;
    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(v->hosts[port], text, len);
    v->hosts[port][len] = '\0';
    v->options.host[port] = v->hosts[port];
    if (strcmp(v->hosts[port], "localhost") == 0)
        v->options.host[port] = "127.0.0.1";
    v->options.port[port] = (uint16_t)number;
    return true;
}

static bool parse_rate(struct verb *v, const char *text)
{
    char *end;

    errno = 0;
    v->options.token_rate = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && ask_rate_ok(v->options.token_rate);
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
    return text_uint(text, strlen(text), max, out);
}

static bool apply_engines(struct verb *v, int flag, const char *value)
{
    uint64_t max = flag == FLAG_ENGINES       ? ENGINE_MAX
                   : flag == FLAG_ENGINE_PORT ? UINT16_MAX
                                              : ENGINE_IDLE_MAX_MS;
    uint64_t number = 0;

    if (!parse_number(value, max, &number))
        return false;
    if (flag == FLAG_ENGINES)
        v->options.engines = (size_t)number;
    else if (flag == FLAG_ENGINE_PORT)
        v->options.engine_port = (uint16_t)number;
    else
        v->options.engine_idle_ms = (unsigned)number;
    return flag != FLAG_ENGINE_IDLE || number > 0;
}

static bool apply(struct verb *v, int flag, const char *value)
{
    uint64_t number = 0;
    bool ok = true;

    switch (flag) {
    case FLAG_ENGINES:
    case FLAG_ENGINE_PORT:
    case FLAG_ENGINE_IDLE:
        return apply_engines(v, flag, value);
    case FLAG_LISTEN:
        return parse_listen(v, NODE_INFERENCE, value);
    case FLAG_LISTEN_MANAGEMENT:
        return parse_listen(v, NODE_MANAGEMENT, value);
    case FLAG_TOKEN_RATE:
        return parse_rate(v, value);
    case FLAG_TOKENS:
        ok = parse_number(value, ASK_TOKENS_MAX, &number) && number > 0;
        v->options.tokens = (size_t)number;
        return ok;
    case FLAG_MODEL:
        v->options.model = value;
        return true;
    case FLAG_LOAD_DELAY:
        ok = parse_number(value, LOAD_DELAY_MAX_MS, &number);
        v->options.load_delay_ms = (unsigned)number;
        return ok;
    case FLAG_UP:
        return v->options.initially_up = true;
    case FLAG_PRINT_PORTS:
        return v->print_ports = true;
    case FLAG_LOG_REQUESTS:
        v->options.combined_log = STDERR_FILENO;
        return true;
    default:
        return v->help = true;
    }
}

static bool parse_flags(struct verb *v, int argc, char **argv)
{
    int index = 0;
    int flag;

    optind = 0; /* another verb or a test may have used getopt before */
    while ((flag = getopt_long(argc, argv, "h", flags, &index)) != -1) {
        if (flag == '?')
            return false;
        if (!apply(v, flag, optarg)) {
            fprintf(stderr, "mlgate testnode: bad value for --%s: %s\n", flags[index].name, optarg);
            return false;
        }
    }
    if (optind == argc)
        return true;
    fprintf(stderr, "mlgate testnode: unexpected argument %s\n", argv[optind]);
    return false;
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct verb *v = signal->data;

    testnode_stop(v->node, NULL, NULL);
    uv_close((uv_handle_t *)&v->signals[0], NULL);
    uv_close((uv_handle_t *)&v->signals[1], NULL);
}

static void watch_signals(struct verb *v, uv_loop_t *loop)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(loop, &v->signals[i]);
        v->signals[i].data = v;
        uv_signal_start(&v->signals[i], on_signal, numbers[i]);
    }
}

static void list_engines(const struct verb *v, const char *between, struct blob *out)
{
    for (size_t i = 0; i < v->options.engines; i++)
        blob_printf(out, "%s%u", i > 0 ? between : "", testnode_engine_port(v->node, i));
    blob_add(out, "", 1);
}

static void tell_ports(const struct verb *v, struct log *log)
{
    unsigned inference = testnode_port(v->node, NODE_INFERENCE);
    unsigned management = testnode_port(v->node, NODE_MANAGEMENT);
    struct blob said = {0};
    struct blob json = {0};

    list_engines(v, ", ", &said);
    list_engines(v, ",", &json);
    log_info(log, "inference on port %u, management on port %u", inference, management);
    if (v->options.engines > 0)
        log_info(log, "engines on ports %s", said.data);
    if (v->print_ports && v->options.engines > 0)
        printf("{\"inference\":%u,\"management\":%u,\"engines\":[%s]}\n", inference, management,
               json.data);
    else if (v->print_ports)
        printf("{\"inference\":%u,\"management\":%u}\n", inference, management);
    fflush(stdout);
    blob_clear(&said);
    blob_clear(&json);
}

static int serve(struct verb *v, struct log *log)
{
    char error[ERROR_MAX];
    uv_loop_t loop;
    int status = 0;

    uv_loop_init(&loop);
    v->node = testnode_start(&loop, &v->options, log, error, sizeof(error));
    if (v->node == NULL) {
        fprintf(stderr, "mlgate testnode: %s\n", error);
        status = 1;
    } else {
        watch_signals(v, &loop);
        tell_ports(v, log);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return status;
}

int testnode_main(int argc, char **argv)
{
    struct verb v = {0};
    struct log *log;
    int status;

    testnode_defaults(&v.options);
    if (!parse_flags(&v, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (v.help) {
        fputs(usage, stdout);
        return 0;
    }
    log = log_new(STDERR_FILENO, "testnode", LOG_INFO, LOG_TEXT);
    status = serve(&v, log);
    log_free(log);
    return status;
}
