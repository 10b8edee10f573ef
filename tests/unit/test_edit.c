/* Heads as they go on: each row is a whole head as it comes and the bytes that leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "http/edit.h"

#define FORWARDED "X-Forwarded-For: 10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\nX-Forwarded-Proto: http\r\n"
#define JSON      "Content-Type: application/json\r\n"

static char out[HTTP_RENDER_MAX];

struct parsed {
    struct http_head head;
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_framing framing;
};

static void parse(struct parsed *p, const char *text, size_t len, bool request)
{
    size_t scan = 0;

    p->head = (struct http_head){.headers = p->slots, .max_headers = HTTP_HEADERS_MAX};
    if ((request ? http_request_parse : http_response_parse)(text, len, &scan, &p->head) != 0)
        fail_msg("%.*s\nis refused: %s", (int)len, text, p->head.why);
    if (http_framing_decide(&p->head, false, &p->framing) != 0)
        fail_msg("%.*s\nis refused: %s", (int)len, text, p->head.why);
}

static void assert_out(int len, const char *want)
{
    if (len < 0)
        fail_msg("%s instead of\n%s", err_name(len), want);
    if ((size_t)len != strlen(want) || memcmp(out, want, (size_t)len) != 0)
        fail_msg("\n%.*s\ninstead of\n\n%s", len, out, want);
}

/* ---- requests -------------------------------------------------------------------------------- */

static int render_request(const char *text, struct http_request_edit edit)
{
    struct parsed p;

    parse(&p, text, strlen(text), true);
    if (edit.target.at == NULL)
        edit.target = p.head.target;
    if (edit.peer == NULL)
        edit.peer = "10.1.2.3";
    edit.body = p.framing.kind;
    edit.length = p.framing.length;
    memset(out, 0xa5, sizeof(out));
    return http_request_render(&p.head, &edit, out);
}

