#include "base/err.h"
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOST        "Host: a\r\n"
#define GET         "GET / HTTP/1.1\r\n"
#define POST        "POST / HTTP/1.1\r\nHost: a\r\n"
#define SIZED(text) (text), sizeof(text) - 1

struct hostile {
    const char *head;
    size_t len;
    int code;
    const char *why;
};

struct parsed {
    struct http_head head;
    struct http_header slots[HTTP_HEADERS_MAX];
};

typedef int parse_fn(const char *, size_t, size_t *, struct http_head *);

static int parse_whole(parse_fn *parse, const char *data, size_t len, struct parsed *p)
{
    size_t scan = 0;

    p->head = (struct http_head){.headers = p->slots, .max_headers = HTTP_HEADERS_MAX};
    return parse(data, len, &scan, &p->head);
}

/* The same bytes one at a time, each time from a fresh copy, as a buffer that moves. */
static int parse_bytewise(parse_fn *parse, const char *data, size_t len, struct parsed *p)
{
    static char moved[2][2 * HTTP_HEAD_MAX];
    size_t scan = 0;
    int rc = ERR_MORE;

    for (size_t n = 1; n <= len && rc == ERR_MORE; n++) {
        char *copy = moved[n & 1];

        memcpy(copy, data, n);
        p->head = (struct http_head){.headers = p->slots, .max_headers = HTTP_HEADERS_MAX};
        rc = parse(copy, n, &scan, &p->head);
    }
    return rc;
}

static int with_framing(int rc, struct parsed *p)
{
    struct http_framing framing;

    return rc ? rc : http_framing_decide(&p->head, false, &framing);
}

static void check_refused(parse_fn *parse, const struct hostile *h)
{
    struct parsed p;
    int whole = with_framing(parse_whole(parse, h->head, h->len, &p), &p);
    const char *why = p.head.why ? p.head.why : "";

    if (whole != h->code || strcmp(why, h->why) != 0)
        fail_msg("%s\n  gives %s (%s), want %s (%s)", h->head, err_name(whole), why,
                 err_name(h->code), h->why);
    assert_int_equal(with_framing(parse_bytewise(parse, h->head, h->len, &p), &p), h->code);
    assert_string_equal(p.head.why, h->why);
}

