/* Which ports are open to whom, in the container and on the network node. */
#include "findings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check/judge_node.h"
#include "check/judge_ports.h"
#include "check/known_port.h"
#include "check/look_node.h"
#include "check/look_ports.h"

#define MANY(rows) (sizeof(rows) / sizeof((rows)[0]))

/* ---- the container --------------------------------------------------------------------------- */

static void test_known_ports(void **state)
{
    for (size_t i = 1; i < n_known_ports; i++) /* the search depends on it */
        assert_true(known_ports[i - 1].port < known_ports[i].port);
    for (size_t i = 0; i < n_known_ports; i++) {
        uint16_t port = known_ports[i].port;

        assert_true((port > 10000 && port < 20000) || (port > 20000 && port < 30000));
        assert_ptr_equal(known_port_use(port), known_ports[i].use);
    }
    assert_null(known_port_use(10001));
    assert_null(known_port_use(0));
}

static void test_client_id(void **state)
{
    const struct expected zabbix[] = {{CHECK_PORTS_CLIENT_ID, VERDICT_WARN, "10050", "CLIENT_ID"}};
    struct findings list = {0};

    judge_client_id(&list, "6656", 6656);
    expect_finding(&list, CHECK_PORTS_CLIENT_ID, VERDICT_WARN, "26656", "another CLIENT_ID");
    judge_client_id(&list, "0050", 50);
    expect_findings(&list, zabbix, 1);
    judge_client_id(&list, "0042", 42);
    expect_finding(&list, CHECK_PORTS_CLIENT_ID, VERDICT_OK, "10042 and 20042", NULL);
}

static void test_published(void **state)
{
    static const struct port_range inner[] = {{5000, 5128}, {8080, 8081}};
    static char *const environ_list[] = {"VAST_TCP_PORT_8080=40001",
                                         "CONTAINER_API_KEY=very-secret",
                                         "RUNPOD_TCP_PORT_22=40002",
                                         "RUNPOD_TCP_PORT_5001=40003",
                                         "VAST_TCP_PORT_=1",
                                         "VAST_TCP_PORT_70000=1",
                                         "VAST_TCP_PORT_80x=1",
                                         "XVAST_TCP_PORT_8081=1",
                                         NULL};
    static char *const quiet[] = {"RUNPOD_TCP_PORT_22=40002", NULL};
    static char *const none[] = {NULL};
    const struct audit open = {.ports = {22, 8080}, .count = 2};
    const struct expected want[] = {
        {CHECK_PORTS_PUBLISHED, VERDICT_FAIL, "VAST_TCP_PORT_8080", "rent"},
        {CHECK_PORTS_PUBLISHED, VERDICT_WARN, "RUNPOD_TCP_PORT_5001", "rent"}};
    const struct expected unknown[] = {
        {CHECK_PORTS_PUBLISHED, VERDICT_WARN, "VAST_TCP_PORT_8080", "rent"},
        {CHECK_PORTS_PUBLISHED, VERDICT_WARN, "RUNPOD_TCP_PORT_5001", "rent"}};
    struct findings list = {0};
    struct published p;

    published_find(&p, environ_list);
    assert_int_equal(p.count, 3);
    judge_published(&list, &p, inner, 2, &open);
    for (size_t i = 0; i < list.count; i++) {
        assert_null(strstr(list.items[i].found, "secret"));
        assert_null(strstr(list.items[i].found, "4000")); /* names, no values */
    }
    expect_findings(&list, want, 2);
    judge_published(&list, &p, inner, 2, NULL);
    expect_findings(&list, unknown, 2);
    published_find(&p, quiet);
    judge_published(&list, &p, inner, 2, &open);
    expect_finding(&list, CHECK_PORTS_PUBLISHED, VERDICT_OK, "none of MLNode's", NULL);
    published_find(&p, none);
    judge_published(&list, &p, inner, 2, &open);
    expect_finding(&list, CHECK_PORTS_PUBLISHED, VERDICT_OK, "no variable", NULL);
}

static void test_listening(void **state)
{
    struct findings list = {0};

    judge_listening(&list, "22 (sshd), 8888");
    expect_finding(&list, CHECK_PORTS_LISTENING, VERDICT_WARN, "22 (sshd), 8888", "127.0.0.1");
    judge_listening(&list, "");
    expect_finding(&list, CHECK_PORTS_LISTENING, VERDICT_OK, NULL, NULL);
    judge_listening(&list, NULL);
    expect_finding(&list, CHECK_PORTS_LISTENING, VERDICT_SKIP, "/proc/net/tcp", NULL);
}

