/* net/fetch.h, and with it net/http_client.h, against a server that says exactly what a row says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "http/date.h"
#include "net/fetch.h"

enum {
    LONG_MS = 20 * 1000, /* a limit that only a hanging test reaches */
    SHORT_MS = 1000,     /* one that is to be reached, after what the server says */
    BODY_MAX = 1000,
    REQUEST_MAX = 4096,
};

/* One connection: the request is read up to `until`, then `says` is sent in pieces that end at
 * '|', then the connection is closed, unless `stays`: then it is held until the other side ends. */
struct server {
    const char *until; /* NULL: the empty line */
    const char *says;
    bool stays;
    int listener;
    uint16_t port;
    pthread_t thread;
    char request[REQUEST_MAX];
};

static void read_request(struct server *s, int fd)
{
    const char *until = s->until ? s->until : "\r\n\r\n";
    size_t len = 0;

    while (strstr(s->request, until) == NULL && len < sizeof(s->request) - 1) {
        ssize_t n = recv(fd, s->request + len, sizeof(s->request) - 1 - len, 0);

        if (n <= 0)
            return;
        len += (size_t)n;
    }
}

static void say(const struct server *s, int fd)
{
    for (const char *at = s->says; at != NULL && *at;) {
        size_t len = strcspn(at, "|");

        send(fd, at, len, MSG_NOSIGNAL);
        at += len + (at[len] == '|');
    }
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    const int at_once = 1;
    int fd = accept(s->listener, NULL, NULL);
    char rest[64];

    if (fd < 0)
        return NULL;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &at_once, sizeof(at_once));
    read_request(s, fd);
    say(s, fd);
    while (s->stays && recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void listen_somewhere(struct server *s, int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(s->listener, backlog), 0);
    getsockname(s->listener, (struct sockaddr *)&at, &len);
    s->port = ntohs(at.sin_port);
}

static void start(struct server *s)
{
    listen_somewhere(s, 4);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static struct fetch_request request_to(const struct server *s, unsigned timeout_ms)
{
    return (struct fetch_request){.host = "127.0.0.1",
                                  .port = s->port,
                                  .path = "/x",
                                  .timeout_ms = timeout_ms,
                                  .body_max = BODY_MAX};
}

#define HEAD "HTTP/1.1 200 OK\r\n"
#define TEN  "0123456789"
#define KEPT "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" TEN

/* ---- answers --------------------------------------------------------------------------------- */

static const struct row {
    const char *says;
    unsigned status; /* 0: a failure */
    const char *body;
    enum reason why;
    const char *error; /* part of the sentence */
    bool stays;
} rows[] = {
    {KEPT, 200, TEN, REASON_NONE, NULL, true},
    {KEPT, 200, TEN, REASON_NONE, NULL, false},
    {"HTTP/1.1 2|00 OK\r\nConte|nt-Length: 10\r|\n\r\n0123|456789", 200, TEN, REASON_NONE, NULL,
     true},
    {HEAD "Content-Length: 0\r\n\r\n", 200, "", REASON_NONE, NULL, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", REASON_NONE, NULL, true},
    {"HTTP/1.1 100 Continue\r\n\r\n|" KEPT, 200, TEN, REASON_NONE, NULL, true},
    {"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, "no", REASON_NONE, NULL, true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n|6\r\n4567|89\r\n0\r\n\r\n", 200, TEN,
     REASON_NONE, NULL, true},
    {HEAD "\r\n0123|456789", 200, TEN, REASON_NONE, NULL, false},
    {"HTTP/1.0 200 OK\r\n\r\n" TEN, 200, TEN, REASON_NONE, NULL, false},

    {"", 0, NULL, REASON_PEER_CLOSED, "before the answer was complete", false},
    {"HTTP/1.1 200 OK\r\nConte", 0, NULL, REASON_PEER_CLOSED, "before the answer", false},
    {HEAD "Content-Length: 11\r\n\r\n" TEN, 0, NULL, REASON_PEER_CLOSED, "before", false},
    {HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n", 0, NULL, REASON_PEER_CLOSED, "before",
     false},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, NULL, REASON_UPSTREAM_PROTOCOL, "not HTTP", true},
    {"HTTP/1.1 200 OK\nServer: x\n\n", 0, NULL, REASON_UPSTREAM_PROTOCOL, "LF without CR", true},
    {HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 0, NULL,
     REASON_UPSTREAM_PROTOCOL, "not HTTP", true},
    {HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, NULL, REASON_UPSTREAM_PROTOCOL,
     "chunk coding", true},
    {KEPT "more", 0, NULL, REASON_UPSTREAM_PROTOCOL, "more bytes", true},
    {HEAD "Content-Length: 1001\r\n\r\n", 0, NULL, REASON_LIMIT, "longer than 1000", true},
};

static void test_answers(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        struct server s = {.says = row->says, .stays = row->stays};
        struct fetch_answer a;
        char error[FETCH_ERROR_MAX] = "";
        struct fetch_request r;
        int rc;

        start(&s);
        r = request_to(&s, LONG_MS);
        rc = fetch(&r, &a, error, sizeof(error));
        stop(&s);
        if (rc != (row->status ? 0 : ERR_IO) || a.status != row->status || a.why != row->why)
            fail_msg("row %zu: %d, status %u, %s, %s", i, rc, a.status, reason_name(a.why), error);
        if (row->body != NULL)
            assert_string_equal(a.body, row->body);
        else
            assert_null(a.body);
        if (row->error != NULL && strstr(error, row->error) == NULL)
            fail_msg("row %zu: %s", i, error);
        fetch_release(&a);
    }
}

