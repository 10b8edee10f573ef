#include "gateway_stage.h"

#include <stdio.h>

#include "gateway/internal.h"

/* What is known of a connection to an upstream. */
struct stage_conn {
    size_t noted; /* bytes of whole requests that were written down */
    bool begun;   /* so was the head of the next one */
    bool users;   /* it carries users' requests */
};

static struct stage_conn *info_of(struct stage *s, const struct fake_conn *c)
{
    if (c->id >= s->n_conns) {
        size_t n = c->id * 2;

        s->conns = mem_array(s->conns, n, sizeof(s->conns[0]));
        memset(s->conns + s->n_conns, 0, (n - s->n_conns) * sizeof(s->conns[0]));
        s->n_conns = n;
    }
    return &s->conns[c->id];
}

static void note(struct stage *s, char *line)
{
    if (s->heard.len > 0)
        fake_text_add(&s->heard, "\n", 1);
    fake_text_add(&s->heard, line, strlen(line));
    mem_free(line);
}

/* ---- upstreams ------------------------------------------------------------------------------- */

static void answer_gateway(struct stage *s, struct fake_conn *c, const struct message *m)
{
    char *state = mem_printf("{\"state\":\"%s\"}", s->state);
    const char *body = "";
    bool asks_state = http_slice_is(m->head.target, "/api/v1/state");

    if (asks_state)
        body = state;
    if (http_slice_is(m->head.target, "/v1/models"))
        body = "{\"data\":[{\"id\":\"m\"}]}";
    fake_answer(c, asks_state && c->port >= ENGINE && c->port != MANAGEMENT ? 404 : 200, "", body);
    mem_free(state);
}

static void begin(struct stage *s, struct fake_conn *c, const struct message *m)
{
    struct stage_conn *info = info_of(s, c);

    info->begun = true;
    if (http_header_find(&m->head, "X-Real-IP", 0) == NULL)
        return;
    info->users = true;
    note(s, mem_printf("%u %.*s %.*s", c->port, (int)m->head.method.len, m->head.method.at,
                       (int)m->head.target.len, m->head.target.at));
}

/* Looks at the next request; whether it was whole. */
static bool got_request(struct stage *s, struct fake_conn *c)
{
    struct stage_conn *info = info_of(s, c);
    struct message m;
    const char *wrong = message_read(c->got.data + info->noted, c->got.len - info->noted,
                                     MESSAGE_REQUEST, false, &m);
    bool whole = m.complete;

    if (wrong != NULL)
        fail_msg("port %u got bytes that are no request: %s", c->port, wrong);
    if (m.has_head && !info->begun)
        begin(s, c, &m);
    if (whole) {
        info->noted += m.length;
        info->begun = false;
        if (!info->users)
            answer_gateway(s, c, &m);
        else if (s->play != NULL)
            s->play(c, &m);
    }
    message_clear(&m);
    return whole;
}

static void got_bytes(struct fake_conn *c)
{
    while (got_request(c->ctx, c))
        ;
}

static void was_reset(struct fake_conn *c)
{
    struct stage *s = c->ctx;

    if (info_of(s, c)->users)
        note(s, mem_printf("%u reset", c->port));
}

void play_echo(struct fake_conn *c, const struct message *m)
{
    char *body =
        mem_printf("%.*s %.*s %s", (int)m->head.method.len, m->head.method.at,
                   (int)m->head.target.len, m->head.target.at, m->body_len > 0 ? m->body : "-");

    fake_answer(c, 200, "", body);
    mem_free(body);
}

void stage_open(struct stage *s, uint16_t port)
{
    fake_listen(s->h, port, FAKE_ACCEPTS, &s->node, s);
}

/* ---- life ------------------------------------------------------------------------------------ */

static uint64_t tick(void *ctx, uint64_t now_us)
{
    return gateway_tick(ctx, now_us);
}

struct stage *stage_with(void (*change)(struct stage *s))
{
    const struct endpoint management = {.host = "127.0.0.1", .port = MANAGEMENT};
    const struct endpoint inference = {.host = "127.0.0.1", .port = INFERENCE};
    struct stage *s = mem_zalloc(sizeof(*s));

    s->h = fake_new();
    s->state = "INFERENCE";
    s->node = (struct fake_peer){.data = got_bytes, .gone = was_reset};
    s->cfg = (struct gateway_config){
        .management = management,
        .inference = inference,
        .engines = {.management = management,
                    .inference = inference,
                    .host = "127.0.0.1",
                    .first_port = ENGINE,
                    .last_port = ENGINE + ENGINES - 1},
    };
    stage_open(s, MANAGEMENT);
    stage_open(s, INFERENCE);
    stage_open(s, ENGINE);
    fake_text_add(&s->heard, "", 0);
    if (change != NULL)
        change(s);
    s->g = gateway_new(fake_gateway(s->h), &s->cfg);
    s->h->tick = tick;
    s->h->tick_ctx = s->g;
    s->h->tick_due = 0;
    stage_settle(s);
    return s;
}

struct stage *stage_new(void)
{
    return stage_with(NULL);
}

