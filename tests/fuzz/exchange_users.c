#include "exchange_world.h"

#include <string.h>

#include "base/mem.h"

static const struct path {
    const char *path;
    bool damped;
    bool refused;
} paths[] = {
    {"/v1/chat/completions", false, false},
    {"/v1/models", false, false},
    {"/api/v1/tasks", false, false},
    {"/api/v1/inference/up", false, false},
    {"/api/v1/stop", false, false},
    {"/api/v1/inference/down", false, false},
    {"/health", true, false},
    {"/mlgate/status", false, false},
    {"/api/v1/train/start", false, true},
    {"/v3.0.8/v1/completions", false, false},
    {"/other", false, false},
    {"/a//b", false, true},
    {"/tokenize", false, false},
};

static const char *const methods[] = {"GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"};

struct user *user_new(struct world *w)
{
    struct user *u;
    char peer[32];

    if (w->n_users == USERS_MAX)
        return NULL;
    u = &w->users[w->n_users++];
    u->id = w->n_users;
    u->c = fake_client(w->h, NULL, NULL);
    snprintf(peer, sizeof(peer), "10.0.0.%u", u->id);
    MUST(gateway_serve(w->g, fake_stream(u->c), next_byte(w) % GATEWAY_ROLES, peer, 1));
    return u;
}

static void put(struct user *u, const char *text)
{
    fake_text_add(&u->rest, text, strlen(text));
}

static void put_bytes(struct user *u, unsigned ask, size_t from, size_t len)
{
    char data[BODY_MAX];

    MUST(len <= sizeof(data));
    for (size_t i = 0; i < len; i++)
        data[i] = byte_of(u->id, ask, false, from + i);
    fake_text_add(&u->rest, data, len);
}

static void put_chunks(struct world *w, struct user *u, unsigned ask, size_t len)
{
    unsigned kind = next_byte(w);
    size_t piece = 1 + next_byte(w) * 3;
    char line[64];

    for (size_t at = 0; at < len; at += piece) {
        size_t n = piece < len - at ? piece : len - at;

        snprintf(line, sizeof(line), kind & 1 ? "%zX\r\n" : "0%zx;a=\"b\"\r\n", n);
        put(u, line);
        put_bytes(u, ask, at, n);
        put(u, "\r\n");
    }
    put(u, kind & 2 ? "0\r\nX-Trailer: GET / HTTP/1.1\r\n\r\n" : "00\r\n\r\n");
}

/* Two framings, or one that is none. */
static const char *const bad_fields[] = {
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 3\r\nContent-Length: 3\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Content-Length: +3\r\n",
    "A: b\r\n c\r\n",
    "Host: again\r\n",
};

static void put_body(struct world *w, struct user *u, struct ask *a, unsigned how)
{
    char line[64];

    a->body = next_byte(w) * (how & 8 ? 23U : 1U) % BODY_MAX;
    if (a->body > 0 || how & 16)
        a->again = a->damped = false;
    if (how & 16) {
        put(u, "Transfer-Encoding: chunked\r\n\r\n");
        put_chunks(w, u, u->n_asks, a->body);
        return;
    }
    snprintf(line, sizeof(line), "Content-Length: %zu\r\n\r\n", a->body);
    put(u, line);
    put_bytes(u, u->n_asks, 0, a->body);
}

