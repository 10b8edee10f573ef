#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "env_fixture.h"
#include "gateway/policy.h"

#define PIN_A "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E="
#define PIN_B "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void test_defaults(void **state)
{
    struct fixture f;
    const struct env_config *e = &f.env;

    fixture_init(&f);
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_int_equal(f.problems.count, 0);
    assert_string_equal(e->api_node.host, "203.0.113.7");
    assert_int_equal(e->api_node.port, 8000);
    assert_int_equal(e->n_servers, 1);
    assert_string_equal(e->servers[0].host, "frp.example.org");
    assert_int_equal(e->servers[0].port, 7000);
    assert_string_equal(e->token, SECRET);
    assert_string_equal(e->client_id, "0042");
    assert_int_equal(e->client_id_number, 42);
    assert_string_equal(e->node_id, "0042");
    assert_int_equal(e->tensor_parallel_size, 1);
    assert_string_equal(e->model_name, "Qwen/Qwen3-32B-FP8");
    assert_string_equal(e->frp_config_dir, "/etc/frp");
    assert_string_equal(e->hf_home, "/data/hf-cache");
    assert_int_equal(e->host_uid, 1000);
    assert_int_equal(e->host_gid, 1001);
    assert_string_equal(e->log_dir, "/tmp/logs");
    assert_false(e->ubuntu_test);
    assert_null(e->frp_tls_ca_file);
    assert_int_equal(e->n_frp_tls_pins, 0);
    assert_int_equal(e->frp_dead_after_s, 30);
    assert_int_equal(e->memory_limit, (size_t)256 << 20);
    assert_int_equal(e->log_level, LOG_INFO);
    assert_string_equal(e->mlnode_management.host, "127.0.0.1");
    assert_int_equal(e->mlnode_management.port, 8080);
    assert_int_equal(e->mlnode_inference.port, 5000);
    assert_string_equal(e->gateway_listen.host, "127.0.0.1");
    assert_int_equal(e->gateway_listen.port, 8081);
    assert_string_equal(e->gateway_listen_poc.host, "127.0.0.1");
    assert_int_equal(e->gateway_listen_poc.port, 5050);
    assert_int_equal(e->gateway_policy, POLICY_GUARD);
    assert_int_equal(e->engine_direct, 0);
    assert_int_equal(e->engine_first_port, 5001);
    assert_int_equal(e->engine_last_port, 5128);
    assert_int_equal(e->stop_grace_s, 6);
    assert_null(e->mlnode_command);
    fixture_free(&f);
}

