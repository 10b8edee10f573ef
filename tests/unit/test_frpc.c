#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/env.h"
#include "config/file.h"
#include "config/frpc.h"
#include "config/problem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET       "hunter2-Xyzzy"

static int parse(const char *text, struct client_config *cfg, struct problems *problems)
{
    problems_init(problems);
    return frpc_parse("/etc/frp/frpc.ini", text, strlen(text), NULL, NULL, cfg, problems);
}

static void parse_good(const char *text, struct client_config *cfg)
{
    struct problems problems;
    int code = parse(text, cfg, &problems);

    if (code != 0) {
        problems_print(&problems, stderr);
        fail_msg("refused: %s", text);
    }
    problems_free(&problems);
}

static void test_defaults_of_frp(void **state)
{
    struct client_config cfg;

    parse_good("[common]\n", &cfg);
    assert_int_equal(cfg.n_servers, 1);
    assert_string_equal(cfg.servers[0].host, "0.0.0.0");
    assert_int_equal(cfg.servers[0].port, 7000);
    assert_string_equal(cfg.token, "");
    assert_string_equal(cfg.user, "");
    assert_true(cfg.tls.enable);
    assert_false(cfg.tls.custom_first_byte);
    assert_null(cfg.tls.ca_file);
    assert_int_equal(cfg.pool_count, 1);
    assert_int_equal(cfg.heartbeat_interval_s, -1);
    assert_int_equal(cfg.heartbeat_timeout_s, -1);
    assert_int_equal(cfg.mux_keepalive_s, 30);
    assert_int_equal(cfg.dial_timeout_s, 10);
    assert_int_equal(cfg.scopes, 0);
    assert_true(cfg.login_fail_exit);
    assert_false(cfg.fate_shared);
    assert_string_equal(cfg.run_id_file, "/etc/frp/frpc.ini.run_id");
    assert_int_equal(cfg.dead_after_s, 30);
    assert_int_equal(cfg.log_level, LOG_INFO);
    client_config_free(&cfg);
}

static void test_zero_and_empty_mean_not_set(void **state)
{
    struct client_config cfg;

    parse_good("[common]\nserver_addr =\nserver_port = 0\npool_count = 0\nheartbeat_interval = 0\n"
               "heartbeat_timeout = 0\ntcp_mux_keepalive_interval = 0\ndial_server_timeout = 0\n"
               "tls_enable =\nlog_level =\ntls_trusted_ca_file =\nprotocol =\nhttp_proxy =\n"
               "[p]\nlocal_port = 1\nremote_port = 0\nlocal_ip =\nplugin =\ngroup =\n",
               &cfg);
    assert_int_equal(cfg.servers[0].port, 7000);
    assert_int_equal(cfg.pool_count, 1);
    assert_int_equal(cfg.heartbeat_interval_s, -1);
    assert_int_equal(cfg.mux_keepalive_s, 30);
    assert_int_equal(cfg.dial_timeout_s, 10);
    assert_true(cfg.tls.enable);
    assert_null(cfg.tls.ca_file);
    assert_int_equal(cfg.proxies[0].remote_port, 0);
    assert_string_equal(cfg.proxies[0].local_ip, "127.0.0.1");
    client_config_free(&cfg);
}