static const struct hostile requests[] = {
    /* line ends */
    {SIZED("GET / HTTP/1.1\nHost: a\n\n"), ERR_SYNTAX, "LF without CR"},
    {SIZED(GET "Host: a\n\r\n"), ERR_SYNTAX, "LF without CR"},
    {SIZED(GET HOST "\n"), ERR_SYNTAX, "LF without CR"},
    {SIZED("\n" GET HOST "\r\n"), ERR_SYNTAX, "LF without CR"},
    {SIZED(GET "Host: a\rX: b\r\n\r\n"), ERR_SYNTAX, "CR without LF"},
    {SIZED(GET "Host: a\r\r\n\r\n"), ERR_SYNTAX, "CR without LF"},
    {SIZED("GET / HTTP/1.1\r" HOST "\r\n"), ERR_SYNTAX, "CR without LF"},
    {SIZED("\r\n\r\n" GET HOST "\r\n"), ERR_SYNTAX, "malformed request line"},
    {SIZED("\r\n\r\n"), ERR_SYNTAX, "malformed request line"},
    /* bytes no head may hold */
    {SIZED(GET "Host: a\0b\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED(GET HOST "X\0: b\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED(GET HOST "X: \x01\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED(GET HOST "X: \x1b[31m\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED(GET HOST "X: \x0b\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED(GET HOST "X: \x7f\r\n\r\n"), ERR_SYNTAX, "control byte in head"},
    {SIZED("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), ERR_SYNTAX, "control byte in head"},
    /* request line */
    {SIZED("GET /\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed request line"},
    {SIZED("GET\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed request line"},
    {SIZED("GET  / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET /  HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / HTTP/1.1 \r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET\t/\tHTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed request line"},
    {SIZED("GET / a HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET  HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "empty target"},
    /* method */
    {SIZED(" GET / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("get / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad method"},
    {SIZED("GE(T / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad method"},
    {SIZED("G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad method"},
    {SIZED("GET\t / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad method"},
    {SIZED("-GET / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad method"},
    {SIZED("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX,
     "bad method"},
    {SIZED("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), ERR_TYPE, "CONNECT is not served"},
    /* target */
    {SIZED("GET a HTTP/1.1\r\n" HOST "\r\n"), ERR_TYPE, "target does not begin with /"},
    {SIZED("GET http://a/ HTTP/1.1\r\n" HOST "\r\n"), ERR_TYPE, "target does not begin with /"},
    {SIZED("GET * HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "target * is for OPTIONS"},
    {SIZED("GET /a\tb HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad byte in target"},
    {SIZED("GET /#x HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad byte in target"},
    {SIZED("GET /\xe2\x80\xae HTTP/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "bad byte in target"},
    /* version */
    {SIZED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ERR_TYPE, "version is not HTTP/1.0 or HTTP/1.1"},
    {SIZED("GET / HTTP/1.2\r\n" HOST "\r\n"), ERR_TYPE, "version is not HTTP/1.0 or HTTP/1.1"},
    {SIZED("GET / HTTP/0.9\r\n" HOST "\r\n"), ERR_TYPE, "version is not HTTP/1.0 or HTTP/1.1"},
    {SIZED("GET / HTTP/11\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / HTTP/1.10\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / HTTP/1.x\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / http/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / HTTP/+1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    {SIZED("GET / ICY/1.1\r\n" HOST "\r\n"), ERR_SYNTAX, "malformed version"},
    /* fields */
    {SIZED(GET HOST "X: a\r\n b\r\n\r\n"), ERR_SYNTAX, "folded field"},
    {SIZED(GET HOST "X: a\r\n\tb\r\n\r\n"), ERR_SYNTAX, "folded field"},
    {SIZED(GET " Host: a\r\n\r\n"), ERR_SYNTAX, "folded field"},
    {SIZED(GET HOST " \r\n\r\n"), ERR_SYNTAX, "folded field"},
    {SIZED(GET HOST "X : a\r\n\r\n"), ERR_SYNTAX, "blank in field name"},
    {SIZED(GET HOST "X\t: a\r\n\r\n"), ERR_SYNTAX, "blank in field name"},
    {SIZED(GET HOST "X Y: a\r\n\r\n"), ERR_SYNTAX, "blank in field name"},
    {SIZED(GET HOST "X\r\n\r\n"), ERR_SYNTAX, "field without colon"},
    {SIZED(GET HOST ": a\r\n\r\n"), ERR_SYNTAX, "empty field name"},
    {SIZED(GET HOST "X\xff: a\r\n\r\n"), ERR_SYNTAX, "bad byte in field name"},
    {SIZED(GET HOST "X(: a\r\n\r\n"), ERR_SYNTAX, "bad byte in field name"},
    {SIZED(GET HOST "X\"Y: a\r\n\r\n"), ERR_SYNTAX, "bad byte in field name"},
    {SIZED(GET "\r\n"), ERR_SYNTAX, "no Host"},
    {SIZED(GET "Hos: a\r\n\r\n"), ERR_SYNTAX, "no Host"},
    {SIZED(GET HOST "hOST: a\r\n\r\n"), ERR_SYNTAX, "more than one Host"},
    {SIZED("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), ERR_SYNTAX, "more than one Host"},
    {SIZED(GET "Host: a/v1/sleep?\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a?\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a#b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: u@a\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a\\b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a, b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: [::1]\"\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a<b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: b\xc3\xa9\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED(GET "Host: a;b\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    {SIZED("GET / HTTP/1.0\r\nHost: /v1\r\n\r\n"), ERR_SYNTAX, "bad Host"},
    /* where the body ends */
    {SIZED(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_SYNTAX,
     "both Content-Length and Transfer-Encoding"},
    {SIZED(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), ERR_SYNTAX,
     "both Content-Length and Transfer-Encoding"},
    {SIZED(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"), ERR_SYNTAX,
     "repeated framing field"},
    {SIZED(POST "Content-Length: 3\r\ncontent-length: 4\r\n\r\n"), ERR_SYNTAX,
     "repeated framing field"},
    {SIZED(POST "Content-Length: 3, 3\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: +3\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: -3\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: 0x3\r\n\r\n"), ERR_SYNTAX, "padded Content-Length"},
    {SIZED(POST "Content-Length: 03\r\n\r\n"), ERR_SYNTAX, "padded Content-Length"},
    {SIZED(POST "Content-Length: 3 4\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: 3;\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length:\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: 1e3\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: 9223372036854775808\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Content-Length: 18446744073709551619\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
    {SIZED(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: identity\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: xchunked\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), ERR_SYNTAX,
     "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding:\r\n\r\n"), ERR_SYNTAX, "transfer coding is not chunked"},
    {SIZED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_SYNTAX,
     "repeated framing field"},
    {SIZED(POST "Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n"), ERR_SYNTAX,
     "repeated framing field"},
    {SIZED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_SYNTAX,
     "transfer coding in HTTP/1.0"},
};

static const struct hostile responses[] = {
    {SIZED("\r\nHTTP/1.1 200 OK\r\n\r\n"), ERR_SYNTAX, "malformed status line"},
    {SIZED("HTTP/1.1 20 OK\r\n\r\n"), ERR_SYNTAX, "malformed status line"},
    {SIZED("HTTP/1.1 2000 OK\r\n\r\n"), ERR_SYNTAX, "malformed status line"},
    {SIZED("HTTP/1.1 +20 OK\r\n\r\n"), ERR_SYNTAX, "bad status"},
    {SIZED("HTTP/1.1 099 OK\r\n\r\n"), ERR_SYNTAX, "bad status"},
    {SIZED("HTTP/1.1 600 OK\r\n\r\n"), ERR_SYNTAX, "bad status"},
    {SIZED("HTTP/1.1  200 OK\r\n\r\n"), ERR_SYNTAX, "malformed status line"},
    {SIZED("HTTP/2.0 200 OK\r\n\r\n"), ERR_TYPE, "version is not HTTP/1.0 or HTTP/1.1"},
    {SIZED("HTTP/1.1 200 OK\nX: a\r\n\r\n"), ERR_SYNTAX, "LF without CR"},
    {SIZED("ICY 200 OK\r\n\r\n"), ERR_SYNTAX, "malformed status line"},
    {SIZED("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
     ERR_SYNTAX, "both Content-Length and Transfer-Encoding"},
    {SIZED("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_SYNTAX,
     "transfer coding in HTTP/1.0"},
    {SIZED("HTTP/1.1 304 No\r\nContent-Length: 1, 1\r\n\r\n"), ERR_SYNTAX, "bad Content-Length"},
};

static void test_hostile(void **state)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        check_refused(http_request_parse, &requests[i]);
    for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++)
        check_refused(http_response_parse, &responses[i]);
}

static void assert_slice(struct http_slice slice, const char *text)
{
    assert_int_equal(slice.len, strlen(text));
    assert_memory_equal(slice.at, text, slice.len);
}

static void test_request(void **state)
{
    static const char head[] = "\r\nPOST /v1/x?y=%20 HTTP/1.1\r\nHOST:a:1\r\nX-Empty:\r\n"
                               "X-Wide: \t b \xc3\xa9 c\t \r\nContent-Length: 5\r\n\r\nhello";
    struct parsed p;

    for (int way = 0; way < 2; way++) {
        assert_int_equal(
            (way ? parse_whole : parse_bytewise)(http_request_parse, head, sizeof(head) - 1, &p),
            0);
        assert_slice(p.head.method, "POST");
        assert_slice(p.head.target, "/v1/x?y=%20");
        assert_int_equal(p.head.minor, 1);
        assert_int_equal(p.head.status, 0);
        assert_int_equal(p.head.n_headers, 4);
        assert_slice(p.head.headers[0].name, "HOST");
        assert_slice(p.head.headers[0].value, "a:1");
        assert_slice(p.head.headers[1].value, "");
        assert_slice(http_header_find(&p.head, "x-wide", 0)->value, "b \xc3\xa9 c");
        assert_int_equal(p.head.length, sizeof(head) - 1 - 5);
        assert_null(p.head.why);
        assert_null(http_header_find(&p.head, "host", 1));
    }
}

static void test_response(void **state)
{
    static const struct {
        const char *head;
        unsigned status;
        const char *reason;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", 200, "OK"},
        {"HTTP/1.1 200 \r\n\r\n", 200, ""},
        {"HTTP/1.1 200\r\n\r\n", 200, ""},
        {"HTTP/1.0 404 Not  Found\xe9\r\n\r\n", 404, "Not  Found\xe9"},
        {"HTTP/1.1 599 x\r\ndate: a\r\ndate: b\r\n\r\n", 599, "x"},
    };
    struct parsed p;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(parse_whole(http_response_parse, rows[i].head, strlen(rows[i].head), &p),
                         0);
        assert_int_equal(p.head.status, rows[i].status);
        assert_slice(p.head.reason, rows[i].reason);
        assert_int_equal(p.head.length, strlen(rows[i].head));
    }
}

struct framing_row {
    const char *head;
    bool to_head;
    enum http_body kind;
    uint64_t length;
    bool keep_alive;
};

static void check_framing(parse_fn *parse, const struct framing_row *row)
{
    struct http_framing framing;
    struct parsed p;

    assert_int_equal(parse_whole(parse, row->head, strlen(row->head), &p), 0);
    assert_int_equal(http_framing_decide(&p.head, row->to_head, &framing), 0);
    if (framing.kind != row->kind || framing.length != row->length ||
        framing.keep_alive != row->keep_alive)
        fail_msg("%s gives %d, %llu, %d", row->head, framing.kind,
                 (unsigned long long)framing.length, framing.keep_alive);
}

static void test_framing(void **state)
{
    static const struct framing_row asked[] = {
        {GET HOST "\r\n", false, HTTP_BODY_NONE, 0, true},
        {GET HOST "Connection: close\r\n\r\n", false, HTTP_BODY_NONE, 0, false},
        {GET HOST "Connection: a\r\nConnection: b , CLOSE\r\n\r\n", false, HTTP_BODY_NONE, 0,
         false},
        {GET HOST "Connection: closed\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"GET / HTTP/1.0\r\n\r\n", false, HTTP_BODY_NONE, 0, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, HTTP_BODY_NONE, 0,
         false},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", false, HTTP_BODY_NONE, 0, true},
        {POST "Content-Length: 0\r\n\r\n", false, HTTP_BODY_LENGTH, 0, true},
        {POST "Content-Length:  12 \r\n\r\n", false, HTTP_BODY_LENGTH, 12, true},
        {POST "Content-Length: 9223372036854775807\r\n\r\n", false, HTTP_BODY_LENGTH,
         HTTP_LENGTH_MAX, true},
        {POST "Transfer-Encoding: CHUNKED\r\n\r\n", false, HTTP_BODY_CHUNKED, 0, true},
    };
    static const struct framing_row answered[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", false, HTTP_BODY_CLOSE, 0, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, HTTP_BODY_LENGTH, 3, true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, HTTP_BODY_LENGTH, 3, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BODY_CHUNKED, 0,
         true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 204 No\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 199 x\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BODY_NONE, 0, true},
        {"HTTP/1.1 205 x\r\n\r\n", true, HTTP_BODY_NONE, 0, true},
    };

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        check_framing(http_request_parse, &asked[i]);
    for (size_t i = 0; i < sizeof(answered) / sizeof(answered[0]); i++)
        check_framing(http_response_parse, &answered[i]);
}

static size_t fill_to(char *out, size_t size)
{
    static const char open[] = GET HOST "X: ";

    memset(out, 'x', size);
    memcpy(out, open, sizeof(open) - 1);
    memcpy(out + size - 4, "\r\n\r\n", 4);
    return size;
}

static void test_limits(void **state)
{
    static char buf[HTTP_HEAD_MAX + 1];
    struct parsed p;
    size_t used = sizeof(GET HOST) - 1;

    assert_int_equal(parse_whole(http_request_parse, buf, fill_to(buf, HTTP_HEAD_MAX), &p), 0);
    assert_int_equal(p.head.length, HTTP_HEAD_MAX);
    assert_int_equal(parse_whole(http_request_parse, buf, fill_to(buf, HTTP_HEAD_MAX + 1), &p),
                     ERR_LIMIT);
    assert_string_equal(p.head.why, "head too long");
    assert_int_equal(parse_whole(http_request_parse, buf, HTTP_HEAD_MAX, &p), ERR_LIMIT);
    assert_int_equal(parse_whole(http_request_parse, buf, HTTP_HEAD_MAX - 1, &p), ERR_MORE);

    memcpy(buf, GET HOST, used);
    for (size_t i = 1; i < HTTP_HEADERS_MAX; i++, used += 6)
        memcpy(buf + used, "X: y\r\n", 6);
    memcpy(buf + used, "\r\n", 2);
    assert_int_equal(parse_whole(http_request_parse, buf, used + 2, &p), 0);
    assert_int_equal(p.head.n_headers, HTTP_HEADERS_MAX);
    memcpy(buf + used, "X: y\r\n\r\n", 8);
    assert_int_equal(parse_whole(http_request_parse, buf, used + 8, &p), ERR_LIMIT);
    assert_string_equal(p.head.why, "too many fields");
}

/* Every proper prefix of a good head asks for more, and the offset stops a second look at old
 * bytes. */
static void test_prefixes(void **state)
{
    static const char head[] = GET HOST "X: y\r\n\r\n";
    struct parsed p;
    size_t scan = 0;

    assert_int_equal(parse_whole(http_request_parse, head, 0, &p), ERR_MORE);
    for (size_t n = 1; n < sizeof(head) - 1; n++) {
        p.head = (struct http_head){.headers = p.slots, .max_headers = HTTP_HEADERS_MAX};
        assert_int_equal(http_request_parse(head, n, &scan, &p.head), ERR_MORE);
        assert_int_equal(scan, n);
    }
    assert_int_equal(http_request_parse(head, sizeof(head) - 1, &scan, &p.head), 0);
}

/* MLNode's framework reads Host and path together as one URL; every honest host passes. */
static void test_hosts(void **state)
{
    static const char *const hosts[] = {
        "", "api", "node-1_a.example.", "127.0.0.1:8080", "[::1]:5000", "[fe80::1%25eth0]", "~:",
    };
    struct parsed p;

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char head[128];
        int len = snprintf(head, sizeof(head), GET "Host: %s\r\n\r\n", hosts[i]);

        assert_int_equal(parse_whole(http_request_parse, head, (size_t)len, &p), 0);
        assert_string_equal(p.head.why ? p.head.why : "", "");
    }
}

static void test_tokens(void **state)
{
    static const char head[] = GET HOST "TE: trailers\r\nConnection: ,, te ,\r\n\r\n";
    struct parsed p;

    assert_int_equal(parse_whole(http_request_parse, head, sizeof(head) - 1, &p), 0);
    assert_true(http_header_has_token(&p.head, "connection", "TE"));
    assert_false(http_header_has_token(&p.head, "connection", "t"));
    assert_false(http_header_has_token(&p.head, "connection", "te ,"));
    assert_false(http_header_has_token(&p.head, "absent", "te"));
    for (unsigned c = 0; c < 256; c++)
        assert_int_equal(http_is_token_byte((unsigned char)c),
                         c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", (int)c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_request),
        cmocka_unit_test(test_response), cmocka_unit_test(test_framing),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_tokens),   cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