/* A look at all ports begins within 250 ms and takes no time in this world. */
void stage_settle(struct stage *s)
{
    engines_look_again(s->g->engines);
    fake_advance(s->h, 300 * 1000);
}

void stage_free(struct stage *s)
{
    struct gateway_counters n;
    uint64_t clients = 0;

    gateway_stop(s->g);
    s->h->tick = NULL;
    fake_run(s->h);
    n = stage_counts(s);
    assert_int_equal(n.clients_now + n.exchanges_now + n.upstreams_now, 0);
    for (int i = 0; i < REASON_COUNT; i++)
        clients += n.clients_ended.of[i];
    assert_int_equal(clients, n.clients); /* each for one reason */
    assert_int_equal(n.clients_ended.of[REASON_NONE], 0);
    assert_int_equal(s->g->objects, 0);
    assert_int_equal(s->g->n_orphans, 0);
    gateway_free(s->g);
    fake_free(s->h);
    message_clear(&s->last);
    mem_free(s->last_text);
    mem_free(s->heard.data);
    mem_free(s->conns);
    mem_free(s);
}

/* ---- users ----------------------------------------------------------------------------------- */

struct fake_conn *stage_user(struct stage *s, enum gateway_role role)
{
    struct fake_conn *c = fake_client(s->h, NULL, s);
    char peer[32];

    snprintf(peer, sizeof(peer), "10.0.0.%u", ++s->users);
    assert_true(gateway_serve(s->g, fake_stream(c), role, peer, 1000));
    return c;
}

void stage_say(struct fake_conn *c, const char *text)
{
    fake_say(c, text);
    fake_run(c->host);
}

struct fake_conn *stage_up(struct stage *s, uint16_t port)
{
    struct fake_conn *c = s->h->conns;

    while (c != NULL && !(c->port == port && info_of(s, c)->users))
        c = c->next;
    if (c == NULL)
        fail_msg("nobody asked port %u", port);
    return c;
}

/* ---- expectations ---------------------------------------------------------------------------- */

void stage_heard(struct stage *s, const char *text, const char *file, int line)
{
    bool same = strcmp(s->heard.data, text) == 0;

    if (!same)
        print_error("%s:%d\n--- expected\n%s\n--- heard\n%s\n---\n", file, line, text,
                    s->heard.data);
    s->heard.len = 0;
    s->heard.data[0] = '\0';
    if (!same)
        fail();
}

/* Makes the next message of `c` the last one that was looked at. */
static void look(struct fake_conn *c, enum message_kind kind, const char *file, int line)
{
    struct stage *s = c->ctx;
    size_t len = c->got.len - c->taken;
    const char *wrong;

    message_clear(&s->last);
    mem_free(s->last_text);
    s->last_text = mem_strndup(rest_of(c), len);
    wrong = message_read(s->last_text, len, kind, c->ended, &s->last);
    if (wrong != NULL || !s->last.complete) {
        print_error("%s:%d: %s\n--- got\n%s\n---\n", file, line, wrong ? wrong : "no whole message",
                    s->last_text);
        fail();
    }
    c->taken += s->last.length;
}

static void compare(const struct stage *s, const char *body, const char *file, int line)
{
    if (body == NULL || strcmp(s->last.body, body) == 0)
        return;
    print_error("%s:%d\n--- expected\n%s\n--- got\n%s\n---\n", file, line, body, s->last.body);
    fail();
}

void stage_answer(struct fake_conn *c, unsigned status, const char *body, bool to_head,
                  const char *file, int line)
{
    struct stage *s = c->ctx;

    look(c, to_head ? MESSAGE_RESPONSE_TO_HEAD : MESSAGE_RESPONSE, file, line);
    if (s->last.head.status != status) {
        print_error("%s:%d: status %u, expected %u\n%s\n", file, line, s->last.head.status, status,
                    s->last_text);
        fail();
    }
    compare(s, body, file, line);
}

void stage_request(struct fake_conn *c, const char *body, const char *file, int line)
{
    look(c, MESSAGE_REQUEST, file, line);
    compare(c->ctx, body, file, line);
}

void stage_error(struct fake_conn *c, unsigned status, const char *code, const char *file, int line)
{
    struct stage *s = c->ctx;
    char *want = mem_printf("\"param\":null,\"code\":\"%s\"}}\n", code);

    stage_answer(c, status, NULL, false, file, line);
    if (strstr(s->last.body, want) == NULL ||
        strncmp(s->last.body, "{\"error\":{\"message\":\"", 21) != 0 ||
        strcmp(stage_field(s, "Content-Type"), "application/json") != 0) {
        print_error("%s:%d: no error %s\n%s\n", file, line, code, s->last_text);
        fail();
    }
    mem_free(want);
}

const char *stage_field(struct stage *s, const char *name)
{
    if (!message_field(&s->last, name, s->field, sizeof(s->field)))
        s->field[0] = '\0';
    return s->field;
}

struct gateway_counters stage_counts(const struct stage *s)
{
    struct gateway_counters n;

    gateway_counters(s->g, &n);
    return n;
}