/* Without a length the limit is met while the body arrives, chunked or until the end. */
static void test_a_body_that_does_not_end(void **state)
{
    static const char *const heads[] = {HEAD "\r\n",
                                        HEAD "Transfer-Encoding: chunked\r\n\r\nffffff\r\n"};
    char says[8 * 1024];

    for (size_t i = 0; i < 2; i++) {
        struct server s = {.says = says, .stays = true};
        struct fetch_answer a;
        char error[FETCH_ERROR_MAX];
        struct fetch_request r;
        size_t len = (size_t)snprintf(says, sizeof(says), "%s", heads[i]);

        memset(says + len, 'x', BODY_MAX + 1);
        says[len + BODY_MAX + 1] = '\0';
        start(&s);
        r = request_to(&s, LONG_MS);
        assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
        assert_int_equal(a.why, REASON_LIMIT);
        assert_null(a.body);
        stop(&s);
    }
}

static void test_a_body_of_just_the_limit(void **state)
{
    char says[4 * 1024];
    struct server s = {.says = says, .stays = true};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX];
    struct fetch_request r;
    size_t len = (size_t)snprintf(says, sizeof(says), HEAD "Content-Length: %d\r\n\r\n", BODY_MAX);

    memset(says + len, 'x', BODY_MAX);
    says[len + BODY_MAX] = '\0';
    start(&s);
    r = request_to(&s, LONG_MS);
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), 0);
    assert_int_equal(a.body_len, BODY_MAX);
    fetch_release(&a);
    stop(&s);
}

static void test_a_head_that_does_not_end(void **state)
{
    char says[16 * 1024];
    struct server s = {.says = says, .stays = true};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX];
    struct fetch_request r;
    size_t len = (size_t)snprintf(says, sizeof(says), HEAD "X: ");

    memset(says + len, 'x', sizeof(says) - len - 1);
    says[sizeof(says) - 1] = '\0';
    start(&s);
    r = request_to(&s, LONG_MS);
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
    assert_int_equal(a.why, REASON_UPSTREAM_PROTOCOL);
    assert_non_null(strstr(error, "too long"));
    stop(&s);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void test_time_runs_out(void **state)
{
    static const struct {
        const char *says;
        const char *error;
    } stages[] = {
        {"", "no answer within 1000 ms"},
        {"HTTP/1.1 200 OK\r\nConte", "no answer within 1000 ms"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "no answer within 1000 ms"},
        {HEAD "Content-Length: 11\r\n\r\n" TEN, "no complete answer within 1000 ms"},
        {HEAD "\r\n" TEN, "no complete answer within 1000 ms"},
    };

    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        struct server s = {.says = stages[i].says, .stays = true};
        struct fetch_answer a;
        char error[FETCH_ERROR_MAX] = "";
        struct fetch_request r;

        start(&s);
        r = request_to(&s, SHORT_MS);
        assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
        assert_int_equal(a.why, REASON_UPSTREAM_TIMEOUT);
        assert_string_equal(error, stages[i].error);
        assert_non_null(strstr(a.peer, "127.0.0.1:"));
        stop(&s);
    }
}