static void test_every_key(void **state)
{
    struct client_config cfg;

    parse_good("[common]\nserver_addr = 2001:db8::1\nserver_port = 65535\ntoken = a#b;c \n"
               "user = me\ntls_enable = false\ntls_trusted_ca_file = ca.pem\ntls_cert_file = /c\n"
               "tls_key_file = /k\ntls_server_name = frp.example\n"
               "disable_custom_tls_first_byte = false\npool_count = 7\nheartbeat_interval = 5\n"
               "heartbeat_timeout = 15\ntcp_mux_keepalive_interval = 20\n"
               "authenticate_heartbeats = true\nauthenticate_new_work_conns = yes\n"
               "login_fail_exit = F\ndial_server_timeout = 3\nlog_level = debug\n"
               "tcp_mux = true\nprotocol = tcp\nauthentication_method = token\n"
               "[a]\ntype = tcp\nlocal_ip = host.docker.internal\nlocal_port = 80\n"
               "remote_port = 10001\nuse_encryption = true\nuse_compression = false\n"
               "[b]\nrole = server\nlocal_ip = ::1\nlocal_port = 65535\n",
               &cfg);
    assert_string_equal(cfg.servers[0].host, "2001:db8::1");
    assert_int_equal(cfg.servers[0].port, 65535);
    assert_string_equal(cfg.token, "a#b;c");
    assert_string_equal(cfg.user, "me");
    assert_false(cfg.tls.enable);
    assert_string_equal(cfg.tls.ca_file, "ca.pem");
    assert_string_equal(cfg.tls.cert_file, "/c");
    assert_string_equal(cfg.tls.key_file, "/k");
    assert_string_equal(cfg.tls.server_name, "frp.example");
    assert_true(cfg.tls.custom_first_byte);
    assert_int_equal(cfg.pool_count, 7);
    assert_int_equal(cfg.heartbeat_interval_s, 5);
    assert_int_equal(cfg.heartbeat_timeout_s, 15);
    assert_int_equal(cfg.mux_keepalive_s, 20);
    assert_int_equal(cfg.scopes, SCOPE_HEARTBEATS | SCOPE_NEW_WORK_CONNS);
    assert_false(cfg.login_fail_exit);
    assert_int_equal(cfg.dial_timeout_s, 3);
    assert_int_equal(cfg.log_level, LOG_DEBUG);
    assert_int_equal(cfg.n_proxies, 2);
    assert_string_equal(cfg.proxies[0].name, "a");
    assert_string_equal(cfg.proxies[0].local_ip, "host.docker.internal");
    assert_int_equal(cfg.proxies[0].local_port, 80);
    assert_int_equal(cfg.proxies[0].remote_port, 10001);
    assert_true(cfg.proxies[0].use_encryption);
    assert_string_equal(cfg.proxies[1].local_ip, "::1");
    assert_int_equal(cfg.proxies[1].remote_port, 0);
    assert_false(cfg.proxies[1].use_encryption);
    client_config_free(&cfg);
}

