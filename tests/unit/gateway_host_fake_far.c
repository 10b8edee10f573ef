#include "gateway_host_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

static void broken(const struct fake_conn *c, const char *why)
{
    fprintf(stderr, "fake host: stream %u (port %u): its request is refused: %s\n", c->id, c->port,
            why);
    abort();
}

/* ---- time ------------------------------------------------------------------------------------ */

void fake_after(struct fake_host *h, uint64_t us, void (*run)(void *ctx), void *ctx)
{
    struct fake_later *l = mem_zalloc(sizeof(*l));
    struct fake_later **at = &h->later;

    l->due_us = h->now_us + us;
    l->run = run;
    l->ctx = ctx;
    while (*at != NULL && (*at)->due_us <= l->due_us)
        at = &(*at)->next;
    l->next = *at;
    *at = l;
}

bool fake_run_due(struct fake_host *h)
{
    struct fake_later *l = h->later;

    if (l != NULL && l->due_us <= h->now_us) {
        h->later = l->next;
        l->run(l->ctx);
        mem_free(l);
        return true;
    }
    if (h->tick != NULL && h->tick_due <= h->now_us) {
        uint64_t next;

        h->ticks++;
        h->tick_due = UINT64_MAX;
        next = h->tick(h->tick_ctx, h->now_us);
        if (next <= h->now_us) {
            fprintf(stderr, "fake host: a tick that is due at once again\n");
            abort();
        }
        h->gateway.wake(h, next);
        return true;
    }
    return false;
}

void fake_advance(struct fake_host *h, uint64_t us)
{
    uint64_t until = h->now_us + us;

    for (;;) {
        uint64_t next = until;

        fake_run(h);
        if (h->now_us == until)
            return;
        if (h->later != NULL && h->later->due_us < next)
            next = h->later->due_us;
        if (h->tick != NULL && h->tick_due < next)
            next = h->tick_due;
        h->now_us = next;
    }
}

/* ---- what the far end does ---------------------------------------------------------------------
 */

void fake_send(struct fake_conn *c, const void *data, size_t len)
{
    if (c->released || c->eof || c->fail != REASON_NONE)
        return;
    c->asked_more = false;
    fake_text_add(&c->in, data, len);
}

void fake_say(struct fake_conn *c, const char *text)
{
    fake_send(c, text, strlen(text));
}

void fake_end(struct fake_conn *c)
{
    c->eof = true;
}

void fake_fail(struct fake_conn *c, enum reason why)
{
    if (c->fail == REASON_NONE)
        c->fail = why;
}

void fake_fail_now(struct fake_conn *c, enum reason why)
{
    c->in_at = c->in.len = 0;
    c->told_eof = true;
    fake_fail(c, why);
}

void fake_take(struct fake_conn *c, size_t len)
{
    c->room = len < SIZE_MAX - c->room ? c->room + len : SIZE_MAX;
}

size_t fake_pending(const struct fake_conn *c)
{
    return c->in.len - c->in_at;
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

static void copy_field(char *out, struct http_slice text)
{
    snprintf(out, FAKE_FIELD_MAX, "%.*s", (int)text.len, text.at);
}

bool fake_request(struct fake_conn *c, struct fake_request *out)
{
    struct http_header fields[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = fields, .max_headers = HTTP_HEADERS_MAX};
    struct http_framing framing;
    const char *at = c->got.data + c->taken;
    size_t have = c->got.len - c->taken;
    size_t scan = 0;
    int rc = http_request_parse(at, have, &scan, &head);

    if (rc == ERR_MORE)
        return false;
    if (rc != 0 || http_framing_decide(&head, false, &framing) != 0)
        broken(c, head.why);
    out->body_len = framing.kind == HTTP_BODY_LENGTH ? framing.length : 0;
    if (have - head.length < out->body_len)
        return false;
    copy_field(out->method, head.method);
    copy_field(out->target, head.target);
    out->head = at;
    out->head_len = head.length;
    out->body = at + head.length;
    c->taken += head.length + out->body_len;
    return true;
}

void fake_answer(struct fake_conn *c, unsigned status, const char *fields, const char *body)
{
    char *head = mem_printf("HTTP/1.1 %u Fine\r\nContent-Length: %zu\r\n%s\r\n", status,
                            strlen(body), fields);

    fake_say(c, head);
    fake_say(c, body);
    mem_free(head);
}

void fake_chunk(struct fake_conn *c, const char *data)
{
    char *chunk = mem_printf("%zx\r\n%s\r\n", strlen(data), data);

    fake_say(c, chunk);
    mem_free(chunk);
}

/* ---- the log --------------------------------------------------------------------------------- */

char *fake_log(const struct fake_host *h)
{
    off_t end = lseek(h->log_fd, 0, SEEK_END);
    char *text = mem_zalloc((size_t)end + 1);

    if (pread(h->log_fd, text, (size_t)end, 0) != end)
        abort();
    return text;
}

void fake_log_json(struct fake_host *h)
{
    log_free(h->gateway.log);
    h->gateway.log = log_new(h->log_fd, "gateway", LOG_DEBUG, LOG_JSON);
}

void fake_log_clear(struct fake_host *h)
{
    if (ftruncate(h->log_fd, 0) != 0)
        abort();
    lseek(h->log_fd, 0, SEEK_SET);
}