/* name, value, whether it is taken. Every variable has its valid, invalid and boundary values. */
static const struct {
    const char *name;
    const char *value;
    bool good;
} values[] = {
    {"API_NODE", "[2001:db8::1]:9000", true},
    {"API_NODE", "[::1]:1", true},
    {"API_NODE", "node-1.example.org:65535", true},
    {"API_NODE", "network_node:9000", true},
    {"API_NODE", "example.org.:9000", true},
    {"API_NODE", "a:1", true},
    {"API_NODE", "", false},
    {"API_NODE", "host", false},
    {"API_NODE", "host:", false},
    {"API_NODE", ":9000", false},
    {"API_NODE", "host:0", false},
    {"API_NODE", "host:08", false},
    {"API_NODE", "host:0x50", false},
    {"API_NODE", "host:+80", false},
    {"API_NODE", "host:-1", false},
    {"API_NODE", "host:65536", false},
    {"API_NODE", "host:18446744073709551617", false},
    {"API_NODE", "host:80 ", false},
    {"API_NODE", " host:80", false},
    {"API_NODE", "ho st:80", false},
    {"API_NODE", "host:80\r", false},
    {"API_NODE", "http://host:80", false},
    {"API_NODE", "2001:db8::1:9000", false},
    {"API_NODE", "[2001:db8::1]", false},
    {"API_NODE", "[2001:db8::g]:9000", false},
    {"API_NODE", "[host]:9000", false},
    {"API_NODE", "[]:9000", false},
    {"API_NODE", "[:9000", false},
    {"API_NODE", "256.1.1.1:9000", false},
    {"API_NODE", "1.2.3:9000", false},
    {"API_NODE", "-host:9000", false},
    {"API_NODE", "host-:9000", false},
    {"API_NODE", "a..b:9000", false},
    {"API_NODE", ".a:9000", false},
    {"API_NODE", "\"host:9000\"", false},
    {"API_NODE", "h\xc3\xb6st:9000", false},
    {"API_NODE", "host:9000,other:9000", false},

    {"FRP_SERVER", "a:7000,b:7000", true},
    {"FRP_SERVER", "a:7000, [::1]:7000", true},
    {"FRP_SERVER", "a:1,a:2", true},
    {"FRP_SERVER", "a:7000,", false},
    {"FRP_SERVER", ",a:7000", false},
    {"FRP_SERVER", "a:7000,b", false},
    {"FRP_SERVER", "a:7000,a:7000", false},
    {"FRP_SERVER", "a:08", false},
    {"FRP_SERVER", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,a:16", true},
    {"FRP_SERVER", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9,a:10,a:11,a:12,a:13,a:14,a:15,a:16,a:17",
     false},

    {"CLIENT_ID", "0001", true},
    {"CLIENT_ID", "0008", true},
    {"CLIENT_ID", "0009", true},
    {"CLIENT_ID", "9999", true},
    {"CLIENT_ID", "0000", false},
    {"CLIENT_ID", "00001", false},
    {"CLIENT_ID", "001", false},
    {"CLIENT_ID", "1", false},
    {"CLIENT_ID", "", false},
    {"CLIENT_ID", " 042", false},
    {"CLIENT_ID", "042 ", false},
    {"CLIENT_ID", "+042", false},
    {"CLIENT_ID", "-042", false},
    {"CLIENT_ID", "0x42", false},
    {"CLIENT_ID", "00a1", false},
    {"CLIENT_ID", "0042\n", false},
    {"CLIENT_ID", "\xd9\xa0\xd9\xa0\xd9\xa4\xd9\xa2", false}, /* Arabic-Indic digits */
    {"CLIENT_ID", "\xd9\xa4\xd9\xa2", false},                 /* four bytes of them */
    {"CLIENT_ID", "\xef\xbc\x90\xef\xbc\x90", false},         /* full-width digits */

    {"NODE_ID", "node 1", true},
    {"NODE_ID", "", true},
    {"NODE_ID",
     "n\xc3\xb6"
     "de",
     true},
    {"NODE_ID", "   ", false},
    {"NODE_ID", "a\tb", false},
    {"NODE_ID", "a\nb", false},
    {"NODE_ID", "kn\xc3\xb6tchen", true},
    {"NODE_ID", "kn\xf6tchen", false},

    {"TENSOR_PARALLEL_SIZE", "1", true},
    {"TENSOR_PARALLEL_SIZE", "4", true},
    {"TENSOR_PARALLEL_SIZE", "", true},
    {"TENSOR_PARALLEL_SIZE", "0", false},
    {"TENSOR_PARALLEL_SIZE", "5", false},
    {"TENSOR_PARALLEL_SIZE", "01", false},
    {"TENSOR_PARALLEL_SIZE", "-1", false},
    {"TENSOR_PARALLEL_SIZE", "1.0", false},
    {"TENSOR_PARALLEL_SIZE", " 1", false},
    {"TENSOR_PARALLEL_SIZE", "two", false},

    {"MODEL_NAME", "", true},
    {"MODEL_NAME", "org/model", true},
    {"MODEL_NAME", "/models/a b", true},
    {"MODEL_NAME", " ", false},
    {"MODEL_NAME", "a\nb", false},
    {"MODEL_NAME", "/models/\xe4\xb8\xad", true},
    {"MODEL_NAME", "org/model\xe4\xb8", false},

    {"FRP_CONFIG_DIR", "/", true},
    {"FRP_CONFIG_DIR", "/run/frp dir", true},
    {"FRP_CONFIG_DIR", "", true},
    {"FRP_CONFIG_DIR", "frp", false},
    {"FRP_CONFIG_DIR", "./frp", false},
    {"FRP_CONFIG_DIR", "~/frp", false},
    {"FRP_CONFIG_DIR", " /frp", false},
    {"FRP_CONFIG_DIR", "/frp\n", false},
    {"HF_HOME", "", true},
    {"HF_HOME", "/hf", true},
    {"HF_HOME", "hf", false},
    {"LOG_DIR", "/logs", true},
    {"LOG_DIR", "", true},
    {"LOG_DIR", "logs", false},
    {"FRP_TLS_CA_FILE", "/etc/ca.pem", true},
    {"FRP_TLS_CA_FILE", "", true},
    {"FRP_TLS_CA_FILE", "ca.pem", false},

    {"HOST_UID", "0", true},
    {"HOST_UID", "2147483647", true},
    {"HOST_UID", "", true},
    {"HOST_UID", "2147483648", false},
    {"HOST_UID", "-1", false},
    {"HOST_UID", "-0", false},
    {"HOST_UID", "01000", false},
    {"HOST_UID", "root", false},
    {"HOST_UID", "1000:1000", false},
    {"HOST_GID", "0", true},
    {"HOST_GID", "2147483647", true},
    {"HOST_GID", "4294967296", false},
    {"HOST_GID", "18446744073709551617", false},
    {"HOST_GID", "1e3", false},

    {"UBUNTU_TEST", "true", true},
    {"UBUNTU_TEST", "TRUE", true},
    {"UBUNTU_TEST", "1", true},
    {"UBUNTU_TEST", "Yes", true},
    {"UBUNTU_TEST", "on", true},
    {"UBUNTU_TEST", "", true},
    {"UBUNTU_TEST", "off", true},
    {"UBUNTU_TEST", "2", false},
    {"UBUNTU_TEST", "y", false},
    {"UBUNTU_TEST", "true ", false},
    {"UBUNTU_TEST", "enabled", false},

    {"FRP_TLS_PIN", PIN_A, true},
    {"FRP_TLS_PIN", PIN_A "," PIN_B, true},
    {"FRP_TLS_PIN", PIN_A ", " PIN_B, true},
    {"FRP_TLS_PIN", "", true},
    {"FRP_TLS_PIN", PIN_A ",", false},
    {"FRP_TLS_PIN", "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E", false},
    {"FRP_TLS_PIN", "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5F=", false}, /* left-over bits */
    {"FRP_TLS_PIN", "r/mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5==", false},
    {"FRP_TLS_PIN", "r_mIkG3eEpVdm+u/ko/cwxzOMo1bk4TyHIlByibiA5E=", false},
    {"FRP_TLS_PIN", "sha256//" PIN_A, false},

    {"FRP_DEAD_AFTER", "5", true},
    {"FRP_DEAD_AFTER", "600", true},
    {"FRP_DEAD_AFTER", "4", false},
    {"FRP_DEAD_AFTER", "601", false},
    {"FRP_DEAD_AFTER", "30s", false},

    {"MEMORY_LIMIT", "16M", true},
    {"MEMORY_LIMIT", "16777216", true},
    {"MEMORY_LIMIT", "64mib", true},
    {"MEMORY_LIMIT", "32768K", true},
    {"MEMORY_LIMIT", "1024G", true},
    {"MEMORY_LIMIT", "1GiB", true},
    {"MEMORY_LIMIT", "16777215", false},
    {"MEMORY_LIMIT", "1025G", false},
    {"MEMORY_LIMIT", "18014398509481984K", false}, /* 2^64 */
    {"MEMORY_LIMIT", "18446744073709551617", false},
    {"MEMORY_LIMIT", "0", false},
    {"MEMORY_LIMIT", "M", false},
    {"MEMORY_LIMIT", "1.5G", false},
    {"MEMORY_LIMIT", "256 M", false},
    {"MEMORY_LIMIT", "0256M", false},
    {"MEMORY_LIMIT", "-256M", false},
    {"MEMORY_LIMIT", "256T", false},

    {"LOG_LEVEL", "trace", true},
    {"LOG_LEVEL", "ERROR", true},
    {"LOG_LEVEL", "", true},
    {"LOG_LEVEL", "verbose", false},
    {"LOG_LEVEL", "3", false},
    {"LOG_FORMAT", "text", true},
    {"LOG_FORMAT", "json", true},
    {"LOG_FORMAT", "", true},
    {"LOG_FORMAT", "JSON", true},
    {"LOG_FORMAT", "logfmt", false},

    {"MLNODE_MANAGEMENT", "10.0.0.1:8080", true},
    {"MLNODE_MANAGEMENT", "", true},
    {"MLNODE_MANAGEMENT", "8080", false},
    {"MLNODE_INFERENCE", "[::1]:5000", true},
    {"MLNODE_INFERENCE", "::1:5000", false},
    {"SECRET_FRP_TOKEN", "", false},

    {"METRICS_LISTEN", "9180", true},
    {"METRICS_LISTEN", "127.0.0.1:9180", true},
    {"METRICS_LISTEN", "[::1]:9180", true},
    {"METRICS_LISTEN", ":9180", true},
    {"METRICS_LISTEN", "off", true},
    {"METRICS_LISTEN", "OFF", true},
    {"METRICS_LISTEN", "", true},
    {"METRICS_LISTEN", "0", false},
    {"METRICS_LISTEN", "on", false},
    {"METRICS_LISTEN", "09180", false},
    {"METRICS_LISTEN", "localhost:9180", false},
    {"METRICS_LISTEN", "127.0.0.1", false},
    {"GATEWAY_LISTEN", "127.0.0.1:1", true},
    {"GATEWAY_LISTEN", "[::1]:65535", true},
    {"GATEWAY_LISTEN", "", true},
    {"GATEWAY_LISTEN", "127.0.0.1", false},
    {"GATEWAY_LISTEN", "127.0.0.1:0", false},
    {"GATEWAY_LISTEN", "localhost:8081", false},
    {"GATEWAY_LISTEN_POC", "127.0.0.1:5051", true},
    {"GATEWAY_LISTEN_POC", "", true},
    {"GATEWAY_LISTEN_POC", "5050", false},
    {"GATEWAY_LISTEN_POC", "127.0.0.1:65536", false},
    {"GATEWAY_LISTEN_POC", "127.0.0.1:8081", false}, /* GATEWAY_LISTEN's default */
    {"GATEWAY_POLICY", "guard", true},
    {"GATEWAY_POLICY", "Strict", true},
    {"GATEWAY_POLICY", "OPEN", true},
    {"GATEWAY_POLICY", "", true},
    {"GATEWAY_POLICY", "guar", false},
    {"GATEWAY_POLICY", "guards", false},
    {"GATEWAY_POLICY", "guard|strict", false},
    {"GATEWAY_POLICY", "|", false},
    {"GATEWAY_POLICY", " guard", false},
    {"GATEWAY_POLICY", "0", false},
    {"ENGINE_DIRECT", "auto", true},
    {"ENGINE_DIRECT", "OFF", true},
    {"ENGINE_DIRECT", "", true},
    {"ENGINE_DIRECT", "on", false},
    {"ENGINE_DIRECT", "autooff", false},
    {"STOP_GRACE", "0", true},
    {"STOP_GRACE", "3600", true},
    {"STOP_GRACE", "", true},
    {"STOP_GRACE", "3601", false},
    {"STOP_GRACE", "-1", false},
    {"STOP_GRACE", "6s", false},
    {"STOP_GRACE", "06", false},
    {"MODEL_PREFETCH", "auto", true},
    {"MODEL_PREFETCH", "OFF", true},
    {"MODEL_PREFETCH", "", true},
    {"MODEL_PREFETCH", "on", false},
    {"SANDBOX", "off", true},
    {"SANDBOX", "AUTO", true},
    {"SANDBOX", "", true},
    {"SANDBOX", "on", false},
    {"MLNODE_COMMAND", "server", true},
    {"MLNODE_COMMAND", "/opt/a server --port=8080 'a b' \"c 'd\" e\\ f", true},
    {"MLNODE_COMMAND", "", true},
    {"MLNODE_COMMAND", "   ", false},
    {"MLNODE_COMMAND", "server 'open", false},
    {"MLNODE_COMMAND", "server \"open\\\"", false},
    {"MLNODE_COMMAND", "server \\", false},
    {"ENGINE_PORTS", "5001-5128", true},
    {"ENGINE_PORTS", "65408-65535", true},
    {"ENGINE_PORTS", "1-128", true},
    {"ENGINE_PORTS", "5001", true},
    {"ENGINE_PORTS", "", true},
    {"ENGINE_PORTS", "5001-5129", false},
    {"ENGINE_PORTS", "1-65535", false},
    {"ENGINE_PORTS", "5128-5001", false},
    {"ENGINE_PORTS", "0-5", false},
    {"ENGINE_PORTS", "65535-65536", false},
    {"ENGINE_PORTS", "5001-", false},
    {"ENGINE_PORTS", "-5001", false},
    {"ENGINE_PORTS", "5001,5002", false},
    {"ENGINE_PORTS", "5001-5002,", false},
    {"ENGINE_PORTS", "05001-5002", false},
    {"BIND_GUARD_PORTS", "5000-5128,8080", true},
    {"BIND_GUARD_PORTS", "1", true},
    {"BIND_GUARD_PORTS", "", true},
    {"BIND_GUARD_PORTS", "0", false},
    {"BIND_GUARD_PORTS", "8080,", false},
    {"BIND_GUARD_PORTS", "8080-8079", false},
    {"BIND_GUARD_PORTS", "65536", false},
    {"BIND_GUARD_PORTS", "off", false},
    {"MLNODE_MANAGEMENT", "127.0.0.1:8081", false}, /* the gateway's own */
    {"MLNODE_MANAGEMENT", "localhost:5050", false},
    {"MLNODE_INFERENCE", "[::1]:8081", false},
    {"MLNODE_INFERENCE", "0.0.0.0:8081", false},
    {"MLNODE_INFERENCE", "10.0.0.1:8081", true},
};

static void test_values(void **state)
{
    for (size_t i = 0; i < COUNT(values); i++) {
        struct fixture f;
        int code;

        fixture_init(&f);
        set_line(&f, values[i].name, values[i].value);
        code = env_load(f.list, &f.env, &f.problems);
        if ((code == 0) != values[i].good)
            fail_msg("%s=\"%s\" gives %d", values[i].name, values[i].value, code);
        if (values[i].good) {
            assert_int_equal(f.problems.errors, 0);
        } else {
            assert_int_equal(f.problems.errors, 1);
            assert_non_null(problems_find(&f.problems, values[i].name));
            assert_null(f.env.token);
        }
        assert_secret_unsaid(&f.problems, SECRET);
        fixture_free(&f);
    }
}

static void test_every_variable_is_tested(void **state)
{
    for (size_t i = 0; i < env_n_fields; i++) {
        bool good = env_fields[i].secret || env_fields[i].kind == FIELD_TOKEN_FILE;
        bool bad = good;

        for (size_t k = 0; k < COUNT(values); k++)
            if (strcmp(values[k].name, env_fields[i].name) == 0) {
                good = good || values[k].good;
                bad = bad || !values[k].good;
            }
        if (!good || !bad)
            fail_msg("%s has no valid or no invalid value here", env_fields[i].name);
    }
}

static void test_parsed_values(void **state)
{
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "API_NODE", "[2001:db8::1]:9000");
    set_line(&f, "FRP_SERVER", "a.example:7000, [::1]:65535");
    set_line(&f, "CLIENT_ID", "0008");
    set_line(&f, "NODE_ID", "rig-8");
    set_line(&f, "UBUNTU_TEST", "On");
    set_line(&f, "MEMORY_LIMIT", "1GiB");
    set_line(&f, "FRP_TLS_PIN", PIN_A ", " PIN_B);
    set_line(&f, "HF_HOME", "");
    set_line(&f, "GATEWAY_POLICY", "open");
    set_line(&f, "ENGINE_DIRECT", "off");
    set_line(&f, "ENGINE_PORTS", "6000");
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_string_equal(f.env.api_node.host, "2001:db8::1");
    assert_int_equal(f.env.n_servers, 2);
    assert_string_equal(f.env.servers[1].host, "::1");
    assert_int_equal(f.env.servers[1].port, 65535);
    assert_int_equal(f.env.client_id_number, 8);
    assert_string_equal(f.env.node_id, "rig-8");
    assert_true(f.env.ubuntu_test);
    assert_int_equal(f.env.memory_limit, (size_t)1 << 30);
    assert_int_equal(f.env.n_frp_tls_pins, 2);
    assert_string_equal(f.env.frp_tls_pins[1], PIN_B);
    assert_string_equal(f.env.hf_home, "/data/hf-cache");
    assert_int_equal(f.env.gateway_policy, POLICY_OPEN);
    assert_int_equal(f.env.engine_direct, 1);
    assert_int_equal(f.env.engine_first_port, 6000);
    assert_int_equal(f.env.engine_last_port, 6000);
    assert_int_equal(f.problems.count, 0);
    fixture_free(&f);
}