/* text of [common], text after it, and where the only problem must be. */
static const struct {
    const char *common;
    const char *rest;
    const char *where;
} refused[] = {
    {"server_port = 08\n", "", "f:2: server_port"},
    {"server_port = 65536\n", "", "f:2: server_port"},
    {"server_port = -1\n", "", "f:2: server_port"},
    {"server_port = 7000 # main\n", "", "f:2: server_port"},
    {"server_port = abc\n", "", "f:2: server_port"},
    {"server_addr = a b\n", "", "f:2: server_addr"},
    {"server_addr = [::1]\n", "", "f:2: server_addr"},
    {"server_addr = http://a\n", "", "f:2: server_addr"},
    {"tls_enable = maybe\n", "", "f:2: tls_enable"},
    {"login_fail_exit = tRUE\n", "", "f:2: login_fail_exit"},
    {"pool_count = -1\n", "", "f:2: pool_count"},
    {"pool_count = 10001\n", "", "f:2: pool_count"},
    {"heartbeat_interval = 1.5\n", "", "f:2: heartbeat_interval"},
    {"heartbeat_interval = 30\nheartbeat_timeout = 29\n", "", "f"},
    {"tcp_mux_keepalive_interval = -1\n", "", "f:2: tcp_mux_keepalive_interval"},
    {"dial_server_timeout = -1\n", "", "f:2: dial_server_timeout"},
    {"log_level = loud\n", "", "f:2: log_level"},
    {"tls_cert_file = /c\n", "", "f"},
    {"tls_key_file = /k\n", "", "f"},
    {"tls_server_name = a b\n", "", "f:2: tls_server_name"},
    {"protocol = kcp\n", "", "f:2: protocol"},
    {"protocol = websocket\n", "", "f:2: protocol"},
    {"tcp_mux = false\n", "", "f:2: tcp_mux"},
    {"tcp_mux = 0\n", "", "f:2: tcp_mux"},
    {"http_proxy = http://proxy:3128\n", "", "f:2: http_proxy"},
    {"connect_server_local_ip = 10.0.0.1\n", "", "f:2: connect_server_local_ip"},
    {"authentication_method = oidc\n", "", "f:2: authentication_method"},
    {"includes = ./confd/*.ini\n", "", "f:2: includes"},
    {"", "[p]\nremote_port = 1\n", "f:2: p"},
    {"", "[p]\nlocal_port = 0\n", "f:3: local_port"},
    {"", "[p]\nlocal_port = 65536\n", "f:3: local_port"},
    {"", "[p]\nlocal_port = 1\nremote_port = 00\n", "f:4: remote_port"},
    {"", "[p]\nlocal_port = 1\nlocal_ip = a:1\n", "f:4: local_ip"},
    {"", "[p]\nlocal_port = 1\ntype = udp\n", "f:4: type"},
    {"", "[p]\nlocal_port = 1\ntype = TCP\n", "f:4: type"},
    {"", "[p]\ntype = stcp\nsk = x\n", "f:3: type"},
    {"", "[p]\nrole = visitor\n", "f:3: role"},
    {"", "[p]\nlocal_port = 1\nplugin = socks5\n", "f:4: plugin"},
    {"", "[p]\nlocal_port = 1\nuse_compression = true\n", "f:4: use_compression"},
    {"", "[p]\nlocal_port = 1\nuse_compression = 1\n", "f:4: use_compression"},
    {"", "[p]\nlocal_port = 1\nuse_encryption = maybe\n", "f:4: use_encryption"},
    {"", "[p]\nlocal_port = 1\nbandwidth_limit = 1MB\n", "f:4: bandwidth_limit"},
    {"", "[p]\nlocal_port = 1\nproxy_protocol_version = v2\n", "f:4: proxy_protocol_version"},
    {"", "[p]\nlocal_port = 1\ngroup = web\n", "f:4: group"},
    {"", "[p]\nlocal_port = 1\nhealth_check_type = tcp\n", "f:4: health_check_type"},
    {"", "[p.q]\nlocal_port = 1\n[p]\nlocal_port = 1\nplugin = socks5\n", "f:6: plugin"},
    {"", "[ ]\nlocal_port = 1\n", "f:2"},
    {"", "[a\x01]\nlocal_port = 1\n", "f:2"},
    {"", "[range:r]\nlocal_port = 1-3\nremote_port = 1-2\n", "f:2"},
    {"", "[range:r]\nlocal_port = 1-3\n", "f:2: remote_port"},
    {"", "[range:r]\nlocal_port = 3-1\nremote_port = 1-3\n", "f:3: local_port"},
    {"", "[range:r]\nlocal_port = 1-2\nremote_port = 1-2\n[r_1]\nlocal_port = 1\n", "f:2: r_1"},
    {"",
     "[range:r]\nlocal_port = 1\nremote_port = 1\n[range: r]\nlocal_port = 2\nremote_port = 2\n",
     "f:5"},
    {"", "[range:]\nlocal_port = 1\nremote_port = 1\n", "f:2"},
    {"", "[range:r]\ntype = udp\nlocal_port = 1\nremote_port = 1\n", "f:3: type"},
    {"",
     "[range:a]\nlocal_port = 1-65535\nremote_port = 1-65535\n"
     "[range:b]\nlocal_port = 1\nremote_port = 1\n",
     "f:5"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct problems problems;
        struct client_config cfg;
        char *text = mem_printf("[common]\n%s%s", refused[i].common, refused[i].rest);

        problems_init(&problems);
        if (frpc_parse("f", text, strlen(text), NULL, NULL, &cfg, &problems) == 0)
            fail_msg("taken: %s", text);
        if (problems_find(&problems, refused[i].where) == NULL) {
            problems_print(&problems, stderr);
            fail_msg("%s is not named for: %s", refused[i].where, text);
        }
        assert_null(cfg.servers);
        assert_null(cfg.proxies);
        problems_free(&problems);
        mem_free(text);
    }
}

static void test_all_problems_at_once(void **state)
{
    struct problems problems;
    struct client_config cfg;

    assert_int_not_equal(parse("[common]\nserver_port = x\ntls_enable = x\nprotocol = kcp\n"
                               "token = " SECRET "\n[p]\nlocal_port = x\ngroup = g\n",
                               &cfg, &problems),
                         0);
    assert_int_equal(problems.errors, 5);
    for (size_t i = 0; i < problems.count; i++) {
        assert_null(strstr(problems.items[i].rule, SECRET));
        assert_true(problems.items[i].value == NULL ||
                    strstr(problems.items[i].value, SECRET) == NULL);
    }
    problems_free(&problems);
}