void user_ask(struct world *w, struct user *u)
{
    const struct path *path = &paths[next_byte(w) % (sizeof(paths) / sizeof(paths[0]))];
    const char *method = methods[next_byte(w) % (sizeof(methods) / sizeof(methods[0]))];
    unsigned how = next_byte(w);
    unsigned more = next_byte(w);
    char line[256];
    struct ask *a;

    if (u->n_asks == ASKS_MAX)
        return;
    a = &u->asks[u->n_asks++];
    a->to_head = strcmp(method, "HEAD") == 0;
    a->again = strcmp(method, "GET") == 0 || strcmp(method, "OPTIONS") == 0 || a->to_head;
    a->damped = path->damped;
    a->refused = path->refused;
    snprintf(line, sizeof(line), "%s %s?t=%u HTTP/1.%u\r\nHost: h\r\nX-Real-IP: 10.0.0.77\r\n",
             method, path->path, u->n_asks, how & 1 ? 0U : 1U);
    put(u, line);
    if (how & 2)
        put(u, more & 1 ? "Connection: close\r\n" : "Connection: keep-alive, x-other\r\n");
    if (more & 2)
        put(u, "Expect: 100-continue\r\n");
    if ((more & 0xe0) == 0xe0) {
        a->refused = true;
        put(u, bad_fields[next_byte(w) % (sizeof(bad_fields) / sizeof(bad_fields[0]))]);
    }
    if (how & 4 && !(how & 16 && how & 1))
        put_body(w, u, a, how);
    else
        put(u, "\r\n");
    if (!(more & 4))
        user_goes_on(w, u, SIZE_MAX);
    else
        user_goes_on(w, u, next_byte(w));
}

void user_goes_on(struct world *w, struct user *u, size_t len)
{
    size_t left = u->rest.len - u->rest_at;

    if (len > left)
        len = left;
    if (len == 0)
        return;
    fake_send(u->c, u->rest.data + u->rest_at, len);
    u->rest_at += len;
}

/* Without '?', so that it never names a request. */
void user_babbles(struct world *w, struct user *u)
{
    size_t len = next_byte(w);

    u->raw = true;
    for (; len > 0 && w->size > 0; len--) {
        char c = (char)next_byte(w);

        if (c == '?')
            c = '!';
        fake_send(u->c, &c, 1);
    }
}

/* ---- what reached him ------------------------------------------------------------------------ */

static bool number(const struct message *m, const char *name, unsigned *out)
{
    char text[32];

    if (!message_field(m, name, text, sizeof(text)))
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return true;
}

static void check_answer(const struct user *u, unsigned i, const struct message *m)
{
    bool to_head = i < u->n_asks && u->asks[i].to_head;
    unsigned user, ask, len;

    MUST(i < u->n_asks || u->raw);
    if (number(m, "X-User", &user) && !(i < u->n_asks && u->asks[i].odd))
        MUST(user == u->id);
    if (u->raw || !number(m, "X-Ask", &ask))
        return;
    MUST(ask == i + 1);
    for (size_t k = 0; k < m->body_len; k++)
        MUST(m->body[k] == byte_of(u->id, ask, true, k));
    if (m->complete && !to_head && number(m, "X-Len", &len))
        MUST(m->body_len == len);
}

/* The i-th answer. That a head came too late is said before it is known to be a HEAD's. */
static const char *read_answer(const struct user *u, unsigned i, size_t at, bool ended,
                               struct message *m)
{
    bool to_head = i < u->n_asks && u->asks[i].to_head;
    const char *data = u->c->got.data + at;
    size_t len = u->c->got.len - at;
    const char *wrong =
        message_read(data, len, to_head ? MESSAGE_RESPONSE_TO_HEAD : MESSAGE_RESPONSE, ended, m);

    if (!to_head || m->head.status != 408)
        return wrong;
    message_clear(m);
    return message_read(data, len, MESSAGE_RESPONSE, ended, m);
}

void user_check(struct world *w, struct user *u)
{
    bool ended = u->c->ended && !u->c->reset;
    unsigned i = 0;
    bool last = false;

    for (size_t at = 0; at < u->c->got.len;) {
        struct message m;
        const char *wrong = read_answer(u, i, at, ended, &m);
        bool known = i < u->n_asks && !u->raw;

        MUST(!last);
        if (wrong != NULL && known)
            fprintf(stderr, "user %u, answer %u: %s\n%s\n", u->id, i + 1, wrong, u->c->got.data);
        MUST(wrong == NULL || !known);
        if (m.has_head && m.head.status >= 200)
            check_answer(u, i++, &m);
        last = wrong != NULL || !m.complete || m.framing.kind == HTTP_BODY_CLOSE;
        at += m.length;
        message_clear(&m);
    }
}