static void test_megabyte_in_every_variable(void **state)
{
    char *big = mem_alloc(MEGABYTE + 1);

    memset(big, '7', MEGABYTE);
    big[0] = '/';
    big[MEGABYTE] = '\0';
    for (size_t i = 0; i < env_n_fields; i++) {
        struct fixture f;
        char *text;

        fixture_init(&f);
        set_line(&f, env_fields[i].name, big);
        assert_int_not_equal(env_load(f.list, &f.env, &f.problems), 0);
        assert_non_null(problems_find(&f.problems, env_fields[i].name));
        text = printed(&f.problems);
        assert_true(strlen(text) < 1000);
        assert_non_null(strstr(text, "longer than 8192 bytes"));
        free(text);
        fixture_free(&f);
    }
    mem_free(big);
}

static void test_all_problems_at_once(void **state)
{
    char *const nothing[] = {NULL};
    struct fixture f;
    char *text;

    fixture_init(&f);
    assert_int_equal(env_load(nothing, &f.env, &f.problems), ERR_SYNTAX);
    assert_int_equal(f.problems.errors, 4);
    assert_non_null(problems_find(&f.problems, "API_NODE"));
    assert_non_null(problems_find(&f.problems, "FRP_SERVER"));
    assert_non_null(problems_find(&f.problems, "SECRET_FRP_TOKEN"));
    assert_non_null(problems_find(&f.problems, "CLIENT_ID"));
    fixture_free(&f);

    fixture_init(&f);
    for (size_t i = 0; i < env_n_fields; i++)
        set_line(&f, env_fields[i].name, "\x01\x1b[31m");
    env_load(f.list, &f.env, &f.problems);
    assert_true(f.problems.errors >= env_n_fields);
    text = printed(&f.problems);
    assert_null(strchr(text, '\x1b'));
    for (size_t i = 0; i < env_n_fields; i++)
        assert_non_null(problems_find(&f.problems, env_fields[i].name));
    free(text);
    fixture_free(&f);
}