/* Our own listener, by the name of this process. */
static void test_names_of_listeners(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct audit audit = {.count = 1, .unsaid = 3};
    struct port_table ports;
    char out[LOOK_LISTENERS_MAX];
    char want[64];

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    audit.ports[0] = ntohs(at.sin_port);
    snprintf(want, sizeof(want), "%u (test_check_port) and 3 more", audit.ports[0]);
    port_table_read(&ports, "/proc");
    assert_string_equal(look_listeners(&ports, &audit, out), want);
    port_table_free(&ports);
    close(fd);
    port_table_read(&ports, "/proc");
    snprintf(want, sizeof(want), "%u and 3 more", audit.ports[0]);
    assert_string_equal(look_listeners(&ports, &audit, out), want);
    audit = (struct audit){.count = 0};
    assert_string_equal(look_listeners(&ports, &audit, out), "");
    port_table_free(&ports);
}

/* Whom a listener keeps from which address. */
static void test_who_holds(void **state)
{
    static struct listening items[] = {
        {SOCKETS_TCP4, {127, 0, 0, 1}, 8081, 0},
        {SOCKETS_TCP4, {0}, 5050, 0},
        {SOCKETS_TCP6, {0}, 7000, 0},
        {SOCKETS_TCP6, {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 7}, 7001, 0},
        {SOCKETS_TCP6, {[15] = 1}, 7002, 0},
    };
    const struct port_table table = {.proc = "/proc", .items = items, .count = MANY(items)};
    const struct port_table unreadable = {.proc = "/proc", .unreadable = true};
    static const struct {
        const char *host;
        uint16_t port;
        bool held;
    } rows[] = {
        {"127.0.0.1", 8081, true},  {"127.0.0.2", 8081, false}, {"0.0.0.0", 8081, true},
        {"::", 8081, true},         {"127.0.0.1", 8082, false}, {"127.0.0.1", 5050, true},
        {"192.0.2.1", 5050, true},  {"127.0.0.1", 7000, true},  {"::1", 7000, true},
        {"10.0.0.7", 7001, true},   {"10.0.0.8", 7001, false},  {"::1", 7002, true},
        {"127.0.0.1", 7002, false}, {"some.host", 7002, true},
    };
    struct holder_facts f = {.held = false};

    for (size_t i = 0; i < MANY(rows); i++) {
        f = (struct holder_facts){.address = rows[i].host};
        look_holder(&table, rows[i].host, rows[i].port, &f);
        assert_int_equal(f.held, rows[i].held);
        assert_false(f.unreadable || f.ours || f.name[0] != '\0');
    }
    look_holder(&unreadable, "127.0.0.1", 1, &f);
    assert_true(f.unreadable);
}

/* From where a listener can be reached, the widest of all on its port. */
static void test_reach(void **state)
{
    static struct listening items[] = {
        {SOCKETS_TCP4, {127, 0, 0, 1}, 9100, 0},   {SOCKETS_TCP4, {10, 0, 0, 1}, 9200, 0},
        {SOCKETS_TCP4, {127, 0, 0, 1}, 9200, 0},   {SOCKETS_TCP6, {0}, 26657, 0},
        {SOCKETS_TCP4, {203, 0, 113, 5}, 5050, 0}, {SOCKETS_TCP6, {[15] = 1}, 8080, 0},
    };
    const struct port_table table = {.items = items, .count = MANY(items)};
    static const struct {
        uint16_t port;
        bool public_here;
        enum reach reach;
    } rows[] = {
        {9100, true, REACH_LOOPBACK}, {9200, true, REACH_PRIVATE}, {26657, true, REACH_PUBLIC},
        {26657, false, REACH_ANY},    {5050, false, REACH_PUBLIC}, {8080, true, REACH_LOOPBACK},
        {9000, true, REACH_NOTHING},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct exposed_facts f = {.port = rows[i].port};

        look_exposed(&table, rows[i].public_here, &f);
        assert_int_equal(f.listens, rows[i].reach);
    }
}

