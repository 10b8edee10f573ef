/* First byte: request or response, and how the rest is split. Whatever the split, the verdict, its
 * reason and every slice are the same; what is accepted keeps the promises of head.h. */
#include "base/err.h"
#include "base/mem.h"
#include "http/head.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head;
    struct http_framing framing;
    int rc;
    int framed;
};

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s\n", #condition);                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static int parse_once(const char *data, size_t len, bool request, size_t *scan, struct seen *s)
{
    s->head = (struct http_head){.headers = s->slots, .max_headers = HTTP_HEADERS_MAX};
    return (request ? http_request_parse : http_response_parse)(data, len, scan, &s->head);
}

static void parse_split(const char *data, size_t len, bool request, size_t step, struct seen *s)
{
    size_t scan = 0;
    size_t n = step ? 0 : len;

    do {
        n = n + step < len ? n + step : len;
        s->rc = parse_once(data, n, request, &scan, s);
        MUST(scan <= n);
    } while (s->rc == ERR_MORE && n < len);
    s->framed = s->rc == 0 ? http_framing_decide(&s->head, false, &s->framing) : 0;
}

static void same_slice(struct http_slice a, struct http_slice b)
{
    MUST(a.len == b.len && (a.len == 0 || a.at == b.at));
}

static void same(const struct seen *a, const struct seen *b)
{
    MUST(a->rc == b->rc && a->framed == b->framed);
    MUST(a->head.why == b->head.why);
    if (a->rc)
        return;
    MUST(a->head.length == b->head.length && a->head.n_headers == b->head.n_headers);
    MUST(a->head.status == b->head.status && a->head.minor == b->head.minor);
    same_slice(a->head.method, b->head.method);
    same_slice(a->head.target, b->head.target);
    for (size_t i = 0; i < a->head.n_headers; i++) {
        same_slice(a->head.headers[i].name, b->head.headers[i].name);
        same_slice(a->head.headers[i].value, b->head.headers[i].value);
    }
    if (a->framed == 0)
        MUST(a->framing.kind == b->framing.kind && a->framing.length == b->framing.length);
}

static void check_clean(struct http_slice slice, const char *data, size_t len)
{
    MUST(slice.len == 0 || (slice.at >= data && slice.at + slice.len <= data + len));
    for (size_t i = 0; i < slice.len; i++)
        MUST(http_is_value_byte((unsigned char)slice.at[i]));
}

static void check_accepted(const char *data, bool request, struct seen *s)
{
    struct http_head *head = &s->head;
    size_t codings = 0;
    size_t lengths = 0;

    MUST(head->length >= 4 && head->length <= HTTP_HEAD_MAX);
    MUST(memcmp(data + head->length - 4, "\r\n\r\n", 4) == 0);
    MUST(head->minor <= 1 && (head->status == 0) == request);
    check_clean(head->method, data, head->length);
    check_clean(head->target, data, head->length);
    check_clean(head->reason, data, head->length);
    for (size_t i = 0; i < head->n_headers; i++) {
        check_clean(head->headers[i].value, data, head->length);
        for (size_t k = 0; k < head->headers[i].name.len; k++)
            MUST(http_is_token_byte((unsigned char)head->headers[i].name.at[k]));
        codings += http_slice_is(head->headers[i].name, "transfer-encoding");
        lengths += http_slice_is(head->headers[i].name, "content-length");
    }
    if (s->framed == 0)
        MUST(codings + lengths <= 1);
    if (s->framed == 0 && request)
        MUST((s->framing.kind == HTTP_BODY_CHUNKED) == (codings == 1));
    MUST(s->framed != 0 || s->framing.length <= HTTP_LENGTH_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct seen whole;
    static struct seen split;
    bool request;
    size_t step;
    char *text;

    if (size < 1)
        return 0;
    request = data[0] & 1;
    step = (size_t)(data[0] >> 1) + 1;
    size--;
    text = mem_alloc(size + 1);
    memcpy(text, data + 1, size);

    parse_split(text, size, request, 0, &whole);
    parse_split(text, size, request, step, &split);
    same(&whole, &split);
    if (whole.rc == 0)
        check_accepted(text, request, &whole);
    if (whole.rc != ERR_MORE && whole.rc != 0)
        MUST(whole.head.why != NULL);
    mem_free(text);
    return 0;
}