static void test_message_has_value_rule_and_example(void **state)
{
    struct fixture f;
    char *text;

    fixture_init(&f);
    set_line(&f, "CLIENT_ID", "7\n7");
    env_load(f.list, &f.env, &f.problems);
    text = printed(&f.problems);
    assert_string_equal(text, "CLIENT_ID: \"7\\x0a7\" is refused: must be exactly four digits from "
                              "0001 to 9999 (for example 0042)\n");
    free(text);
    fixture_free(&f);
}

static void test_problems_are_bounded(void **state)
{
    struct problems problems;
    char *text;

    problems_init(&problems);
    for (int i = 0; i < PROBLEMS_MAX + 10; i++)
        problem_add(&problems, "X", "v", "rule", NULL);
    assert_int_equal(problems.count, PROBLEMS_MAX);
    assert_int_equal(problems.errors, PROBLEMS_MAX + 10);
    text = printed(&problems);
    assert_non_null(strstr(text, "... and 10 more\n"));
    free(text);
    problems_free(&problems);
}

static void test_first_of_two_counts(void **state)
{
    struct fixture f;

    fixture_init(&f);
    f.list[f.n++] = mem_strdup("CLIENT_ID=bad");
    f.list[f.n++] = mem_strdup("API_NODEX=bad");
    f.list[f.n++] = mem_strdup("no equals sign");
    f.list[f.n] = NULL;
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_string_equal(f.env.client_id, "0042");
    fixture_free(&f);
}

