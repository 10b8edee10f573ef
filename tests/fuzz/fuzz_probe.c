/* An upstream's answer to a probe. First byte: how the answer is split and what follows it.
 * Whatever the split, the probe tells the same outcome, once, and gives back what it was given; the
 * fake world sees to the rules of streams. A body that came is then read as MLNode's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/gateway_host_fake.h"
#include "base/mem.h"
#include "gateway/mlnode.h"
#include "gateway/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PORT = 5001, DEADLINE_US = 1000000 };

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s\n", #condition);                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct answer {
    const uint8_t *data;
    size_t len;
    uint8_t how;
};

struct outcome {
    unsigned calls;
    unsigned status;
    enum reason why;
    char *body;
    size_t len;
};

static void done(void *ctx, unsigned status, const char *body, size_t len, enum reason why)
{
    struct outcome *o = ctx;

    MUST((status != 0) == (why == REASON_DONE));
    MUST(len <= PROBE_BODY_MAX);
    o->calls++;
    o->status = status;
    o->why = why;
    o->body = mem_strndup(body, len);
    o->len = len;
}

static void opened(struct fake_conn *c)
{
    const struct answer *a = c->ctx;

    fake_send(c, a->data, a->len);
    if (a->how & 0x40)
        fake_end(c);
    if (a->how & 0x80)
        fake_fail(c, REASON_PEER_RESET);
}

static void read_body(const struct outcome *o)
{
    char word[MLNODE_STATE_MAX];

    if (mlnode_state(o->body, o->len, word))
        MUST(strlen(word) > 0 && strlen(word) < sizeof(word));
    mem_free(mlnode_models(o->body, o->len));
}

static void run(struct answer *a, size_t piece, struct outcome *out)
{
    const struct fake_peer peer = {.opened = opened};
    const struct endpoint to = {.host = "127.0.0.1", .port = PORT};
    struct fake_host *h = fake_new();
    struct probe *p;

    h->piece = piece;
    fake_listen(h, PORT, FAKE_ACCEPTS, &peer, a);
    p = probe_start(fake_gateway(h), &to, "/", h->now_us + DEADLINE_US, done, out);
    fake_run(h);
    if (out->calls == 0) {
        probe_tick(p, h->now_us + DEADLINE_US);
        fake_run(h);
    }
    MUST(out->calls == 1);
    fake_free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answer a = {.data = data + 1, .len = size - 1};
    struct outcome whole = {0};
    struct outcome split = {0};

    if (size < 1)
        return 0;
    a.how = data[0];
    run(&a, 0, &whole);
    run(&a, (a.how & 0x3f) + 1u, &split);
    MUST(whole.status == split.status && whole.why == split.why);
    MUST(whole.len == split.len && memcmp(whole.body, split.body, whole.len) == 0);
    if (whole.status != 0)
        read_body(&whole);
    mem_free(whole.body);
    mem_free(split.body);
    return 0;
}
