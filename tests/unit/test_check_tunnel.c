/* From what happened on the way to an FRP server to what is said of it. */
#include "findings.h"

#include <stdio.h>

#include "check/judge_tunnel.h"

#define PIN        "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E="
#define OTHER      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define MANY(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { NOW_S = 1800000000, DAY_S = 24 * 3600 };

static const char *const pins[] = {PIN};
static const char *const wrong[] = {OTHER};

/* A server at which everything is as it should be. */
static struct tunnel_facts good(void)
{
    struct tunnel_facts f = {
        .server = "frp.example:7000",
        .pins = pins,
        .n_pins = 1,
        .now_s = NOW_S,
        .stage = TUNNEL_DONE,
        .addresses = "203.0.113.5",
        .tls = true,
        .peer = {.version = "TLSv1.3",
                 .certificate = {.pin = PIN,
                                 .not_before = NOW_S - DAY_S,
                                 .not_after = NOW_S + 400 * (int64_t)DAY_S}},
        .peer_address = "203.0.113.5:7000",
        .mlgate = true,
        .version = "0.70.1",
        .round_trip_us = 12345,
    };

    return f;
}

static struct tunnel_facts failed(enum tunnel_stage stage, enum reason why, const char *text)
{
    struct tunnel_facts f = good();

    f.stage = stage;
    f.why = why;
    f.tls = stage >= TUNNEL_LOGIN;
    f.round_trip_us = 0;
    snprintf(f.text, sizeof(f.text), "%s", text);
    return f;
}

static void expect(const struct tunnel_facts *f, const struct expected *want, size_t n)
{
    struct findings list = {0};

    judge_tunnel(&list, f);
    for (size_t i = 0; i < list.count; i++)
        assert_string_equal(list.items[i].subject, f->server);
    expect_findings(&list, want, n);
}

static void test_all_is_well(void **state)
{
    const struct expected want[] = {
        {CHECK_DNS, VERDICT_OK, "203.0.113.5", NULL},
        {CHECK_TCP, VERDICT_OK, "203.0.113.5:7000", NULL},
        {CHECK_TLS, VERDICT_OK, "TLSv1.3", NULL},
        {CHECK_TLS_PIN, VERDICT_OK, "pinned", NULL},
        {CHECK_TLS_EXPIRY, VERDICT_OK, "400 days", NULL},
        {CHECK_CLOCK_SERVER, VERDICT_OK, NULL, NULL},
        {CHECK_LOGIN, VERDICT_OK, "mlgate, frp level 0.70.1; no port was claimed", NULL},
        {CHECK_ROUND_TRIP, VERDICT_OK, "12.345 ms", NULL},
    };
    struct tunnel_facts f = good();

    expect(&f, want, MANY(want));
}