static void test_client_config(void **state)
{
    struct client_config cfg;
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "CLIENT_ID", "9999");
    set_line(&f, "FRP_TLS_PIN", PIN_A);
    set_line(&f, "FRP_TLS_CA_FILE", "/ca.pem");
    set_line(&f, "FRP_DEAD_AFTER", "45");
    set_line(&f, "LOG_FORMAT", "json");
    set_line(&f, "MLNODE_INFERENCE", "10.0.0.1:5000");
    set_line(&f, "GATEWAY_LISTEN", "127.0.0.2:7081");
    set_line(&f, "GATEWAY_LISTEN_POC", "[::1]:7050");
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    env_client_config(&f.env, &cfg);
    assert_string_equal(cfg.servers[0].host, "frp.example.org");
    assert_string_equal(cfg.token, SECRET);
    assert_true(cfg.tls.enable);
    assert_false(cfg.tls.custom_first_byte);
    assert_string_equal(cfg.tls.ca_file, "/ca.pem");
    assert_int_equal(cfg.tls.n_pins, 1);
    assert_true(cfg.fate_shared);
    assert_false(cfg.login_fail_exit);
    assert_string_equal(cfg.run_id_file, "/etc/frp/run_id");
    assert_int_equal(cfg.dead_after_s, 45);
    assert_int_equal(cfg.log_format, LOG_JSON);
    assert_int_equal(cfg.n_proxies, 2);
    assert_non_null(strstr(cfg.proxies[0].name, "9999"));
    assert_non_null(strstr(cfg.proxies[1].name, "9999"));
    assert_string_not_equal(cfg.proxies[0].name, cfg.proxies[1].name);
    assert_int_equal(cfg.proxies[0].remote_port, 19999);
    assert_int_equal(cfg.proxies[0].local_port, 7081);
    assert_string_equal(cfg.proxies[0].local_ip, "127.0.0.2");
    assert_int_equal(cfg.proxies[1].remote_port, 29999);
    assert_int_equal(cfg.proxies[1].local_port, 7050);
    assert_string_equal(cfg.proxies[1].local_ip, "::1");
    client_config_free(&cfg);
    fixture_free(&f);
}

