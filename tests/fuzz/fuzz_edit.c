/* The first byte: request or response, and how it is to be edited; the rest is a head. What is
 * rendered is read again: framed as asked, by one field; nothing of the last hop in it; the fields
 * for the far end as they came, in their order. */
#include "base/err.h"
#include "base/mem.h"
#include "http/edit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s\n", #condition);                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static const char peer[] = "192.0.2.77";

struct message {
    struct http_header slots[HTTP_HEADERS_MAX + 8]; /* as many as we add, and more */
    struct http_head head;
    struct http_framing framing;
};

static int read_message(struct message *m, const char *text, size_t len, bool request, bool to_head,
                        size_t slots)
{
    size_t scan = 0;
    int rc;

    m->head = (struct http_head){.headers = m->slots, .max_headers = slots};
    rc = (request ? http_request_parse : http_response_parse)(text, len, &scan, &m->head);
    return rc ? rc : http_framing_decide(&m->head, to_head, &m->framing);
}

static size_t count(const struct http_head *head, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < head->n_headers; i++)
        n += http_slice_is(head->headers[i].name, name);
    return n;
}

static bool same(struct http_slice a, struct http_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static bool begins(struct http_slice name, const char *with)
{
    return name.len >= strlen(with) && strncasecmp(name.at, with, strlen(with)) == 0;
}

static bool is_one_of(struct http_slice name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (http_slice_is(name, *names))
            return true;
    return false;
}

/* Whether Connection names it. */
static bool is_named(const struct http_head *head, struct http_slice name)
{
    char text[512];

    if (name.len >= sizeof(text))
        return true; /* unknown: then nothing is asked of it */
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return http_header_has_token(head, "connection", text);
}

/* Each field of `in` that must reach the far end follows the one before it in `out`. */
static void must_keep(const struct http_head *in, const struct http_head *out,
                      const char *const *dropped, bool request)
{
    size_t at = 0;

    for (size_t i = 0; i < in->n_headers; i++) {
        struct http_slice name = in->headers[i].name;
        bool whole = begins(name, "content-") || (request && http_slice_is(name, "host")) ||
                     (!request && http_slice_is(name, "set-cookie"));

        if (is_one_of(name, dropped) || (!whole && is_named(in, name)))
            continue;
        while (at < out->n_headers && !(same(out->headers[at].name, name) &&
                                        same(out->headers[at].value, in->headers[i].value)))
            at++;
        MUST(at++ < out->n_headers);
    }
}

static const char *const hop_by_hop[] = {
    "keep-alive",
    "proxy-connection",
    "upgrade",
    NULL,
};

static void must_be_clean(const struct http_head *out)
{
    MUST(count(out, "transfer-encoding") + count(out, "content-length") <= 1);
    for (size_t i = 0; i < out->n_headers; i++)
        MUST(!is_one_of(out->headers[i].name, hop_by_hop));
}

static void must_tell_peer(const struct http_head *out)
{
    const struct http_header *from = http_header_find(out, "x-forwarded-for", 0);
    size_t len = sizeof(peer) - 1;

    MUST(count(out, "x-forwarded-for") == 1 && count(out, "x-real-ip") == 1);
    MUST(http_slice_is(http_header_find(out, "x-real-ip", 0)->value, peer));
    MUST(from->value.len >= len && memcmp(from->value.at + from->value.len - len, peer, len) == 0);
    MUST(count(out, "x-forwarded-proto") == 1 && count(out, "host") == 1);
}

static void check_request(struct message *in, unsigned how)
{
    static const char *const dropped[] = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "http2-settings",
        "x-real-ip",
        "x-forwarded-proto",
        "x-forwarded-for",
        "expect",
        NULL,
    };
    static char text[HTTP_RENDER_MAX];
    static struct message out;
    struct http_request_edit edit = {
        .target = in->head.target,
        .peer = peer,
        .body = in->framing.kind,
        .length = in->framing.length,
        .drop_expect = how & 1,
    };
    int len = http_request_render(&in->head, &edit, text);

    if (len == ERR_LIMIT) {
        MUST(count(&in->head, "connection") > 0);
        return;
    }
    MUST(len > 0 && len <= HTTP_RENDER_MAX);
    if (len > HTTP_HEAD_MAX)
        return; /* our own reader stops there */
    MUST(read_message(&out, text, (size_t)len, true, false, HTTP_HEADERS_MAX + 8) == 0);
    MUST(out.head.length == (size_t)len && out.head.minor == 1);
    MUST(same(out.head.method, in->head.method) && same(out.head.target, in->head.target));
    MUST(out.framing.kind == edit.body && out.framing.length == edit.length);
    MUST(out.framing.keep_alive && count(&out.head, "connection") == 0);
    MUST(count(&out.head, "te") + count(&out.head, "trailer") == 0);
    MUST(!edit.drop_expect || count(&out.head, "expect") == 0);
    must_be_clean(&out.head);
    must_tell_peer(&out.head);
    must_keep(&in->head, &out.head, dropped, true);
    if (http_slice_is(out.head.method, "POST"))
        MUST(count(&out.head, "content-type") >= 1);
}