/* What failed first, and that all behind it names it. */
static void test_the_way_ends(void **state)
{
    static const struct {
        enum tunnel_stage stage;
        enum reason why;
        const char *text;
        enum check_id id;
        const char *found;
        const char *remedy;
    } rows[] = {
        {TUNNEL_RESOLVING, REASON_RESOLVE_FAILED, "unknown node or service", CHECK_DNS,
         "unknown node", "FRP_SERVER"},
        {TUNNEL_RESOLVING, REASON_NONE, "", CHECK_DNS, "no answer", "DNS"},
        {TUNNEL_DIALLING, REASON_RESOLVE_FAILED, "gone", CHECK_DNS, "gone", "DNS"},
        {TUNNEL_DIALLING, REASON_CONNECT_REFUSED, "refused", CHECK_TCP, "refused",
         "nothing listens"},
        {TUNNEL_DIALLING, REASON_CONNECT_TIMEOUT, "timeout", CHECK_TCP, "timeout", "firewall"},
        {TUNNEL_DIALLING, REASON_CONNECT_FAILED, "no route", CHECK_TCP, "no route", "is down"},
        {TUNNEL_DIALLING, REASON_NONE, "", CHECK_TCP, "no answer", "firewall"},
        {TUNNEL_DIALLING, REASON_TLS_FAILED, "wrong version number", CHECK_TLS, "wrong version",
         "bind_port"},
        {TUNNEL_DIALLING, REASON_PEER_CLOSED, "closed", CHECK_TLS, "closed", "bind_port"},
        {TUNNEL_DIALLING, REASON_PEER_RESET, "reset", CHECK_TLS, "reset", "bind_port"},
    };
    static const enum check_id order[] = {CHECK_DNS,     CHECK_TCP,        CHECK_TLS,
                                          CHECK_TLS_PIN, CHECK_TLS_EXPIRY, CHECK_CLOCK_SERVER,
                                          CHECK_LOGIN,   CHECK_ROUND_TRIP};

    for (size_t i = 0; i < MANY(rows); i++) {
        struct tunnel_facts f = failed(rows[i].stage, rows[i].why, rows[i].text);
        struct expected want[MANY(order)];
        bool before = true;

        for (size_t k = 0; k < MANY(order); k++) {
            want[k] = (struct expected){order[k], before ? VERDICT_OK : VERDICT_SKIP,
                                        before ? NULL : check_id_text(rows[i].id), NULL};
            if (order[k] != rows[i].id)
                continue;
            want[k] = (struct expected){order[k], VERDICT_FAIL, rows[i].found, rows[i].remedy};
            before = false;
        }
        expect(&f, want, MANY(order));
    }
}