static void test_ignored_keys_are_named_in_one_warning(void **state)
{
    struct problems problems;
    struct client_config cfg;
    const char *rule;

    assert_int_equal(parse("stray = 1\n[common]\nlog_file = x\nadmin_port = 7400\n"
                           "admin_pwd = " SECRET "\nmeta_var = 1\ndns_server = 1.1.1.1\n"
                           "Server_Port = 1\n[p]\nlocal_port = 1\ngroup_key = k\n",
                           &cfg, &problems),
                     0);
    assert_int_equal(problems.count, 1);
    rule = problems.items[0].rule;
    assert_true(problems.items[0].warning);
    assert_non_null(strstr(rule, "stray"));
    assert_non_null(strstr(rule, "log_file, admin_port, admin_pwd, meta_var, dns_server"));
    assert_non_null(strstr(rule, "Server_Port"));
    assert_non_null(strstr(rule, "group_key"));
    assert_null(strstr(rule, SECRET));
    client_config_free(&cfg);
    problems_free(&problems);
}

static void test_no_common_section(void **state)
{
    static const char *const texts[] = {"", "server_addr = a\n", "[Common]\n",
                                        "serverAddr = \"a\"\n[[proxies]]\nname = \"x\"\n"};

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct problems problems;
        struct client_config cfg;

        assert_int_not_equal(parse(texts[i], &cfg, &problems), 0);
        assert_int_equal(problems.errors, 1);
        assert_non_null(strstr(problems.items[0].rule, "[common]"));
        problems_free(&problems);
    }
}

static void test_start_chooses(void **state)
{
    struct client_config cfg;

    parse_good("[common]\nstart = ,b, r_1 ,,x\n[a]\nlocal_port = bad\ntype = udp\n"
               "[b]\nlocal_port = 2\n[range:r]\nlocal_port = 10-12\nremote_port = 20-22\n",
               &cfg);
    assert_int_equal(cfg.n_proxies, 2);
    assert_string_equal(cfg.proxies[0].name, "b");
    assert_string_equal(cfg.proxies[1].name, "r_1");
    assert_int_equal(cfg.proxies[1].local_port, 11);
    assert_int_equal(cfg.proxies[1].remote_port, 21);
    client_config_free(&cfg);
}

static void test_range(void **state)
{
    struct client_config cfg;

    parse_good("[common]\n[range: r ]\nlocal_ip = 10.0.0.1\nlocal_port = 6010,6000-6001\n"
               "remote_port = 7000-7002\nuse_encryption = true\n",
               &cfg);
    assert_int_equal(cfg.n_proxies, 3);
    assert_string_equal(cfg.proxies[0].name, "r_0");
    assert_int_equal(cfg.proxies[0].local_port, 6010);
    assert_int_equal(cfg.proxies[0].remote_port, 7000);
    assert_string_equal(cfg.proxies[2].name, "r_2");
    assert_string_equal(cfg.proxies[2].local_ip, "10.0.0.1");
    assert_int_equal(cfg.proxies[2].local_port, 6001);
    assert_int_equal(cfg.proxies[2].remote_port, 7002);
    assert_true(cfg.proxies[2].use_encryption);
    client_config_free(&cfg);
}

static const char *lookup(void *context, const char *name)
{
    if (strcmp(name, "FRP_TOKEN") == 0)
        return SECRET;
    if (strcmp(name, "http_proxy") == 0)
        return "http://proxy:3128";
    return NULL;
}

static void test_environment_of_a_file(void **state)
{
    const char text[] = "[common]\ntoken = {{ .Envs.FRP_TOKEN }}\n[p]\nlocal_port = 1\n";
    struct problems problems;
    struct client_config cfg;

    problems_init(&problems);
    assert_int_equal(frpc_parse("f", text, strlen(text), lookup, NULL, &cfg, &problems), 0);
    assert_string_equal(cfg.token, SECRET);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.items[0].where, "http_proxy");
    client_config_free(&cfg);
    problems_free(&problems);
}

static void test_load_missing_file(void **state)
{
    struct problems problems;
    struct client_config cfg;

    problems_init(&problems);
    assert_int_equal(frpc_load("/nonexistent/frpc.ini", NULL, NULL, &cfg, &problems), ERR_IO);
    assert_non_null(problems_find(&problems, "/nonexistent/frpc.ini"));
    assert_int_not_equal(frpc_load("/", NULL, NULL, &cfg, &problems), 0);
    assert_int_equal(frpc_load("/dev/zero", NULL, NULL, &cfg, &problems), ERR_LIMIT);
    assert_int_equal(problems.errors, 3);
    problems_free(&problems);
}