static void test_requests(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"GET /a?b HTTP/1.1\r\nHost: api\r\n\r\n",
         "GET /a?b HTTP/1.1\r\nHost: api\r\n" FORWARDED "\r\n"},
        /* order, spelling and repetitions; blanks around values do not matter */
        {"GET / HTTP/1.1\r\nACCEPT:a \r\nHost:  api\r\nx-B: 1\r\nX-b:\r\nAccept: b\r\n\r\n",
         "GET / HTTP/1.1\r\nACCEPT: a\r\nHost: api\r\nx-B: 1\r\nX-b: \r\nAccept: b\r\n" FORWARDED
         "\r\n"},
        /* framing, whatever the case it came in */
        {"PUT / HTTP/1.1\r\ncontent-LENGTH: 12\r\nHost: a\r\n\r\n",
         "PUT / HTTP/1.1\r\nHost: a\r\n" FORWARDED "Content-Length: 12\r\n\r\n"},
        {"PUT / HTTP/1.1\r\ntransfer-encoding: Chunked\r\nHost: a\r\n\r\n",
         "PUT / HTTP/1.1\r\nHost: a\r\n" FORWARDED "Transfer-Encoding: chunked\r\n\r\n"},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
         "PUT / HTTP/1.1\r\nHost: a\r\n" FORWARDED "Content-Length: 9223372036854775807\r\n\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\n" FORWARDED "Content-Length: 0\r\n\r\n"},
        {"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", "PATCH / HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n"},
        /* gonka's API node: POST without a Content-Type, also without a body */
        {"POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
         "POST /s HTTP/1.1\r\nHost: a\r\n" FORWARDED JSON "Content-Length: 2\r\n\r\n"},
        {"POST /s HTTP/1.1\r\nHost: a\r\n\r\n",
         "POST /s HTTP/1.1\r\nHost: a\r\n" FORWARDED JSON "\r\n"},
        {"POST /s HTTP/1.1\r\nHost: a\r\nCONTENT-type: text/plain\r\n\r\n",
         "POST /s HTTP/1.1\r\nHost: a\r\nCONTENT-type: text/plain\r\n" FORWARDED "\r\n"},
        {"POST /s HTTP/1.1\r\nHost: a\r\nContent-Type:\r\n\r\n",
         "POST /s HTTP/1.1\r\nHost: a\r\nContent-Type: \r\n" FORWARDED "\r\n"},
        {"DELETE /s HTTP/1.1\r\nHost: a\r\n\r\n",
         "DELETE /s HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n"},
        /* of this hop alone */
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMA\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n"
         "Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nTrailer: X\r\nUser-Agent: u\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: u\r\n" FORWARDED "\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHTTP2-Settings: AAMA\r\nUpgrade: h2c\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n"},
        /* what Connection names, over all its occurrences */
        {"GET / HTTP/1.1\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nHost: a\r\n"
         "Connection: x-one,, \tX-TWO\t ,\r\nConnection: close\r\nClose: 1\r\n\r\n",
         "GET / HTTP/1.1\r\nX-Three: 3\r\nHost: a\r\n" FORWARDED "\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nConnection: x-on, x-one2, \"x-one\"\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n" FORWARDED "\r\n"},
        /* but not what the request needs whole */
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Encoding: gzip\r\n"
         "Content-Length: 3\r\nAuthorization: Bearer x\r\nX-Forwarded-Host: h\r\n"
         "Connection: host, content-type, content-encoding, content-length, authorization, "
         "x-forwarded-host, x-forwarded-for, x-real-ip, x-forwarded-proto\r\n\r\n",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Encoding: gzip\r\n"
         "Authorization: Bearer x\r\nX-Forwarded-Host: h\r\n" FORWARDED
         "Content-Length: 3\r\n\r\n"},
        /* who is asking: what the client says of others is kept, of itself is not believed */
        {"GET / HTTP/1.1\r\nx-forwarded-for: 1.1.1.1\r\nHost: a\r\nX-Real-IP: 6.6.6.6\r\n"
         "X-Forwarded-For:\r\nX-Forwarded-Proto: https\r\nX-FORWARDED-FOR: 2.2.2.2, "
         "3.3.3.3\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.1.2.3\r\n"
         "X-Real-IP: 10.1.2.3\r\nX-Forwarded-Proto: http\r\n\r\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: x\r\nExpect: 100-continue\r\n"
         "Content-Length: 1\r\n\r\n",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: x\r\nExpect: 100-continue\r\n" FORWARDED
         "Content-Length: 1\r\n\r\n"},
        /* HTTP/1.0 becomes 1.1 */
        {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n" FORWARDED "\r\n"},
        {"GET / HTTP/1.0\r\nHost: b\r\nConnection: keep-alive\r\nKeep-Alive: 3\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: b\r\n" FORWARDED "\r\n"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
         "OPTIONS * HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n"},
        /* bytes above ASCII */
        {"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\r\n\r\n",
         "GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\r\n" FORWARDED "\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_out(render_request(rows[i].in, (struct http_request_edit){0}), rows[i].out);
}

static void test_request_edits(void **state)
{
    static const char get[] = "GET /v3.0.8/a%252Fb?c HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char post[] =
        "POST / HTTP/1.0\r\nContent-Type: x\r\nEXPECT: 100-continue\r\nContent-Length: 1\r\n\r\n";
    struct parsed p;
    struct http_request_edit edit = {.target = {"/a%252Fb?c", 10}};

    assert_out(render_request(get, edit),
               "GET /a%252Fb?c HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n");
    edit.target = (struct http_slice){"", 0};
    assert_out(render_request(get, edit), "GET / HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n");
    edit = (struct http_request_edit){.drop_expect = true, .peer = "::1"};
    assert_out(render_request(post, edit),
               "POST / HTTP/1.1\r\nContent-Type: x\r\nHost: \r\nX-Forwarded-For: ::1\r\n"
               "X-Real-IP: ::1\r\nX-Forwarded-Proto: http\r\nContent-Length: 1\r\n\r\n");

    parse(&p, get, sizeof(get) - 1, true);
    edit =
        (struct http_request_edit){.target = p.head.target, .peer = "p", .body = HTTP_BODY_CLOSE};
    assert_int_equal(http_request_render(&p.head, &edit, out), ERR_TYPE);
}

/* Connection is compared with every field: its list is bounded, empty members do not count. */
static void test_connection_names(void **state)
{
    for (unsigned names = HTTP_CONNECTION_NAMES_MAX; names <= HTTP_CONNECTION_NAMES_MAX + 1;
         names++) {
        char text[1024] = "GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\nConnection: ,,";
        int len;

        for (unsigned i = 1; i < names; i++)
            memcpy(text + strlen(text), "x, ,", 5);
        memcpy(text + strlen(text), "b,, ,\r\n\r\n", 10);
        len = render_request(text, (struct http_request_edit){0});
        if (names > HTTP_CONNECTION_NAMES_MAX)
            assert_int_equal(len, ERR_LIMIT);
        else
            assert_out(len, "GET / HTTP/1.1\r\nHost: a\r\n" FORWARDED "\r\n");
    }
}

/* The longest head that is read, with as many fields as there may be, each without the blank that
 * is written. */
static void fill_head(char text[HTTP_HEAD_MAX], const char *first_line)
{
    size_t used = strlen(first_line);

    memset(text, 'x', HTTP_HEAD_MAX);
    memcpy(text, first_line, used);
    for (size_t i = 1; i < HTTP_HEADERS_MAX; i++, used += 4)
        memcpy(text + used, "a:\r\n", 4);
    memcpy(text + used, "a:", 2);
    memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
}

/* It fits after our edits, and nothing is written past the buffer. */
static void test_room(void **state)
{
    static char text[HTTP_HEAD_MAX];
    char *exact = mem_alloc(HTTP_RENDER_MAX); /* of its own, so that a sanitizer sees the end */
    struct http_request_edit edit = {.peer = "fe80:1111:2222:3333:4444:5555:6666:7777%eth-longest",
                                     .body = HTTP_BODY_LENGTH,
                                     .length = HTTP_LENGTH_MAX};
    struct http_response_edit answer = {.body = HTTP_BODY_CHUNKED, .minor = 1};
    struct parsed p;
    char peer[2048];
    int len;

    fill_head(text, "POST / HTTP/1.0\r\n");
    parse(&p, text, sizeof(text), true);
    assert_int_equal(p.head.n_headers, HTTP_HEADERS_MAX);
    len = http_request_render(&p.head, &edit, exact);
    assert_true(len > HTTP_HEAD_MAX && len <= HTTP_RENDER_MAX);

    memset(peer, '1', sizeof(peer) - 1);
    peer[sizeof(peer) - 1] = '\0';
    edit.peer = peer;
    assert_int_equal(http_request_render(&p.head, &edit, exact), ERR_LIMIT);

    fill_head(text, "HTTP/1.1 200\r\n");
    parse(&p, text, sizeof(text), false);
    assert_int_equal(p.head.n_headers, HTTP_HEADERS_MAX);
    len = http_response_render(&p.head, &answer, exact);
    assert_true(len > HTTP_HEAD_MAX && len <= HTTP_RENDER_MAX);
    mem_free(exact);
}

/* ---- responses ------------------------------------------------------------------------------- */

static void test_responses(void **state)
{
#define KEEP .minor = 1, .keep_alive = true
    static const struct {
        const char *in;
        struct http_response_edit edit;
        const char *out;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nServer: u\r\nDate: d\r\nContent-Length: 5\r\n\r\n",
         {HTTP_BODY_LENGTH, 5, KEEP},
         "HTTP/1.1 200 OK\r\nServer: u\r\nDate: d\r\nContent-Length: 5\r\n\r\n"},
        /* MLNode repeats these two, and the API node passes on all it sees */
        {"HTTP/1.1 200 OK\r\ndate: d\r\nserver: u\r\ndate: d\r\nserver: u\r\n"
         "transfer-encoding: chunked\r\nSET-cookie: a\r\nSet-Cookie: b\r\n\r\n",
         {HTTP_BODY_CHUNKED, 0, KEEP},
         "HTTP/1.1 200 OK\r\ndate: d\r\nserver: u\r\ndate: d\r\nserver: u\r\nSET-cookie: a\r\n"
         "Set-Cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
        /* the reason is the upstream's, or none */
        {"HTTP/1.0 404 Nobody  here\r\n\r\n",
         {HTTP_BODY_CHUNKED, 0, KEEP},
         "HTTP/1.1 404 Nobody  here\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"HTTP/1.1 200\r\n\r\n",
         {HTTP_BODY_CHUNKED, 0, KEEP},
         "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"},
        /* of this hop alone */
        {"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n"
         "Proxy-Connection: x\r\nUpgrade: h2c\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n",
         {HTTP_BODY_LENGTH, 0, KEEP},
         "HTTP/1.1 200 OK\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nDate: d\r\nServer: s\r\nSet-Cookie: c\r\nContent-Type: t\r\n"
         "Connection: date, server, set-cookie, content-type, content-length\r\n"
         "Content-Length: 1\r\n\r\n",
         {HTTP_BODY_LENGTH, 1, KEEP},
         "HTTP/1.1 200 OK\r\nDate: d\r\nServer: s\r\nSet-Cookie: c\r\nContent-Type: t\r\n"
         "Content-Length: 1\r\n\r\n"},
        /* what is said about the connection */
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
         {HTTP_BODY_LENGTH, 1, .minor = 1, .keep_alive = false},
         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
         {HTTP_BODY_LENGTH, 1, .minor = 0, .keep_alive = true},
         "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         {HTTP_BODY_CLOSE, 0, .minor = 0, .keep_alive = false},
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
        /* a length without a body: true of HEAD and 304, of nothing else */
        {"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 77\r\nX: 1\r\n\r\n",
         {HTTP_BODY_NONE, 0, KEEP},
         "HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 77\r\nX: 1\r\n\r\n"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
         {HTTP_BODY_NONE, 0, KEEP},
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
         {HTTP_BODY_NONE, 0, KEEP},
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         {HTTP_BODY_NONE, 0, KEEP},
         "HTTP/1.1 200 OK\r\n\r\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
         {HTTP_BODY_CHUNKED, 0, KEEP},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        /* another head follows these */
        {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
         {HTTP_BODY_NONE, 0, .minor = 1, .keep_alive = false},
         "HTTP/1.1 100 Continue\r\n\r\n"},
        {"HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n",
         {HTTP_BODY_NONE, 0, .minor = 0, .keep_alive = true},
         "HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct parsed p;

        parse(&p, rows[i].in, strlen(rows[i].in), false);
        memset(out, 0xa5, sizeof(out));
        assert_out(http_response_render(&p.head, &rows[i].edit, out), rows[i].out);
    }
}

static void test_impossible_answers(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct parsed p;
    struct http_response_edit edit = {.body = HTTP_BODY_CHUNKED, .minor = 0};

    parse(&p, text, sizeof(text) - 1, false);
    assert_int_equal(http_response_render(&p.head, &edit, out), ERR_TYPE);
    edit = (struct http_response_edit){.body = HTTP_BODY_CLOSE, KEEP};
    assert_int_equal(http_response_render(&p.head, &edit, out), ERR_TYPE);
}

/* ---- answers of our own ---------------------------------------------------------------------- */

static void check_error(struct http_error e, bool keep_alive, unsigned minor, const char *want)
{
    char *exact = mem_alloc(HTTP_ERROR_MAX);
    size_t len = http_error_render(&e, keep_alive, minor, false, exact);
    const char *body = strstr(want, "\r\n\r\n") + 4;

    if (len != strlen(want) || memcmp(exact, want, len) != 0)
        fail_msg("\n%.*s\ninstead of\n%s", (int)len, exact, want);
    /* for HEAD the same head, and no body */
    len = http_error_render(&e, keep_alive, minor, true, exact);
    assert_int_equal(len, body - want);
    assert_memory_equal(exact, want, len);
    mem_free(exact);
}

static void test_errors(void **state)
{
    check_error(
        (struct http_error){
            .status = 404, .type = "not_found_error", .code = "refused_by_policy", .message = "no"},
        true, 1,
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 92\r\n"
        "\r\n{\"error\":{\"message\":\"no\",\"type\":\"not_found_error\",\"param\":null,"
        "\"code\":\"refused_by_policy\"}}\n");
    check_error((struct http_error){.status = 503,
                                    .type = "t",
                                    .code = "c",
                                    .message = "\"\\/\n\x01\x7f\xc3\xa9",
                                    .retry_after_s = 2},
                false, 1,
                "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                "Content-Length: 95\r\nRetry-After: 2\r\nConnection: close\r\n\r\n"
                "{\"error\":{\"message\":\"\\\"\\\\/\\u000a\\u0001\\u007f\\u00c3\\u00a9\","
                "\"type\":\"t\",\"param\":null,\"code\":\"c\"}}\n");
    check_error((struct http_error){.status = 299, .type = "", .code = "", .message = ""}, true, 0,
                "HTTP/1.1 299 \r\nContent-Type: application/json\r\nContent-Length: 58\r\n"
                "Connection: keep-alive\r\n\r\n"
                "{\"error\":{\"message\":\"\",\"type\":\"\",\"param\":null,\"code\":\"\"}}\n");
}

/* However long the words are, the answer is whole: it parses, and its body is as long as it says.
 */
static void test_error_limits(void **state)
{
    static char noise[5000];
    struct http_error e = {.status = 431, .type = noise, .code = noise, .message = noise};

    e.retry_after_s = 4294967295u;
    for (int step = 0; step < 3; step++) {
        char answer[HTTP_ERROR_MAX];
        struct parsed p;
        size_t len;

        memset(noise, "a\x01\""[step], sizeof(noise) - 1);
        len = http_error_render(&e, false, 1, false, answer);
        assert_true(len < HTTP_ERROR_MAX);
        parse(&p, answer, len, false);
        assert_int_equal(p.framing.kind, HTTP_BODY_LENGTH);
        assert_int_equal(p.head.length + p.framing.length, len);
        assert_memory_equal(answer + len - 4, "\"}}\n", 4);
        assert_true(len > 900);
    }
}

static void test_phrases(void **state)
{
    assert_string_equal(http_status_phrase(502), "Bad Gateway");
    assert_string_equal(http_status_phrase(400), "Bad Request");
    assert_string_equal(http_status_phrase(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),         cmocka_unit_test(test_request_edits),
        cmocka_unit_test(test_connection_names), cmocka_unit_test(test_room),
        cmocka_unit_test(test_responses),        cmocka_unit_test(test_impossible_answers),
        cmocka_unit_test(test_errors),           cmocka_unit_test(test_error_limits),
        cmocka_unit_test(test_phrases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