/* A listener on every address is reached from the machine itself, and said to be dangerous. */
static void test_listener_on_every_address(void **state)
{
    struct client_config cfg;
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "GATEWAY_LISTEN", ":8081");
    set_line(&f, "GATEWAY_LISTEN_POC", "[::]:5050");
    assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
    assert_int_equal(f.problems.errors, 0);
    assert_true(problems_find(&f.problems, "GATEWAY_LISTEN")->warning);
    assert_true(problems_find(&f.problems, "GATEWAY_LISTEN_POC")->warning);
    env_client_config(&f.env, &cfg);
    assert_string_equal(cfg.proxies[0].local_ip, "127.0.0.1");
    assert_string_equal(cfg.proxies[1].local_ip, "::1");
    client_config_free(&cfg);
    fixture_free(&f);
}

/* ---- the gateway alone ----------------------------------------------------------------------- */

enum { WORDS_MAX = 8 };

/* variables ("" are left out), flags, the word that is no flag, how many problems */
static const struct {
    const char *lines[2];
    const char *words[WORDS_MAX];
    const char *stray;
    size_t errors;
} gateways[] = {
    {{""}, {NULL}, NULL, 0},
    {{""}, {"--listen", "127.0.0.1:1"}, NULL, 0},
    {{""}, {"--listen=127.0.0.1:1", "--listen-poc=127.0.0.1:2", "--policy", "open"}, NULL, 0},
    {{""}, {"--memory-limit=16M", "--log-level=trace", "--log-format=json"}, NULL, 0},
    {{""}, {"--management=h:1", "--inference=h:2", "--engine-ports=1-128"}, NULL, 0},
    {{""}, {"--listen"}, "--listen", 0},
    {{""}, {"--policy", "open", "--listen"}, "--listen", 0},
    {{""}, {"word"}, "word", 0},
    {{""}, {""}, "", 0},
    {{""}, {"--"}, "--", 0},
    {{""}, {"--=x"}, "--=x", 0},
    {{""}, {"-listen", "127.0.0.1:1"}, "-listen", 0},
    {{""}, {"--liste", "127.0.0.1:1"}, "--liste", 0},
    {{""}, {"--listens=127.0.0.1:1"}, "--listens=127.0.0.1:1", 0},
    {{""}, {"--policy", "open", "more"}, "more", 0},
    {{""}, {"--policy="}, NULL, 1},
    {{""}, {"--listen", "--policy", "--policy", "wrong"}, NULL, 2},
    {{"GATEWAY_POLICY=wrong"}, {NULL}, NULL, 1},
    {{"GATEWAY_POLICY=wrong"}, {"--policy=open"}, NULL, 0},
    {{"GATEWAY_POLICY=wrong", "LOG_LEVEL=loud"}, {"--engine-ports=0", "--listen=x"}, NULL, 4},
    {{"GATEWAY_POLICY="}, {NULL}, NULL, 0},
    {{"CLIENT_ID=wrong", "API_NODE=wrong"}, {NULL}, NULL, 0}, /* the tunnel's */
    {{"GATEWAY_LISTEN=127.0.0.1:5050"}, {NULL}, NULL, 1},
    {{"GATEWAY_LISTEN=127.0.0.1:8080"}, {NULL}, NULL, 1},
    {{"GATEWAY_LISTEN_POC=127.0.0.1:5000"}, {NULL}, NULL, 1},
    {{"GATEWAY_LISTEN=127.0.0.1:5050"}, {"--listen-poc=127.0.0.1:5051"}, NULL, 0},
    {{""}, {"--inference=127.0.0.1:8081", "--management=127.0.0.1:5050"}, NULL, 2},
};