static void test_logins_that_fail(void **state)
{
    static const struct {
        enum reason why;
        const char *text;
        const char *found;
        const char *remedy;
    } rows[] = {
        {REASON_AUTH_FAILED, "token in login doesn't match", "token in login", "SECRET_FRP_TOKEN"},
        {REASON_LOGIN_REFUSED, "the server refused the login: closed today", "closed today", "log"},
        {REASON_TLS_FAILED, "tlsv13 alert certificate required", "after the handshake",
         "tls_trusted_ca_file"},
        {REASON_LOGIN_TIMEOUT, "", "does not answer the login", "bind_port"},
        {REASON_NONE, "", "does not answer the login", "bind_port"},
        {REASON_PEER_CLOSED, "the server closed", "no frp server", "tcp_mux"},
        {REASON_PROTOCOL, "not a mux", "no frp server", "bind_port"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct tunnel_facts f = failed(TUNNEL_LOGIN, rows[i].why, rows[i].text);
        const struct expected want[] = {
            {CHECK_DNS, VERDICT_OK, NULL, NULL},
            {CHECK_TCP, VERDICT_OK, NULL, NULL},
            {CHECK_TLS, VERDICT_OK, NULL, NULL},
            {CHECK_TLS_PIN, VERDICT_OK, NULL, NULL},
            {CHECK_TLS_EXPIRY, VERDICT_OK, NULL, NULL},
            {CHECK_CLOCK_SERVER, VERDICT_SKIP, "login", NULL},
            {CHECK_LOGIN, VERDICT_FAIL, rows[i].found, rows[i].remedy},
            {CHECK_ROUND_TRIP, VERDICT_SKIP, "login", NULL},
        };

        expect(&f, want, MANY(want));
    }
}

/* The server's sentence about our clock is the clock's finding, and the login's cause. */
static void test_a_wrong_clock(void **state)
{
    const struct expected want[] = {
        {CHECK_DNS, VERDICT_OK, NULL, NULL},
        {CHECK_TCP, VERDICT_OK, NULL, NULL},
        {CHECK_TLS, VERDICT_OK, NULL, NULL},
        {CHECK_TLS_PIN, VERDICT_OK, NULL, NULL},
        {CHECK_TLS_EXPIRY, VERDICT_OK, NULL, NULL},
        {CHECK_CLOCK_SERVER, VERDICT_FAIL, "7200 s behind", "clock.api"},
        {CHECK_LOGIN, VERDICT_SKIP, "clock.server", NULL},
        {CHECK_ROUND_TRIP, VERDICT_SKIP, "login", NULL},
    };
    struct tunnel_facts f =
        failed(TUNNEL_LOGIN, REASON_LOGIN_REFUSED,
               "the server refused the login: the login's clock is 7200 s behind the server's");

    expect(&f, want, MANY(want));
}

static void test_stock_server(void **state)
{
    struct tunnel_facts f = good();
    struct findings list = {0};

    f.mlgate = false;
    f.n_pins = 0;
    judge_tunnel(&list, &f);
    assert_int_equal(list.items[3].id, CHECK_TLS_PIN);
    assert_non_null(strstr(list.items[3].remedy, "tls_cert_file"));
    assert_null(strstr(list.items[3].remedy, "prints"));
    assert_int_equal(list.items[5].id, CHECK_CLOCK_SERVER);
    assert_int_equal(list.items[5].verdict, VERDICT_SKIP);
    assert_non_null(strstr(list.items[6].found, "frps 0.70.1"));
    findings_free(&list);
}

/* Whether a login may be sent, and what is said of whom we met. */
static void test_trust(void **state)
{
    static const struct {
        const char *const *pins;
        size_t n_pins;
        const char *ca_file;
        const char *ca_error;
        const char *untrusted;
        bool trusts;
        enum check_id id; /* of the first finding about trust */
        enum verdict verdict;
        const char *found;
        const char *remedy;
    } rows[] = {
        {NULL, 0, NULL, NULL, "", true, CHECK_TLS_PIN, VERDICT_WARN, "nobody verifies", PIN},
        {pins, 1, NULL, NULL, "", true, CHECK_TLS_PIN, VERDICT_OK, "pinned", NULL},
        {wrong, 1, NULL, NULL, "", false, CHECK_TLS_PIN, VERDICT_FAIL, PIN, "in between"},
        {NULL, 0, "ca.pem", NULL, "", true, CHECK_TLS_CA, VERDICT_OK, "ca.pem", NULL},
        {NULL, 0, "ca.pem", NULL, "self-signed", false, CHECK_TLS_CA, VERDICT_FAIL, "self-signed",
         "FRP_TLS_PIN"},
        {NULL, 0, "ca.pem", "cannot be read", "", false, CHECK_TLS_CA, VERDICT_FAIL,
         "cannot be read", "PEM"},
        {wrong, 1, "ca.pem", NULL, "", false, CHECK_TLS_PIN, VERDICT_FAIL, PIN, NULL},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct tunnel_facts f = good();
        struct findings list = {0};
        const struct expected want = {rows[i].id, rows[i].verdict, rows[i].found, rows[i].remedy};

        f.pins = rows[i].pins;
        f.n_pins = rows[i].n_pins;
        f.ca_file = rows[i].ca_file;
        f.ca_error = rows[i].ca_error;
        snprintf(f.peer.untrusted, sizeof(f.peer.untrusted), "%s", rows[i].untrusted);
        assert_int_equal(tunnel_trusts(&f), rows[i].trusts);
        if (!rows[i].trusts) {
            f.stage = TUNNEL_DIALLING;
            f.why = REASON_TLS_UNTRUSTED;
            f.stopped = true;
        }
        judge_tunnel(&list, &f);
        if (!is_expected(&list.items[3], &want))
            print_findings(&list);
        assert_true(is_expected(&list.items[3], &want));
        for (size_t k = 0; k < list.count; k++)
            if (list.items[k].id == CHECK_LOGIN)
                assert_int_equal(list.items[k].verdict, rows[i].trusts ? VERDICT_OK : VERDICT_SKIP);
        findings_free(&list);
    }
}

/* Pin and CA at once: the skipped login names the one that refused. */
static void test_which_refused(void **state)
{
    struct tunnel_facts f = good();
    struct findings list = {0};

    f.ca_file = "ca.pem";
    snprintf(f.peer.untrusted, sizeof(f.peer.untrusted), "expired");
    f.stage = TUNNEL_DIALLING;
    f.stopped = true;
    judge_tunnel(&list, &f);
    assert_int_equal(list.items[7].id, CHECK_LOGIN);
    assert_non_null(strstr(list.items[7].found, "tls.ca"));
    findings_free(&list);
}

static void test_same_server_twice(void **state)
{
    struct tunnel_facts f[] = {good(), good(), good(), good()};
    const struct expected want = {CHECK_TLS_PIN, VERDICT_WARN, "as frp.example:7000", "FRP_SERVER"};
    struct findings list = {0};

    f[1].tls = false;
    snprintf(f[2].peer.certificate.pin, sizeof(f[2].peer.certificate.pin), "%s", OTHER);
    f[3].server = "198.51.100.9:443";
    judge_same_servers(&list, f, MANY(f));
    assert_string_equal(list.items[0].subject, "198.51.100.9:443");
    expect_findings(&list, &want, 1);
}

static void test_expiry(void **state)
{
    static const struct {
        int64_t from_days;
        int64_t to_days;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {-1, 31, VERDICT_OK, "31 days"},
        {-1, 29, VERDICT_WARN, "ends in 29 days"},
        {-9, -3, VERDICT_WARN, "3 days ago"},
        {1, 400, VERDICT_WARN, "not valid yet"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct tunnel_facts f = good();
        struct findings list = {0};

        f.peer.certificate.not_before = NOW_S + rows[i].from_days * DAY_S;
        f.peer.certificate.not_after = NOW_S + rows[i].to_days * DAY_S;
        judge_tunnel(&list, &f);
        assert_int_equal(list.items[4].id, CHECK_TLS_EXPIRY);
        assert_int_equal(list.items[4].verdict, rows[i].verdict);
        assert_non_null(strstr(list.items[4].found, rows[i].found));
        findings_free(&list);
    }
}

static void test_ping_unanswered(void **state)
{
    struct tunnel_facts f = failed(TUNNEL_PING, REASON_PING_TIMEOUT, "");
    struct findings list = {0};

    judge_tunnel(&list, &f);
    assert_int_equal(list.items[6].verdict, VERDICT_OK);
    assert_int_equal(list.items[7].id, CHECK_ROUND_TRIP);
    assert_int_equal(list.items[7].verdict, VERDICT_FAIL);
    findings_free(&list);
}

/* Whatever a server calls itself, a terminal sees printable text. */
static void test_escaped(void **state)
{
    struct findings list = {0};

    finding_add(&list, CHECK_LOGIN, "a\nb", VERDICT_FAIL, "said %s", "\033[31mred\n\xff");
    finding_remedy(&list, "%s", "\r");
    assert_string_equal(list.items[0].subject, "a\\x0ab");
    assert_string_equal(list.items[0].found, "said \\x1b[31mred\\x0a\\xff");
    assert_string_equal(list.items[0].remedy, "\\x0d");
    assert_int_equal(findings_status(&list), 1);
    findings_free(&list);
    assert_int_equal(findings_status(&list), 0);
}

static void test_subject_is_said_once(void **state)
{
    struct findings list = {0};

    finding_add(&list, CHECK_TCP, "a:1", VERDICT_FAIL, "a:1: connect-timeout");
    finding_add(&list, CHECK_TCP, "a:1", VERDICT_FAIL, "a:12: connect-timeout");
    finding_add(&list, CHECK_TCP, NULL, VERDICT_FAIL, "a:1: connect-timeout");
    assert_string_equal(list.items[0].found, "connect-timeout");
    assert_string_equal(list.items[1].found, "a:12: connect-timeout");
    assert_string_equal(list.items[2].found, "a:1: connect-timeout");
    findings_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),      cmocka_unit_test(test_the_way_ends),
        cmocka_unit_test(test_logins_that_fail), cmocka_unit_test(test_a_wrong_clock),
        cmocka_unit_test(test_stock_server),     cmocka_unit_test(test_trust),
        cmocka_unit_test(test_which_refused),    cmocka_unit_test(test_same_server_twice),
        cmocka_unit_test(test_expiry),           cmocka_unit_test(test_ping_unanswered),
        cmocka_unit_test(test_escaped),          cmocka_unit_test(test_subject_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