/* How the answer goes to the client, as a gateway would decide it. */
static struct http_response_edit edit_of(const struct message *in, unsigned how)
{
    struct http_response_edit edit = {
        .body = in->framing.kind, .length = in->framing.length, .minor = how & 1};

    if (edit.body == HTTP_BODY_CLOSE || edit.body == HTTP_BODY_CHUNKED)
        edit.body = edit.minor ? HTTP_BODY_CHUNKED : HTTP_BODY_CLOSE;
    edit.keep_alive = edit.body != HTTP_BODY_CLOSE && (how & 2);
    return edit;
}

static void check_response(struct message *in, unsigned how, bool to_head)
{
    static const char *const dropped[] = {
        "connection",     "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
        "content-length", NULL,
    };
    static char text[HTTP_RENDER_MAX];
    static struct message out;
    struct http_response_edit edit = edit_of(in, how);
    int len = http_response_render(&in->head, &edit, text);
    bool interim = in->head.status < 200;

    if (len == ERR_LIMIT) {
        MUST(count(&in->head, "connection") > 0);
        return;
    }
    MUST(len > 0 && len <= HTTP_RENDER_MAX);
    if (len > HTTP_HEAD_MAX)
        return;
    MUST(read_message(&out, text, (size_t)len, false, to_head, HTTP_HEADERS_MAX + 8) == 0);
    MUST(out.head.length == (size_t)len && out.head.status == in->head.status);
    MUST(same(out.head.reason, in->head.reason));
    MUST(out.framing.kind == edit.body && out.framing.length == edit.length);
    if (!interim && edit.minor == 1)
        MUST(out.framing.keep_alive == edit.keep_alive);
    if (interim || (edit.keep_alive && edit.minor == 1))
        MUST(count(&out.head, "connection") == 0);
    must_be_clean(&out.head);
    must_keep(&in->head, &out.head, dropped, false);
    /* nothing added but framing and connection */
    MUST(out.head.n_headers <= in->head.n_headers + 2);
    if (edit.body == HTTP_BODY_NONE && in->head.status >= 200 && in->head.status != 204)
        MUST(count(&out.head, "content-length") == count(&in->head, "content-length"));
}

/* Any bytes as texts of our own answer. */
static void check_error(const char *text, size_t size, unsigned how)
{
    char answer[HTTP_ERROR_MAX];
    static struct message out;
    char *message = mem_strndup(text, size);
    struct http_error e = {
        .status = 400 + how, .type = message, .code = message, .message = message};
    size_t len = http_error_render(&e, how & 1, how >> 1 & 1, false, answer);

    MUST(len < sizeof(answer));
    MUST(read_message(&out, answer, len, false, false, HTTP_HEADERS_MAX) == 0);
    MUST(out.framing.kind == HTTP_BODY_LENGTH && out.head.length + out.framing.length == len);
    for (size_t i = out.head.length; i + 1 < len; i++)
        MUST(answer[i] >= 0x20 && answer[i] < 0x7f);
    mem_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message in;
    bool request;
    bool to_head;
    unsigned how;
    char *text;

    if (size < 1)
        return 0;
    request = data[0] & 1;
    to_head = data[0] & 2;
    how = data[0] >> 2;
    size--;
    text = mem_alloc(size ? size : 1); /* no slack: a sanitizer sees the end */
    memcpy(text, data + 1, size);
    if (read_message(&in, text, size, request, to_head, HTTP_HEADERS_MAX) == 0) {
        if (request)
            check_request(&in, how);
        else
            check_response(&in, how, to_head);
    }
    check_error(text, size, how);
    mem_free(text);
    return 0;
}