static void test_gateway_alone(void **state)
{
    for (size_t i = 0; i < COUNT(gateways); i++) {
        char *list[3] = {NULL};
        char *words[WORDS_MAX + 1] = {NULL};
        size_t n = 0;
        struct fixture f = {0};
        const char *stray;
        int code;

        for (size_t k = 0; k < 2; k++)
            if (gateways[i].lines[k] != NULL && gateways[i].lines[k][0] != '\0')
                list[n++] = mem_strdup(gateways[i].lines[k]);
        for (size_t k = 0; gateways[i].words[k] != NULL; k++)
            words[k] = mem_strdup(gateways[i].words[k]);
        problems_init(&f.problems);
        code = env_gateway_load(list, words, &f.env, &stray, &f.problems);
        if ((code == 0) != (gateways[i].stray == NULL && gateways[i].errors == 0) ||
            f.problems.errors != gateways[i].errors ||
            (stray != NULL) != (gateways[i].stray != NULL))
            fail_msg("gateway %zu gives %d, %zu problems, stray %s", i, code, f.problems.errors,
                     stray ? stray : "none");
        if (stray != NULL)
            assert_string_equal(stray, gateways[i].stray);
        if (code != 0)
            assert_null(f.env.gateway_listen.host);
        for (size_t k = 0; k < n; k++)
            mem_free(list[k]);
        for (size_t k = 0; words[k] != NULL; k++)
            mem_free(words[k]);
        fixture_free(&f);
    }
}