/* A listener that nobody accepts from, its queue filled: the next SYN is not answered. */
static void test_time_runs_out_while_connecting(void **state)
{
    struct server s = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX] = "";
    struct fetch_request r;
    int fds[8];

    listen_somewhere(&s, 0);
    at.sin_port = htons(s.port);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fds[i], (struct sockaddr *)&at, sizeof(at));
    }
    r = request_to(&s, SHORT_MS);
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
    assert_int_equal(a.why, REASON_CONNECT_TIMEOUT);
    assert_string_equal(a.peer, "");
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    close(s.listener);
}

/* ---- nobody there ---------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    struct server s = {0};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX] = "";
    struct fetch_request r;

    listen_somewhere(&s, 0);
    close(s.listener);
    r = request_to(&s, LONG_MS);
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
    assert_int_equal(a.why, REASON_CONNECT_REFUSED);
    assert_non_null(strstr(error, "127.0.0.1:"));
    r.host = "no-such-name.invalid";
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_IO);
    assert_int_equal(a.why, REASON_RESOLVE_FAILED);
    fetch_release(&a);
}

static void test_no_descriptor_is_free(void **state)
{
    struct rlimit before;
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX] = "";
    struct fetch_request r = {
        .host = "127.0.0.1", .port = 1, .path = "/", .timeout_ms = LONG_MS, .body_max = BODY_MAX};
    int rc;

    getrlimit(RLIMIT_NOFILE, &before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max});
    rc = fetch(&r, &a, error, sizeof(error));
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(rc, ERR_IO);
    assert_int_equal(a.why, REASON_IO_ERROR);
    assert_string_equal(error, "too many open files");
}

/* ---- what is sent ---------------------------------------------------------------------------- */

static void test_the_request(void **state)
{
    struct server s = {.says =
                           HEAD "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
                       .until = "}",
                       .stays = true};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX] = "";
    struct fetch_request r;
    char expected[512];

    start(&s);
    r = request_to(&s, LONG_MS);
    r.json = "{\"a\":1}";
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), 0);
    snprintf(expected, sizeof(expected),
             "POST /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
             s.port);
    stop(&s);
    assert_string_equal(s.request, expected);
    assert_int_equal(a.date_s, 784111777);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", s.port);
    assert_string_equal(a.peer, expected);
    fetch_release(&a);
}

static void test_a_head_has_no_body(void **state)
{
    struct server s = {.says = HEAD "Content-Length: 5000\r\n\r\n", .stays = true};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX] = "";
    struct fetch_request r;

    start(&s);
    r = request_to(&s, LONG_MS);
    r.method = "HEAD";
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), 0);
    assert_int_equal(a.body_len, 0);
    fetch_release(&a);
    stop(&s);
}

static void test_words_that_no_head_may_hold(void **state)
{
    static const char *const paths[] = {"", "x", "/a b", "/a\r\nHost: b", "/\x7f", "/\xc3\xa4"};
    struct fetch_answer a;
    char error[FETCH_ERROR_MAX];
    struct fetch_request r = {.host = "127.0.0.1", .port = 1, .timeout_ms = 1, .body_max = 1};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        r.path = paths[i];
        assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_SYNTAX);
    }
    r.path = "/";
    r.method = "GET /x";
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_SYNTAX);
    r.method = "";
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_SYNTAX);
    r.method = NULL;
    r.body_max = 0;
    assert_int_equal(fetch(&r, &a, error, sizeof(error)), ERR_SYNTAX);
}

/* ---- dates ----------------------------------------------------------------------------------- */

static bool parse(const char *text, int64_t *out)
{
    return http_date_parse((struct http_slice){.at = text, .len = strlen(text)}, out);
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_s;
    } good[] = {
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
        {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
    };
    static const char *const bad[] = {
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sux, 06 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
    };
    int64_t got;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(parse(good[i].text, &got));
        assert_int_equal(got, good[i].unix_s);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(parse(bad[i], &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_body_that_does_not_end),
        cmocka_unit_test(test_a_body_of_just_the_limit),
        cmocka_unit_test(test_a_head_that_does_not_end),
        cmocka_unit_test(test_time_runs_out),
        cmocka_unit_test(test_time_runs_out_while_connecting),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_descriptor_is_free),
        cmocka_unit_test(test_the_request),
        cmocka_unit_test(test_a_head_has_no_body),
        cmocka_unit_test(test_words_that_no_head_may_hold),
        cmocka_unit_test(test_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