static void test_gateway_listen(void **state)
{
    static const struct {
        struct holder_facts f;
        bool instance;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {{.held = false}, false, VERDICT_OK, "is free"},
        {{.held = false}, true, VERDICT_WARN, "is free although"},
        {{.held = true, .ours = true, .name = "mlgate-worker"}, true, VERDICT_OK, "by mlgate"},
        {{.held = true, .ours = true, .name = "mlgate"}, false, VERDICT_OK, "by mlgate"},
        {{.held = true, .name = "nginx"}, true, VERDICT_FAIL, "held by nginx"},
        {{.held = true, .name = "nginx"}, false, VERDICT_FAIL, "held by nginx"},
        {{.held = true}, true, VERDICT_OK, "by mlgate"},
        {{.held = true}, false, VERDICT_SKIP, "only root may see"},
        {{.unreadable = true}, true, VERDICT_SKIP, "cannot be read"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct holder_facts f = rows[i].f;
        struct findings list = {0};

        f.variable = "GATEWAY_LISTEN";
        f.address = "127.0.0.1:8081";
        judge_gateway_listen(&list, &f, rows[i].instance);
        expect_finding(&list, CHECK_GATEWAY_LISTEN, rows[i].verdict, rows[i].found, NULL);
    }
}

/* ---- the network node ------------------------------------------------------------------------ */

static void test_server_bind(void **state)
{
    static const struct {
        struct holder_facts f;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {{.held = false}, VERDICT_WARN, "no server runs here"},
        {{.held = true, .ours = true, .name = "mlgate", .pid = 7},
         VERDICT_OK,
         "mlgate (process 7)"},
        {{.held = true, .name = "frps", .pid = 8}, VERDICT_OK, "frps (process 8)"},
        {{.held = true, .name = "docker-proxy", .pid = 8}, VERDICT_OK, "published by a container"},
        {{.held = true, .name = "nginx", .pid = 9}, VERDICT_FAIL, "nginx (process 9)"},
        {{.held = true}, VERDICT_WARN, "only root"},
        {{.unreadable = true}, VERDICT_SKIP, "cannot be read"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct holder_facts f = rows[i].f;
        struct findings list = {0};

        f.address = ":7000";
        judge_server_bind(&list, &f);
        expect_finding(&list, CHECK_SERVER_BIND, rows[i].verdict, rows[i].found, NULL);
    }
}

static void test_proxy_bind(void **state)
{
    static const struct {
        struct proxy_bind_facts f;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {{.asked = "127.0.0.1", .address = "127.0.0.1", .reach = REACH_LOOPBACK},
         VERDICT_OK,
         "loopback"},
        {{.asked = "172.18.0.0/16", .address = "172.18.0.2", .reach = REACH_PRIVATE},
         VERDICT_OK,
         "172.18.0.2, which is private"},
        {{.asked = "eth0",
          .address = "203.0.113.5",
          .public = "203.0.113.5",
          .reach = REACH_PUBLIC},
         VERDICT_FAIL,
         "203.0.113.5 is a public address"},
        {{.asked = "0.0.0.0", .address = "0.0.0.0", .public = "203.0.113.5", .reach = REACH_PUBLIC},
         VERDICT_FAIL,
         "every address, also the public 203.0.113.5"},
        {{.asked = "0.0.0.0", .address = "0.0.0.0", .reach = REACH_ANY},
         VERDICT_WARN,
         "cannot be seen from here"},
        {{.asked = "eth9", .error = "no such interface"}, VERDICT_FAIL, "no such interface"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct findings list = {0};

        judge_proxy_bind(&list, &rows[i].f);
        expect_finding(&list, CHECK_SERVER_PROXY_BIND, rows[i].verdict, rows[i].found,
                       rows[i].verdict == VERDICT_OK ? NULL : "proxy-bind");
    }
}

static void test_allow_ports(void **state)
{
    static const struct port_range usual[] = {{10001, 19999}, {20001, 29999}};
    static const struct port_range low[] = {{10001, 19999}, {9000, 9300}};
    const struct holder_facts chain = {.held = true, .name = "inferenced"};
    const struct holder_facts server = {.held = true, .ours = true, .name = "mlgate"};
    const struct holder_facts nobody = {.held = false};
    struct findings list = {0};

    judge_allow_ports(&list, usual, 2);
    expect_finding(&list, CHECK_SERVER_PORTS, VERDICT_OK, "6656", NULL);
    judge_allow_ports(&list, low, 2);
    expect_finding(&list, CHECK_SERVER_PORTS, VERDICT_WARN, "no CLIENT_ID", "10001-19999");
    judge_allow_ports(&list, NULL, 0);
    expect_finding(&list, CHECK_SERVER_PORTS, VERDICT_WARN, "every port", "10001-19999");
    judge_taken_port(&list, &server, 26657);
    judge_taken_port(&list, &nobody, 26657);
    assert_int_equal(list.count, 0);
    judge_taken_port(&list, &chain, 26657);
    expect_finding(&list, CHECK_SERVER_PORTS, VERDICT_WARN, "inferenced", "CLIENT_ID 6657");
}

static void test_server_tls(void **state)
{
    enum { NOW_S = 1800000000, DAY_S = 86400 };
    static const struct {
        struct server_tls_facts f;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {{.cert_file = "/s/server.crt",
          .here = true,
          .key_mode = 0100600,
          .certificate = {.pin = "PIN", .not_after = NOW_S + 100 * DAY_S}},
         VERDICT_OK,
         "FRP_TLS_PIN=PIN"},
        {{.cert_file = "/s/server.crt",
          .here = true,
          .key_mode = 0100640,
          .certificate = {.not_after = NOW_S + 100 * DAY_S}},
         VERDICT_WARN,
         "mode 0640"},
        {{.cert_file = "/c.pem",
          .given = true,
          .here = true,
          .key_mode = 0100600,
          .certificate = {.not_after = NOW_S + 3 * DAY_S}},
         VERDICT_WARN,
         "ends in 3 days"},
        {{.cert_file = "/c.pem",
          .given = true,
          .here = true,
          .key_mode = 0100600,
          .certificate = {.not_after = NOW_S - 3 * DAY_S}},
         VERDICT_FAIL,
         "ended 3 days ago"},
        {{.cert_file = "/c.pem", .given = true, .error = "does not belong"},
         VERDICT_FAIL,
         "does not belong"},
        {{.cert_file = "/s/server.crt"}, VERDICT_OK, "not there yet"},
        {{.cert_file = NULL}, VERDICT_WARN, "at each start"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct server_tls_facts f = rows[i].f;
        struct findings list = {0};

        f.now_s = NOW_S;
        judge_server_tls(&list, &f);
        expect_finding(&list, CHECK_SERVER_TLS, rows[i].verdict, rows[i].found, NULL);
    }
}

static void test_state_dir(void **state)
{
    const struct directory_facts good = {
        .path = "/s", .exists = true, .is_directory = true, .writable = true};
    const struct directory_facts none = {.path = NULL};
    const struct directory_facts closed = {
        .path = "/s", .exists = true, .is_directory = true, .error = EACCES};
    const struct directory_facts file = {.path = "/s", .exists = true, .writable = true};
    struct findings list = {0};

    judge_state_dir(&list, &good, false);
    expect_finding(&list, CHECK_SERVER_STATE_DIR, VERDICT_OK, "can be written", NULL);
    judge_state_dir(&list, &none, false);
    expect_finding(&list, CHECK_SERVER_STATE_DIR, VERDICT_SKIP, "none", NULL);
    judge_state_dir(&list, &none, true);
    expect_finding(&list, CHECK_SERVER_STATE_DIR, VERDICT_OK, "not needed", NULL);
    judge_state_dir(&list, &closed, false);
    expect_finding(&list, CHECK_SERVER_STATE_DIR, VERDICT_FAIL, "Permission denied", "--state-dir");
    judge_state_dir(&list, &file, false);
    expect_finding(&list, CHECK_SERVER_STATE_DIR, VERDICT_FAIL, "no directory", "--state-dir");
}

static void test_token(void **state)
{
    static const struct {
        struct token_file_facts f;
        enum verdict verdict;
        const char *found;
    } files[] = {
        {{.path = NULL}, VERDICT_SKIP, "SECRET_FRP_TOKEN"},
        {{.path = "/t", .mode = 0100600}, VERDICT_OK, "only its owner, user 0"},
        {{.path = "/t", .mode = 0100400, .owner = 5}, VERDICT_OK, "user 5"},
        {{.path = "/t", .mode = 0100640}, VERDICT_WARN, "its group may"},
        {{.path = "/t", .mode = 0100644}, VERDICT_FAIL, "everybody may"},
        {{.path = "/t", .error = ENOENT}, VERDICT_FAIL, "No such file"},
    };
    static const struct {
        const char *token;
        enum verdict verdict;
    } tokens[] = {
        {"", VERDICT_FAIL},
        {"secret", VERDICT_WARN},
        {"1234567890123456789", VERDICT_WARN},
        {"1234567890123456789012345", VERDICT_OK},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", VERDICT_WARN},
        {"abababababababababababababababababababab", VERDICT_WARN},
        {"3f9c1d2e8b7a6054", VERDICT_WARN},
        {"3f9c1d2e8b7a60543f9c", VERDICT_OK},
        {"gX7-kQ2_pL9!4w", VERDICT_OK},
        {"gX7-kQ2_p", VERDICT_WARN},
    };
    struct findings list = {0};

    for (size_t i = 0; i < MANY(files); i++) {
        judge_token_file(&list, &files[i].f);
        expect_finding(&list, CHECK_TOKEN_FILE, files[i].verdict, files[i].found, NULL);
    }
    for (size_t i = 0; i < MANY(tokens); i++) {
        judge_token_strength(&list, tokens[i].token);
        assert_true(tokens[i].token[0] == '\0' ||
                    strstr(list.items[0].found, tokens[i].token) == NULL);
        expect_finding(&list, CHECK_TOKEN_STRENGTH, tokens[i].verdict, NULL, NULL);
    }
}

static void test_exposed(void **state)
{
    static const struct {
        struct exposed_facts f;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {{.listens = REACH_NOTHING}, VERDICT_OK, "nothing listens"},
        {{.listens = REACH_LOOPBACK}, VERDICT_OK, "loopback"},
        {{.listens = REACH_PRIVATE}, VERDICT_OK, "private"},
        {{.listens = REACH_ANY}, VERDICT_WARN, "is not known"},
        {{.listens = REACH_PUBLIC, .public_known = true}, VERDICT_WARN, "firewall seems to stand"},
        {{.listens = REACH_PUBLIC, .public_known = true, .answered = "203.0.113.5"},
         VERDICT_FAIL,
         "public 203.0.113.5"},
        /* what Docker publishes without a process of its own */
        {{.listens = REACH_NOTHING, .public_known = true, .answered = "203.0.113.5"},
         VERDICT_FAIL,
         "public 203.0.113.5"},
        {{.unreadable = true}, VERDICT_SKIP, "cannot be read"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct exposed_facts f = rows[i].f;
        struct findings list = {0};

        f.port = 9200;
        f.what = "the administration";
        judge_exposed(&list, &f);
        expect_finding(&list, CHECK_EXPOSED, rows[i].verdict, rows[i].found,
                       rows[i].verdict == VERDICT_FAIL ? "127.0.0.1:9200:9200" : NULL);
    }
}

static void test_api_and_clock(void **state)
{
    const struct tcp_facts open = {.host = "api", .port = 9100, .open = true};
    const struct tcp_facts closed = {.host = "api", .port = 9200, .text = "connect-refused"};
    const struct clock_facts kept = {.known = true, .synchronised = true, .error_us = 5000};
    const struct clock_facts loose = {.known = true, .synchronised = true, .error_us = 16000000};
    const struct clock_facts free_running = {.known = true, .synchronised = false};
    const struct clock_facts unknown = {.known = false};
    struct findings list = {0};

    judge_api_port(&list, CHECK_API_CALLBACK, &open);
    expect_finding(&list, CHECK_API_CALLBACK, VERDICT_OK, NULL, NULL);
    judge_api_port(&list, CHECK_API_ADMIN, &closed);
    expect_finding(&list, CHECK_API_ADMIN, VERDICT_WARN, "connect-refused", "--api HOST");
    judge_clock_ntp(&list, &kept);
    expect_finding(&list, CHECK_CLOCK_NTP, VERDICT_OK, "5 ms", NULL);
    judge_clock_ntp(&list, &loose);
    expect_finding(&list, CHECK_CLOCK_NTP, VERDICT_WARN, NULL, "NTP");
    judge_clock_ntp(&list, &free_running);
    expect_finding(&list, CHECK_CLOCK_NTP, VERDICT_WARN, NULL, "NTP");
    judge_clock_ntp(&list, &unknown);
    expect_finding(&list, CHECK_CLOCK_NTP, VERDICT_SKIP, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_ports),
        cmocka_unit_test(test_client_id),
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_listening),
        cmocka_unit_test(test_names_of_listeners),
        cmocka_unit_test(test_who_holds),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_gateway_listen),
        cmocka_unit_test(test_server_bind),
        cmocka_unit_test(test_proxy_bind),
        cmocka_unit_test(test_allow_ports),
        cmocka_unit_test(test_server_tls),
        cmocka_unit_test(test_state_dir),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_exposed),
        cmocka_unit_test(test_api_and_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