static void test_gateway_flags_win(void **state)
{
    char *list[] = {"GATEWAY_POLICY=open", "ENGINE_PORTS=6000-6001", "GATEWAY_LISTEN=[::1]:7000",
                    NULL};
    char *words[] = {"--policy", "open", "--policy=strict", "--listen-poc", "127.0.0.1:7001", NULL};
    struct fixture f = {0};
    const char *stray;

    problems_init(&f.problems);
    assert_int_equal(env_gateway_load(list, words, &f.env, &stray, &f.problems), 0);
    assert_int_equal(f.env.gateway_policy, POLICY_STRICT);
    assert_int_equal(f.env.engine_first_port, 6000);
    assert_int_equal(f.env.engine_last_port, 6001);
    assert_string_equal(f.env.gateway_listen.host, "::1");
    assert_int_equal(f.env.gateway_listen_poc.port, 7001);
    assert_int_equal(f.env.memory_limit, (size_t)256 << 20);
    fixture_free(&f);
}

static void test_gateway_help(void **state)
{
    static const char *const variables[] = {
        "GATEWAY_LISTEN.", "GATEWAY_LISTEN_POC.", "MLNODE_MANAGEMENT.", "MLNODE_INFERENCE.",
        "GATEWAY_POLICY.", "ENGINE_DIRECT.",      "ENGINE_PORTS.",      "MEMORY_LIMIT.",
        "LOG_LEVEL.",      "LOG_FORMAT."};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    env_gateway_help(out, false);
    fclose(out);
    for (size_t i = 0; i < COUNT(variables); i++)
        assert_non_null(strstr(text, variables[i]));
    assert_null(strchr(text, '\x1b'));
    free(text);
}

static void test_overrides(void **state)
{
    struct client_config cfg = {.dead_after_s = 30, .memory_limit = 1};
    struct fixture f;

    fixture_init(&f);
    set_line(&f, "FRP_DEAD_AFTER", "7");
    set_line(&f, "FRP_TLS_PIN", PIN_B);
    set_line(&f, "MEMORY_LIMIT", "");
    set_line(&f, "LOG_FORMAT", "json");
    assert_true(env_client_overrides(f.list, &cfg, &f.problems));
    assert_int_equal(cfg.dead_after_s, 7);
    assert_int_equal(cfg.log_format, LOG_JSON);
    assert_int_equal(cfg.memory_limit, 1);
    assert_int_equal(cfg.tls.n_pins, 1);
    set_line(&f, "MEMORY_LIMIT", "1");
    assert_false(env_client_overrides(f.list, &cfg, &f.problems));
    client_config_free(&cfg);
    fixture_free(&f);
}

static void test_help(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    env_help(out, false);
    fclose(out);
    for (size_t i = 0; i < env_n_fields; i++) {
        assert_non_null(strstr(text, env_fields[i].name));
        assert_non_null(strstr(text, env_fields[i].help));
        assert_non_null(strstr(text, field_rule(&env_fields[i])));
    }
    assert_null(strchr(text, '\x1b'));
    free(text);
}

/* The examples and defaults that people copy must be right. */
static void test_examples_are_valid(void **state)
{
    for (size_t i = 0; i < env_n_fields; i++) {
        struct fixture f;

        if (env_fields[i].kind == FIELD_TOKEN_FILE)
            continue;
        assert_non_null(env_fields[i].example);
        fixture_init(&f);
        set_line(&f, env_fields[i].name, env_fields[i].example);
        assert_int_equal(env_load(f.list, &f.env, &f.problems), 0);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_every_variable_is_tested),
        cmocka_unit_test(test_parsed_values),
        cmocka_unit_test(test_megabyte_in_every_variable),
        cmocka_unit_test(test_all_problems_at_once),
        cmocka_unit_test(test_message_has_value_rule_and_example),
        cmocka_unit_test(test_problems_are_bounded),
        cmocka_unit_test(test_first_of_two_counts),
        cmocka_unit_test(test_client_config),
        cmocka_unit_test(test_listener_on_every_address),
        cmocka_unit_test(test_gateway_alone),
        cmocka_unit_test(test_gateway_flags_win),
        cmocka_unit_test(test_gateway_help),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_examples_are_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
