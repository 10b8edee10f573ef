#include "cli/demo_stage.h"

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "cli/demo_place.h"
#include "cli/demo_process.h"

enum {
    WHY_SIZE = 300,
    PIN_SIZE = 64, /* 44 letters of base64 */
    PROXIES = 2,
    SETTINGS_MAX = 12,
};

/* Ports in a row. */
enum place {
    AT_SERVER = 0,
    AT_GATEWAY = 1,
    AT_GATEWAY_POC = 2,
    AT_ENGINES = 3,
    PLACES = AT_ENGINES + DEMO_ENGINES,
};

struct stage {
    uv_loop_t *loop;
    const char *dir;
    const struct stage_events *events;
    void *ctx;
    struct process *children[CHILDREN];
    unsigned proxies_up;
    unsigned engines_found;
    bool stopping;
    bool ended_told;
    uint16_t first_port; /* of PLACES */
    uint16_t node_inference_port;
    uint16_t node_management_port;
    char client_id[PLACE_CLIENT_ID_SIZE];
    char token[PLACE_TOKEN_SIZE];
    char pin[PIN_SIZE];
};

static unsigned port_at(const struct stage *s, unsigned place)
{
    return s->first_port + place;
}

/* ---- what the children say ------------------------------------------------------------------- */

static void testnode_said(struct stage *s, const char *line)
{
    if (sscanf(line, "{\"inference\":%hu,\"management\":%hu,", &s->node_inference_port,
               &s->node_management_port) == 2)
        s->events->up(s->ctx, CHILD_TESTNODE);
}

static void server_said(struct stage *s, const char *line)
{
    static const char pinned[] = "FRP_TLS_PIN=";
    const char *pin = strstr(line, pinned);
    bool listens = strstr(line, "frp server listens on") != NULL;

    if (pin != NULL)
        snprintf(s->pin, sizeof(s->pin), "%s", pin + strlen(pinned));
    if (listens)
        s->events->up(s->ctx, CHILD_SERVER);
}

/* Whether this line is the last of those that must come. */
static bool client_is_up(struct stage *s, const char *line)
{
    bool proxy = strstr(line, "start proxy success") != NULL;
    bool engine = strstr(line, " found: healthy") != NULL;

    s->proxies_up += proxy;
    s->engines_found += engine;
    return (proxy || engine) && s->proxies_up == PROXIES && s->engines_found == DEMO_ENGINES;
}

static void client_said(struct stage *s, const char *line)
{
    if (strstr(line, "the server refused") != NULL && !s->stopping)
        s->events->failed(s->ctx, CHILD_CLIENT, "the server refused what the client asked for");
    if (client_is_up(s, line))
        s->events->up(s->ctx, CHILD_CLIENT);
    if (strstr(line, ", upstream ") != NULL)
        s->events->request(s->ctx, line);
}

static int index_of(const struct stage *s, const struct process *p)
{
    int i = 0;

    while (i < CHILDREN - 1 && s->children[i] != p)
        i++;
    return i;
}

