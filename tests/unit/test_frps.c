#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/client_config.h"
#include "config/frps.h"
#include "config/problem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET       "hunter2-Xyzzy"

/* What keeps a file from being warned about. */
#define QUIET "tls_only = true\nallow_ports = 1-65535\nproxy_bind_addr = 0.0.0.0\n"

static int parse(const char *text, struct server_config *cfg, struct problems *problems)
{
    problems_init(problems);
    return frps_parse("f", text, strlen(text), NULL, NULL, cfg, problems);
}

static void test_frp_defaults_and_warnings(void **state)
{
    struct problems problems;
    struct server_config cfg;

    assert_int_equal(parse("[common]\n", &cfg, &problems), 0);
    assert_string_equal(cfg.bind_addr, "0.0.0.0");
    assert_int_equal(cfg.bind_port, 7000);
    assert_null(cfg.proxy_bind);
    assert_string_equal(cfg.token, "");
    assert_int_equal(cfg.n_allow_ports, 0);
    assert_true(server_config_port_allowed(&cfg, 1));
    assert_true(server_config_port_allowed(&cfg, 65535));
    assert_false(server_config_port_allowed(&cfg, 0));
    assert_int_equal(cfg.max_ports_per_client, 0);
    assert_int_equal(cfg.max_pool_count, 5);
    assert_int_equal(cfg.user_conn_timeout_s, 10);
    assert_int_equal(cfg.heartbeat_timeout_s, -1);
    assert_int_equal(cfg.mux_keepalive_s, 30);
    assert_int_equal(cfg.login_max_skew_s, 0);
    assert_int_equal(cfg.scopes, 0);
    assert_true(cfg.allow_plain);
    assert_true(cfg.detailed_errors);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(problems.count, 3);
    assert_non_null(strstr(problems.items[0].rule, "tls_only"));
    assert_non_null(strstr(problems.items[1].rule, "allow_ports"));
    assert_non_null(strstr(problems.items[2].rule, "proxy_bind_addr"));
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_every_key(void **state)
{
    struct problems problems;
    struct server_config cfg;

    assert_int_equal(
        parse("[common]\nbind_addr = ::\nbind_port = 7200\nproxy_bind_addr = 10.0.0.1\n"
              "token = ' x '\nallow_ports = 2000-3000,3001\nmax_ports_per_client = 2\n"
              "max_pool_count = 50\nuser_conn_timeout = 5\nheartbeat_timeout = 90\n"
              "tcp_mux_keepalive_interval = 60\ntls_only = true\ntls_cert_file = c.pem\n"
              "tls_key_file = /k.pem\nauthenticate_heartbeats = on\n"
              "authenticate_new_work_conns = 1\ndetailed_errors_to_client = false\n"
              "log_level = warn\ntcp_mux = 1\nvhost_http_port = 0\n",
              &cfg, &problems),
        0);
    assert_int_equal(problems.count, 0);
    assert_string_equal(cfg.bind_addr, "::");
    assert_int_equal(cfg.bind_port, 7200);
    assert_string_equal(cfg.proxy_bind, "10.0.0.1");
    assert_string_equal(cfg.token, " x ");
    assert_int_equal(cfg.n_allow_ports, 2);
    assert_true(server_config_port_allowed(&cfg, 2000));
    assert_true(server_config_port_allowed(&cfg, 3000));
    assert_true(server_config_port_allowed(&cfg, 3001));
    assert_false(server_config_port_allowed(&cfg, 1999));
    assert_false(server_config_port_allowed(&cfg, 3002));
    assert_int_equal(cfg.max_ports_per_client, 2);
    assert_int_equal(cfg.max_pool_count, 50);
    assert_int_equal(cfg.user_conn_timeout_s, 5);
    assert_int_equal(cfg.heartbeat_timeout_s, 90);
    assert_int_equal(cfg.mux_keepalive_s, 60);
    assert_false(cfg.allow_plain);
    assert_string_equal(cfg.tls_cert_file, "c.pem");
    assert_string_equal(cfg.tls_key_file, "/k.pem");
    assert_int_equal(cfg.scopes, SCOPE_HEARTBEATS | SCOPE_NEW_WORK_CONNS);
    assert_false(cfg.detailed_errors);
    assert_int_equal(cfg.log_level, LOG_WARN);
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_client_ca_demands_tls(void **state)
{
    struct problems problems;
    struct server_config cfg;

    assert_int_equal(parse("[common]\n" QUIET "tls_only = false\ntls_trusted_ca_file = ca.pem\n",
                           &cfg, &problems),
                     0);
    assert_string_equal(cfg.tls_client_ca, "ca.pem");
    assert_false(cfg.allow_plain);
    server_config_free(&cfg);
}

static const struct {
    const char *text;
    const char *where;
} refused[] = {
    {"bind_port = 08\n", "f:5: bind_port"},
    {"bind_port = 65536\n", "f:5: bind_port"},
    {"bind_addr = here\n", "f:5: bind_addr"},
    {"bind_addr = [::]\n", "f:5: bind_addr"},
    {"proxy_bind_addr = 1.2.3\n", "f:5: proxy_bind_addr"},
    {"allow_ports = 3000-2000\n", "f:5: allow_ports"},
    {"allow_ports = all\n", "f:5: allow_ports"},
    {"allow_ports = 0-65535\n", "f:5: allow_ports"},
    {"max_ports_per_client = -1\n", "f:5: max_ports_per_client"},
    {"max_pool_count = x\n", "f:5: max_pool_count"},
    {"user_conn_timeout = -1\n", "f:5: user_conn_timeout"},
    {"heartbeat_timeout = 1m\n", "f:5: heartbeat_timeout"},
    {"tcp_mux_keepalive_interval = 1e9\n", "f:5: tcp_mux_keepalive_interval"},
    {"tls_only = maybe\n", "f:5: tls_only"},
    {"tls_cert_file = c\n", "f"},
    {"tls_key_file = k\n", "f"},
    {"authenticate_heartbeats = 2\n", "f:5: authenticate_heartbeats"},
    {"detailed_errors_to_client = -\n", "f:5: detailed_errors_to_client"},
    {"log_level = 7\n", "f:5: log_level"},
    {"tcp_mux = false\n", "f:5: tcp_mux"},
    {"authentication_method = oidc\n", "f:5: authentication_method"},
    {"kcp_bind_port = 7000\n", "f:5: kcp_bind_port"},
    {"quic_bind_port = 7000\n", "f:5: quic_bind_port"},
    {"vhost_http_port = 80\n", "f:5: vhost_http_port"},
    {"vhost_https_port = 443\n", "f:5: vhost_https_port"},
    {"tcpmux_httpconnect_port = 1337\n", "f:5: tcpmux_httpconnect_port"},
    {"[plugin.manager]\naddr = 127.0.0.1:9000\n", "f:5: plugin.manager"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct problems problems;
        struct server_config cfg;
        char *text = mem_printf("[common]\n" QUIET "%s", refused[i].text);

        if (parse(text, &cfg, &problems) == 0)
            fail_msg("taken: %s", refused[i].text);
        assert_int_equal(problems.errors, 1);
        if (problems_find(&problems, refused[i].where) == NULL)
            fail_msg("%s is not named for %s", refused[i].where, refused[i].text);
        assert_null(cfg.token);
        problems_free(&problems);
        mem_free(text);
    }
}

static void test_harmless_keys_are_one_warning(void **state)
{
    struct problems problems;
    struct server_config cfg;

    assert_int_equal(parse("[common]\n" QUIET "dashboard_port = 7500\ndashboard_pwd = " SECRET "\n"
                           "log_file = x\nenable_prometheus = true\ntcp_keepalive = 1\n"
                           "[other]\nk = v\n",
                           &cfg, &problems),
                     0);
    assert_int_equal(problems.count, 2);
    assert_non_null(strstr(problems.items[0].rule, "enable_prometheus opens nothing here"));
    assert_non_null(strstr(problems.items[1].rule,
                           "dashboard_port, dashboard_pwd, log_file, tcp_keepalive, k"));
    assert_null(strstr(problems.items[1].rule, SECRET));
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_long_lists_of_ignored_keys_are_cut(void **state)
{
    struct problems problems;
    struct server_config cfg;
    char *text = mem_strdup("[common]\n" QUIET);

    for (int i = 0; i < 100; i++) {
        char *longer = mem_printf("%skey_number_%d = 1\n", text, i);

        mem_free(text);
        text = longer;
    }
    assert_int_equal(parse(text, &cfg, &problems), 0);
    assert_non_null(strstr(problems.items[0].rule, "100 not served"));
    assert_true(strlen(problems.items[0].rule) < 700);
    server_config_free(&cfg);
    problems_free(&problems);
    mem_free(text);
}

static void test_flag_defaults(void **state)
{
    struct server_config cfg;

    server_config_defaults(&cfg);
    assert_string_equal(cfg.bind_addr, "0.0.0.0");
    assert_int_equal(cfg.bind_port, 7000);
    assert_string_equal(cfg.proxy_bind, "127.0.0.1");
    assert_false(cfg.allow_plain);
    assert_int_equal(cfg.login_max_skew_s, 900);
    assert_int_equal(cfg.max_pool_count, 5);
    assert_int_equal(cfg.memory_limit, (size_t)512 << 20);
    assert_true(server_config_port_allowed(&cfg, 10001));
    assert_true(server_config_port_allowed(&cfg, 19999));
    assert_true(server_config_port_allowed(&cfg, 20001));
    assert_true(server_config_port_allowed(&cfg, 29999));
    assert_false(server_config_port_allowed(&cfg, 10000));
    assert_false(server_config_port_allowed(&cfg, 20000));
    assert_false(server_config_port_allowed(&cfg, 30000));
    assert_false(server_config_port_allowed(&cfg, 22));
    server_config_free(&cfg);
}

static const struct {
    const char *flag;
    const char *value;
    bool good;
} flags[] = {
    {"bind", "0.0.0.0:7000", true},
    {"bind", ":7000", true},
    {"bind", "[::1]:7000", true},
    {"bind", "7000", false},
    {"bind", "host:7000", false},
    {"bind", ":0", false},
    {"bind", ":08", false},
    {"bind", "::1:7000", false},
    {"bind", NULL, false},
    {"proxy-bind", "127.0.0.1", true},
    {"proxy-bind", "::1", true},
    {"proxy-bind", "docker0", true},
    {"proxy-bind", "eth0.100", true},
    {"proxy-bind", "172.16.0.0/12", true},
    {"proxy-bind", "fd00::/8", true},
    {"proxy-bind", "0.0.0.0/0", true},
    {"proxy-bind", "172.16.0.0/33", false},
    {"proxy-bind", "172.16.0.0/08", false},
    {"proxy-bind", "fd00::/129", false},
    {"proxy-bind", "eth0/8", false},
    {"proxy-bind", "1.2.3.4.5", false},
    {"proxy-bind", "interface-name-too-long", false},
    {"proxy-bind", "a b", false},
    {"proxy-bind", "", false},
    {"allow-ports", "10001-19999,3000", true},
    {"allow-ports", "", false},
    {"allow-ports", "70000", false},
    {"max-ports-per-client", "0", true},
    {"max-ports-per-client", "65535", true},
    {"max-ports-per-client", "65536", false},
    {"max-pool-count", "0", true},
    {"max-pool-count", "-1", false},
    {"token-file", "/nonexistent/token", false},
    {"token-file", "", false},
    {"tls-cert", "cert.pem", true},
    {"tls-cert", "", false},
    {"tls-key", "/k", true},
    {"tls-client-ca", "/ca", true},
    {"allow-plain", NULL, true},
    {"allow-plain", "yes", false},
    {"state-dir", "/var/lib/mlgate", true},
    {"state-dir", "", false},
    {"user-conn-timeout", "1", true},
    {"user-conn-timeout", "0", false},
    {"heartbeat-timeout", "-1", true},
    {"heartbeat-timeout", "90", true},
    {"heartbeat-timeout", "-2", false},
    {"mux-keepalive", "1", true},
    {"mux-keepalive", "0", false},
    {"login-max-skew", "0", true},
    {"login-max-skew", "900", true},
    {"login-max-skew", "-1", false},
    {"memory-limit", "1G", true},
    {"memory-limit", "1", false},
    {"log-level", "debug", true},
    {"log-level", "5", false},
    {"log-format", "json", true},
    {"log-format", "xml", false},
    {"metrics", "9180", true},
    {"metrics", "127.0.0.1:9180", true},
    {"metrics", "off", true},
    {"metrics", "localhost:9180", false},
    {"tls-certificate", "x", false},
    {"", "x", false},
};

static void test_flags(void **state)
{
    for (size_t i = 0; i < COUNT(flags); i++) {
        struct problems problems;
        struct server_config cfg;

        problems_init(&problems);
        server_config_defaults(&cfg);
        if (server_config_set(&cfg, flags[i].flag, flags[i].value, &problems) != flags[i].good)
            fail_msg("--%s %s", flags[i].flag, flags[i].value);
        assert_int_equal(problems.errors, flags[i].good ? 0 : 1);
        if (!flags[i].good)
            assert_memory_equal(problems.items[0].where, "--", 2);
        server_config_free(&cfg);
        problems_free(&problems);
    }
}

static void test_every_flag_is_tested(void **state)
{
    for (size_t i = 0; i < server_n_options; i++) {
        bool seen = false;

        for (size_t k = 0; k < COUNT(flags); k++)
            seen = seen || strcmp(flags[k].flag, server_options[i].flag) == 0;
        if (!seen)
            fail_msg("--%s has no test", server_options[i].flag);
    }
}

static void test_flags_change_what_they_say(void **state)
{
    struct problems problems;
    struct server_config cfg;

    problems_init(&problems);
    server_config_defaults(&cfg);
    assert_true(server_config_set(&cfg, "bind", "[::1]:7443", &problems));
    assert_true(server_config_set(&cfg, "allow-ports", "5", &problems));
    assert_true(server_config_set(&cfg, "allow-ports", "6-7", &problems));
    assert_true(server_config_set(&cfg, "allow-plain", NULL, &problems));
    assert_true(server_config_set(&cfg, "login-max-skew", "0", &problems));
    assert_false(server_config_set(&cfg, "login-max-skew", "x", &problems));
    assert_string_equal(cfg.bind_addr, "::1");
    assert_int_equal(cfg.bind_port, 7443);
    assert_int_equal(cfg.n_allow_ports, 1);
    assert_int_equal(cfg.allow_ports[0].last, 7);
    assert_true(cfg.allow_plain);
    assert_int_equal(cfg.login_max_skew_s, 0);
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_environment(void **state)
{
    char *list[] = {"MLGATE_BIND=:7100",     "MLGATE_ALLOW_PLAIN=off", "MLGATE_STATE_DIR=",
                    "MLGATE_TLS_CERT=c.pem", "SECRET_FRP_TOKEN=' t'",  NULL};
    char *bad[] = {"MLGATE_BIND=x", "MLGATE_ALLOW_PORTS=x", "SECRET_FRP_TOKEN=" SECRET "\nx", NULL};
    char *both[] = {"SECRET_FRP_TOKEN=a", "SECRET_FRP_TOKEN_FILE=/dev/null", NULL};
    struct problems problems;
    struct server_config cfg;

    problems_init(&problems);
    server_config_defaults(&cfg);
    assert_true(server_config_env(&cfg, list, &problems));
    assert_int_equal(cfg.bind_port, 7100);
    assert_string_equal(cfg.token, " t");
    assert_false(cfg.allow_plain);
    assert_null(cfg.state_dir);
    assert_int_equal(problems.errors, 0);
    /* A certificate without its key. */
    assert_false(server_config_check(&cfg, false, &problems));
    assert_non_null(problems_find(&problems, "--tls-key"));
    problems_free(&problems);

    assert_false(server_config_env(&cfg, bad, &problems));
    assert_int_equal(problems.errors, 3);
    assert_null(problems_find(&problems, "SECRET_FRP_TOKEN")->value);
    problems_free(&problems);
    assert_false(server_config_env(&cfg, both, &problems));
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_a_token_is_demanded_by_flags_only(void **state)
{
    struct problems problems;
    struct server_config cfg;

    problems_init(&problems);
    server_config_defaults(&cfg);
    assert_false(server_config_check(&cfg, false, &problems));
    assert_int_equal(problems.errors, 1);
    problems_free(&problems);
    assert_true(server_config_check(&cfg, true, &problems));
    assert_int_equal(problems.count, 1);
    assert_true(problems.items[0].warning);
    problems_free(&problems);
    /* one that was named and cannot be read is not missing as well */
    assert_false(server_config_set(&cfg, "token-file", "/nowhere/token", &problems));
    assert_true(server_config_check(&cfg, false, &problems));
    assert_int_equal(problems.count, 1);
    server_config_free(&cfg);
    problems_free(&problems);
}

/* What a flag or a variable settles is no longer left open by the file. */
static void test_settled_elsewhere(void **state)
{
    char path[] = "/tmp/mlgate-frps-XXXXXX";
    int fd = mkstemp(path);
    char *environment[] = {"MLGATE_ALLOW_PORTS=10001-19999", NULL};
    char *words[] = {"-c", path, "--proxy-bind", "127.0.0.1", NULL};
    struct problems problems;
    struct server_config cfg;
    const char *stray;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[common]\ntoken = x\n", 19), 19);
    close(fd);
    problems_init(&problems);
    assert_int_equal(server_config_load(environment, words, &cfg, &stray, &problems), 0);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].setting, "tls_only");
    server_config_free(&cfg);
    problems_free(&problems);
    words[2] = NULL;
    problems_init(&problems);
    assert_int_equal(server_config_load(environment, words, &cfg, &stray, &problems), 0);
    assert_int_equal(problems.count, 2);
    assert_string_equal(problems.items[1].setting, "proxy_bind_addr");
    server_config_free(&cfg);
    problems_free(&problems);
    unlink(path);
}

static void test_token_file(void **state)
{
    char path[] = "/tmp/mlgate-test-XXXXXX";
    struct problems problems;
    struct server_config cfg;
    int fd = mkstemp(path);

    assert_int_equal(write(fd, SECRET "\n", sizeof(SECRET)), sizeof(SECRET));
    close(fd);
    problems_init(&problems);
    server_config_defaults(&cfg);
    assert_true(server_config_set(&cfg, "token-file", path, &problems));
    assert_string_equal(cfg.token, SECRET);
    assert_true(server_config_check(&cfg, false, &problems));
    assert_int_equal(problems.count, 0);
    unlink(path);
    server_config_free(&cfg);
    problems_free(&problems);
}

static void test_help(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    server_help(out, true);
    fclose(out);
    for (size_t i = 0; i < server_n_options; i++) {
        assert_non_null(strstr(text, server_options[i].flag));
        assert_non_null(strstr(text, server_options[i].env));
        assert_non_null(strstr(text, server_options[i].help));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frp_defaults_and_warnings),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_client_ca_demands_tls),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_harmless_keys_are_one_warning),
        cmocka_unit_test(test_long_lists_of_ignored_keys_are_cut),
        cmocka_unit_test(test_flag_defaults),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_every_flag_is_tested),
        cmocka_unit_test(test_flags_change_what_they_say),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_a_token_is_demanded_by_flags_only),
        cmocka_unit_test(test_settled_elsewhere),
        cmocka_unit_test(test_token_file),
        cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