/* An environment with this token and server list, as the writer sees it. */
static void env_form(struct client_config *cfg, const char *token)
{
    char *list[] = {mem_strdup("API_NODE=a:1"),
                    mem_strdup("FRP_SERVER=frp.example.org:7000,[2001:db8::1]:7001"),
                    mem_printf("SECRET_FRP_TOKEN=%s", token),
                    mem_strdup("CLIENT_ID=0042"),
                    mem_strdup("FRP_TLS_CA_FILE=/etc/frp/my ca.pem"),
                    mem_strdup("FRP_TLS_PIN=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
                    NULL};
    struct problems problems;
    struct env_config env;

    problems_init(&problems);
    if (env_load(list, &env, &problems) != 0)
        fail_msg("token refused: %s", token);
    env_client_config(&env, cfg);
    env_free(&env);
    problems_free(&problems);
    for (size_t i = 0; list[i]; i++)
        mem_free(list[i]);
}

static void assert_same_tunnel(const struct client_config *a, size_t server,
                               const struct client_config *b)
{
    assert_string_equal(a->servers[server].host, b->servers[0].host);
    assert_int_equal(a->servers[server].port, b->servers[0].port);
    assert_string_equal(a->token, b->token);
    assert_string_equal(a->user, b->user);
    assert_int_equal(a->tls.enable, b->tls.enable);
    assert_int_equal(a->tls.custom_first_byte, b->tls.custom_first_byte);
    assert_string_equal(a->tls.ca_file, b->tls.ca_file);
    assert_int_equal(a->pool_count, b->pool_count);
    assert_int_equal(a->heartbeat_interval_s, b->heartbeat_interval_s);
    assert_int_equal(a->mux_keepalive_s, b->mux_keepalive_s);
    assert_int_equal(a->dial_timeout_s, b->dial_timeout_s);
    assert_int_equal(a->scopes, b->scopes);
    assert_int_equal(a->login_fail_exit, b->login_fail_exit);
    assert_int_equal(a->n_proxies, b->n_proxies);
    for (size_t i = 0; i < a->n_proxies; i++) {
        assert_string_equal(a->proxies[i].name, b->proxies[i].name);
        assert_string_equal(a->proxies[i].local_ip, b->proxies[i].local_ip);
        assert_int_equal(a->proxies[i].local_port, b->proxies[i].local_port);
        assert_int_equal(a->proxies[i].remote_port, b->proxies[i].remote_port);
        assert_int_equal(a->proxies[i].use_encryption, b->proxies[i].use_encryption);
    }
}

static void test_written_file_reads_back(void **state)
{
    static const char *const tokens[] = {
        "abc",       "a b",   "a#b;c",  "#a",      "\"' abc '\"", "'\" x\"'", "'a'b'",
        "\"abc\\\"", "a`b",   "\"`a\"", "a=b:c",   "[common]",    "%",        "\"`\"",
        "' \"'",     "\"'\"", "`a`b`",  "'\"a\"'", "p\xc3\xa4ss", "=",        ";",
    };

    for (size_t i = 0; i < COUNT(tokens); i++)
        for (size_t server = 0; server < 2; server++) {
            struct client_config written;
            struct client_config read;
            char *text;

            env_form(&written, tokens[i]);
            assert_int_equal(frpc_render(&written, server, &text), 0);
            parse_good(text, &read);
            assert_same_tunnel(&written, server, &read);
            client_config_free(&read);
            client_config_free(&written);
            mem_free(text);
        }
}

static void test_unwritable_values_are_refused(void **state)
{
    struct client_config cfg;
    char why[256];
    char *text;

    env_form(&cfg, "abc");
    mem_free(cfg.tls.ca_file);
    cfg.tls.ca_file = mem_strdup("/ca{{x");
    assert_int_equal(frpc_render(&cfg, 0, &text), ERR_SYNTAX);
    assert_int_equal(frpc_write(&cfg, 0, "/nonexistent", "frpc.ini", why, sizeof(why)), ERR_SYNTAX);
    client_config_free(&cfg);
}

struct scratch {
    char dir[64];
};

static void scratch_init(struct scratch *s)
{
    snprintf(s->dir, sizeof(s->dir), "/tmp/mlgate-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
}

static void scratch_free(struct scratch *s)
{
    char *command[] = {"rm", "-rf", s->dir, NULL};
    pid_t pid = fork();

    if (pid == 0)
        execvp(command[0], command);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_write_file(void **state)
{
    struct client_config cfg;
    struct client_config read;
    struct problems problems;
    struct scratch s;
    struct stat st;
    char why[256];
    char *dir;
    char *path;

    scratch_init(&s);
    dir = mem_printf("%s/a/b", s.dir);
    path = mem_printf("%s/frpc.ini", dir);
    env_form(&cfg, SECRET);
    umask(0);
    assert_int_equal(frpc_write(&cfg, 0, dir, "frpc.ini", why, sizeof(why)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);

    /* A former file with another mode and a left-over temporary one are replaced. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(file_store(dir, ".frpc.ini.new", "old", 3, why, sizeof(why)), 0);
    assert_int_equal(frpc_write(&cfg, 0, dir, "frpc.ini", why, sizeof(why)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    mem_free(path);
    path = mem_printf("%s/.frpc.ini.new", dir);
    assert_int_equal(access(path, F_OK), -1);
    mem_free(path);

    path = mem_printf("%s/frpc.ini", dir);
    problems_init(&problems);
    assert_int_equal(frpc_load(path, NULL, NULL, &read, &problems), 0);
    assert_same_tunnel(&cfg, 0, &read);
    problems_free(&problems);
    client_config_free(&read);
    client_config_free(&cfg);
    mem_free(path);
    mem_free(dir);
    scratch_free(&s);
}

static void test_write_failures(void **state)
{
    struct client_config cfg;
    struct scratch s;
    char why[256] = "";
    char *path;

    scratch_init(&s);
    env_form(&cfg, SECRET);
    path = mem_printf("%s/plain/sub", s.dir);
    assert_int_equal(file_store(s.dir, "plain", "x", 1, why, sizeof(why)), 0);
    /* The directory is a file, or below one. */
    assert_int_equal(frpc_write(&cfg, 0, path, "frpc.ini", why, sizeof(why)), ERR_IO);
    assert_non_null(strstr(why, strerror(ENOTDIR)));
    *strrchr(path, '/') = '\0';
    assert_int_equal(frpc_write(&cfg, 0, path, "frpc.ini", why, sizeof(why)), ERR_IO);
    assert_non_null(strstr(why, strerror(ENOTDIR)));
    /* The file's name is a directory: nothing is left behind. */
    mem_free(path);
    path = mem_printf("%s/frpc.ini", s.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(frpc_write(&cfg, 0, s.dir, "frpc.ini", why, sizeof(why)), ERR_IO);
    assert_non_null(strstr(why, strerror(EISDIR)));
    assert_null(strstr(why, SECRET));
    mem_free(path);
    path = mem_printf("%s/.frpc.ini.new", s.dir);
    assert_int_equal(access(path, F_OK), -1);
    /* /proc takes no files from anybody, root included. */
    assert_int_equal(frpc_write(&cfg, 0, "/proc", "frpc.ini", why, sizeof(why)), ERR_IO);
    assert_true(why[0] != '\0');
    mem_free(path);
    client_config_free(&cfg);
    scratch_free(&s);
}

/* A disk that takes no more bytes, as far as a test can have one: the old file stays whole. */
static void test_full_disk(void **state)
{
    struct rlimit none = {.rlim_cur = 0};
    struct rlimit former;
    struct scratch s;
    char why[256] = "";
    char *path;
    char *text;
    size_t len;
    int code;

    scratch_init(&s);
    assert_int_equal(file_store(s.dir, "f", "old", 3, why, sizeof(why)), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    none.rlim_max = former.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    code = file_store(s.dir, "f", "new", 3, why, sizeof(why));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    assert_int_equal(code, ERR_IO);
    assert_non_null(strstr(why, strerror(EFBIG)));
    path = mem_printf("%s/f", s.dir);
    assert_int_equal(file_read(path, 100, &text, &len, why, sizeof(why)), 0);
    assert_string_equal(text, "old");
    mem_free(text);
    mem_free(path);
    scratch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_of_frp),
        cmocka_unit_test(test_zero_and_empty_mean_not_set),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all_problems_at_once),
        cmocka_unit_test(test_ignored_keys_are_named_in_one_warning),
        cmocka_unit_test(test_no_common_section),
        cmocka_unit_test(test_start_chooses),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_environment_of_a_file),
        cmocka_unit_test(test_load_missing_file),
        cmocka_unit_test(test_written_file_reads_back),
        cmocka_unit_test(test_unwritable_values_are_refused),
        cmocka_unit_test(test_write_file),
        cmocka_unit_test(test_write_failures),
        cmocka_unit_test(test_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