static void child_said(void *ctx, struct process *p, const char *line)
{
    static void (*const heard[CHILDREN])(struct stage *, const char *) = {
        [CHILD_TESTNODE] = testnode_said,
        [CHILD_SERVER] = server_said,
        [CHILD_CLIENT] = client_said,
    };
    struct stage *s = ctx;

    heard[index_of(s, p)](s, line);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void stop_next(struct stage *s)
{
    for (int i = CHILDREN - 1; i >= 0; i--) {
        if (s->children[i] != NULL && process_alive(s->children[i])) {
            process_signal(s->children[i], SIGTERM);
            return;
        }
    }
    if (!s->ended_told) {
        s->ended_told = true;
        s->events->all_ended(s->ctx);
    }
}

static void child_ended(void *ctx, struct process *p)
{
    struct stage *s = ctx;
    char fate[100];
    char why[WHY_SIZE];

    if (!s->stopping || !process_ended_well(p)) {
        process_fate(p, fate, sizeof(fate));
        snprintf(why, sizeof(why), "the %s %s%s", process_name(p), fate,
                 s->stopping ? " when it was asked to stop" : "");
        s->events->failed(s->ctx, index_of(s, p), why);
    }
    if (s->stopping)
        stop_next(s);
}

void stage_stop(struct stage *s)
{
    s->stopping = true;
    stop_next(s);
}

void stage_kill(struct stage *s)
{
    for (int i = 0; i < CHILDREN; i++)
        if (s->children[i] != NULL)
            process_signal(s->children[i], SIGKILL);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void launch(struct stage *s, enum demo_child which, const char *const *argv,
                   char *const *settings)
{
    static const struct process_events events = {.line = child_said, .ended = child_ended};
    char *log_path = mem_printf("%s/%s.log", s->dir, demo_child_names[which]);
    char **environment = place_environment(settings);
    const struct process_spec spec = {
        .name = demo_child_names[which], .argv = argv, .envp = environment, .log_path = log_path};
    char why[WHY_SIZE];

    s->children[which] = process_start(s->loop, &spec, &events, s, why, sizeof(why));
    place_environment_free(environment);
    mem_free(log_path);
    if (s->children[which] == NULL)
        s->events->failed(s->ctx, which, why);
}

static void start_testnode(struct stage *s)
{
    char *tokens = mem_printf("--tokens=%d", DEMO_TOKENS);
    char *rate = mem_printf("--token-rate=%d", DEMO_RATE);
    char *engines = mem_printf("--engines=%d", DEMO_ENGINES);
    char *at = mem_printf("--engine-port=%u", port_at(s, AT_ENGINES));
    const char *const argv[] = {
        "mlgate",
        "testnode",
        "--up",
        "--print-ports",
        "--listen=127.0.0.1:0",
        "--listen-management=127.0.0.1:0",
        tokens,
        rate,
        engines,
        at,
        NULL,
    };
    char *const settings[] = {NULL};

    launch(s, CHILD_TESTNODE, argv, settings);
    mem_free(tokens);
    mem_free(rate);
    mem_free(engines);
    mem_free(at);
}

static void start_server(struct stage *s)
{
    char *state = mem_printf("%s/server", s->dir);
    char *token = mem_printf("SECRET_FRP_TOKEN=%s", s->token);
    char *at = mem_printf("127.0.0.1:%u", port_at(s, AT_SERVER));
    const char *const argv[] = {"mlgate", "server", "--bind", at, "--state-dir", state, NULL};
    char *const settings[] = {token, NULL};

    launch(s, CHILD_SERVER, argv, settings);
    mem_free(at);
    mem_free(state);
    mem_free_secret(token, strlen(token));
}

static void start_client(struct stage *s)
{
    static const char *const argv[] = {"mlgate", "client", NULL};
    char *settings[SETTINGS_MAX];
    size_t n = 0;

    settings[n++] = mem_printf("API_NODE=127.0.0.1:9000"); /* required; nothing here calls it */
    settings[n++] = mem_printf("FRP_SERVER=127.0.0.1:%u", port_at(s, AT_SERVER));
    settings[n++] = mem_printf("FRP_TLS_PIN=%s", s->pin);
    settings[n++] = mem_printf("FRP_CONFIG_DIR=%s/frp", s->dir);
    settings[n++] = mem_printf("SECRET_FRP_TOKEN=%s", s->token);
    settings[n++] = mem_printf("CLIENT_ID=%s", s->client_id);
    settings[n++] = mem_printf("MLNODE_MANAGEMENT=127.0.0.1:%u", s->node_management_port);
    settings[n++] = mem_printf("MLNODE_INFERENCE=127.0.0.1:%u", s->node_inference_port);
    /* whatever else runs on this machine keeps its ports, and is no engine of the demo's */
    settings[n++] = mem_printf("GATEWAY_LISTEN=127.0.0.1:%u", port_at(s, AT_GATEWAY));
    settings[n++] = mem_printf("GATEWAY_LISTEN_POC=127.0.0.1:%u", port_at(s, AT_GATEWAY_POC));
    settings[n++] = mem_printf("ENGINE_PORTS=%u-%u", port_at(s, AT_ENGINES),
                               port_at(s, AT_ENGINES + DEMO_ENGINES - 1));
    settings[n] = NULL;
    launch(s, CHILD_CLIENT, argv, settings);
    while (n-- > 0)
        mem_free_secret(settings[n], strlen(settings[n]));
}

void stage_start(struct stage *s, enum demo_child which)
{
    static void (*const start[CHILDREN])(struct stage *) = {
        [CHILD_TESTNODE] = start_testnode,
        [CHILD_SERVER] = start_server,
        [CHILD_CLIENT] = start_client,
    };

    start[which](s);
}

struct stage *stage_new(uv_loop_t *loop, const char *dir, const struct stage_events *events,
                        void *ctx)
{
    struct stage *s = mem_zalloc(sizeof(*s));

    s->loop = loop;
    s->dir = dir;
    s->events = events;
    s->ctx = ctx;
    place_token(s->token);
    s->first_port = place_ports(PLACES);
    if (s->first_port != 0 && place_client_id(s->client_id))
        return s;
    stage_free(s);
    return NULL;
}

void stage_free(struct stage *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < CHILDREN; i++)
        process_free(s->children[i]);
    mem_free_secret(s, sizeof(*s));
}

/* ---- questions ------------------------------------------------------------------------------- */

void stage_places(const struct stage *s, struct demo_report *r)
{
    enum { INFERENCE = 10000, POC = 20000 };
    unsigned id = 0;

    for (const char *digit = s->client_id; *digit != '\0'; digit++)
        id = id * 10 + (unsigned)(*digit - '0');
    memcpy(r->client_id, s->client_id, sizeof(r->client_id));
    r->inference_port = (uint16_t)(INFERENCE + id);
    r->poc_port = (uint16_t)(POC + id);
    r->server_port = (uint16_t)port_at(s, AT_SERVER);
    r->gateway_port = (uint16_t)port_at(s, AT_GATEWAY);
    r->gateway_poc_port = (uint16_t)port_at(s, AT_GATEWAY_POC);
    for (int i = 0; i < DEMO_ENGINES; i++)
        r->engine_port[i] = (uint16_t)port_at(s, AT_ENGINES + (unsigned)i);
    r->node_inference_port = s->node_inference_port;
    r->node_management_port = s->node_management_port;
    for (int i = 0; i < CHILDREN; i++)
        r->pid[i] = s->children[i] ? process_pid(s->children[i]) : 0;
}

void stage_memory(const struct stage *s, struct demo_report *r)
{
    for (int i = 0; i < CHILDREN; i++)
        r->resident[i] = process_resident(s->children[i]);
}

void stage_print_lines(const struct stage *s, enum demo_child which, FILE *out)
{
    if (s->children[which] != NULL)
        process_print_lines(s->children[which], out);
}
