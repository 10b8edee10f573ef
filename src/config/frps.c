#include "config/frps.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/client_config.h"
#include "config/field.h"
#include "config/keys.h"
#include "config/problem.h"
#include "config/token.h"
#include "config/value.h"

enum {
    SECONDS_MAX = 86400 * 365, /* frp has no limit; a year keeps milliseconds well inside 64 bits */
    POOL_MAX = 10000,
};

#define AT(member)   .offset = offsetof(struct server_config, member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Served another way; frp serves it on its dashboard's port. */
static const char prometheus_key[] = "enable_prometheus";

static const struct field fields[] = {
    {.name = "bind_addr", .kind = FIELD_IP, AT(bind_addr), .example = "0.0.0.0"},
    {.name = "bind_port", .kind = FIELD_PORT, AT(bind_port), .zero_unset = true},
    {.name = "proxy_bind_addr", .kind = FIELD_SCOPE, AT(proxy_bind), .example = "127.0.0.1"},
    {.name = "token",
     .kind = FIELD_ANY,
     AT(token),
     .max = TOKEN_MAX,
     .secret = true,
     .rule = "is longer than 4096 bytes"},
    {.name = "allow_ports",
     .kind = FIELD_PORTS,
     AT(allow_ports),
     .count_offset = offsetof(struct server_config, n_allow_ports),
     .example = "10001-19999,20001-29999"},
    {.name = "max_ports_per_client", .kind = FIELD_INT, AT(max_ports_per_client), .max = INT32_MAX},
    {.name = "max_pool_count",
     .kind = FIELD_INT,
     AT(max_pool_count),
     .max = POOL_MAX,
     .zero_unset = true},
    {.name = "user_conn_timeout",
     .kind = FIELD_INT,
     AT(user_conn_timeout_s),
     .min = 1,
     .max = SECONDS_MAX,
     .zero_unset = true},
    {.name = "heartbeat_timeout",
     .kind = FIELD_INT,
     AT(heartbeat_timeout_s),
     .min = -SECONDS_MAX,
     .max = SECONDS_MAX,
     .zero_unset = true},
    {.name = "tcp_mux_keepalive_interval",
     .kind = FIELD_INT,
     AT(mux_keepalive_s),
     .min = 1,
     .max = SECONDS_MAX,
     .zero_unset = true},
    {.name = "tls_only", .kind = FIELD_NOT_BOOL, AT(allow_plain)},
    {.name = "tls_cert_file", .kind = FIELD_FILE, AT(tls_cert_file)},
    {.name = "tls_key_file", .kind = FIELD_FILE, AT(tls_key_file)},
    {.name = "tls_trusted_ca_file", .kind = FIELD_FILE, AT(tls_client_ca)},
    {.name = "authenticate_heartbeats", .kind = FIELD_BIT, AT(scopes), .min = SCOPE_HEARTBEATS},
    {.name = "authenticate_new_work_conns",
     .kind = FIELD_BIT,
     AT(scopes),
     .min = SCOPE_NEW_WORK_CONNS},
    {.name = "detailed_errors_to_client", .kind = FIELD_BOOL, AT(detailed_errors)},
    {.name = "log_level", .kind = FIELD_LEVEL, AT(log_level), .example = "info"},
};

static const struct foreign_key foreign[] = {
    {"tcp_mux", "the server and its clients would not understand each other", "true"},
    {"authentication_method", "logins would be checked by the token", "token"},
    {"kcp_bind_port", "clients that use KCP would not be served", NULL},
    {"quic_bind_port", "clients that use QUIC would not be served", NULL},
    {"vhost_http_port", "http proxies would be refused", NULL},
    {"vhost_https_port", "https proxies would be refused", NULL},
    {"tcpmux_httpconnect_port", "tcpmux proxies would be refused", NULL},
};

/* What the file leaves open and frp leaves open with it. */
static const struct {
    const char *name;
    const char *line; /* to write instead */
    const char *meaning;
} advised[] = {
    {"tls_only", "tls_only = true",
     "connections without TLS are served; tls_only = true refuses them"},
    {"allow_ports", "allow_ports = 10001-19999,20001-29999",
     "clients may claim every port; allow_ports = 10001-19999,20001-29999 leaves those of "
     "CLIENT_ID"},
    {"proxy_bind_addr", "proxy_bind_addr = 127.0.0.1",
     "the clients' ports are open on every address of bind_addr; proxy_bind_addr "
     "= 127.0.0.1 keeps them on this machine"},
};

static void set_defaults(struct server_config *cfg)
{
    *cfg = (struct server_config){
        .bind_addr = mem_strdup("0.0.0.0"),
        .bind_port = 7000,
        .token = mem_strdup(""),
        .max_pool_count = 5,
        .user_conn_timeout_s = 10,
        .heartbeat_timeout_s = -1,
        .mux_keepalive_s = 30,
        .allow_plain = true,
        .detailed_errors = true,
        .memory_limit = (size_t)512 << 20,
        .log_level = LOG_INFO,
    };
}

static bool is_written(const struct ini *ini, const struct ini_section *common, const char *name)
{
    const struct ini_key *key = ini_key(ini, common, name);

    return key != NULL && key->value[0] != '\0';
}

static void advise(const struct ini *ini, const struct ini_section *common,
                   const struct server_config *cfg, struct problems *problems)
{
    for (size_t i = 0; i < COUNT(advised); i++) {
        bool tls_settled = strcmp(advised[i].name, "tls_only") == 0 && !cfg->allow_plain;

        if (!tls_settled && !is_written(ini, common, advised[i].name))
            problem_advise(problems, ini->file, advised[i].name, advised[i].line,
                           "%s is not set: %s", advised[i].name, advised[i].meaning);
    }
}

/* Sections of a server's file are plugins, which may refuse logins: leaving one out opens a door.
 */
static void judge_sections(struct keys *keys, const struct ini_section *common)
{
    for (size_t i = 0; i < keys->ini->n_sections; i++) {
        const struct ini_section *s = &keys->ini->sections[i];
        char *where;

        if (s == common)
            continue;
        if (strncmp(s->name, "plugin.", strlen("plugin.")) != 0) {
            for (size_t k = 0; k < s->n_keys; k++)
                keys_ignore(keys, s->keys[k].name);
            continue;
        }
        where = ini_where(keys->ini, s->line, s->name);
        problem_addf(keys->problems, where,
                     "server plugins are not served yet, and without it "
                     "what it refuses would be let in");
        mem_free(where);
    }
}

static void advise_metrics(const struct keys *keys, const struct ini_section *common,
                           struct problems *problems)
{
    const struct ini_key *key = ini_key(keys->ini, common, prometheus_key);
    bool wanted;

    if (key != NULL && value_ini_bool(key->value, &wanted) && wanted)
        problem_warn(problems, keys->ini->file,
                     "%s opens nothing here: --metrics 9180 (MLGATE_METRICS) serves numbers for "
                     "Prometheus on 127.0.0.1",
                     prometheus_key);
}

static void load_common(struct keys *keys, const struct ini_section *common,
                        struct server_config *cfg)
{
    keys_set(keys, common, fields, COUNT(fields), cfg);
    keys_refuse(keys, common, foreign, COUNT(foreign));
    for (size_t i = 0; i < common->n_keys; i++)
        if (!keys_in_fields(fields, COUNT(fields), common->keys[i].name) &&
            !keys_in_foreign(foreign, COUNT(foreign), common->keys[i].name) &&
            strcmp(common->keys[i].name, prometheus_key) != 0)
            keys_ignore(keys, common->keys[i].name);
    /* frp: demanding client certificates demands TLS, whatever tls_only says. */
    if (cfg->tls_client_ca)
        cfg->allow_plain = false;
    if ((cfg->tls_cert_file == NULL) != (cfg->tls_key_file == NULL))
        problem_addf(keys->problems, keys->ini->file,
                     "tls_cert_file and tls_key_file go together: one of them is missing");
}

int frps_parse(const char *name, const char *text, size_t len, ini_getenv *get, void *context,
               struct server_config *out, struct problems *problems)
{
    size_t before = problems->errors;
    struct ini ini;
    struct keys keys = {.ini = &ini, .problems = problems};
    const struct ini_section *common;
    int code = ini_read(name, text, len, get, context, &ini, problems);

    memset(out, 0, sizeof(*out));
    if (code != 0)
        return code;
    set_defaults(out);
    common = keys_common(&keys);
    if (common) {
        load_common(&keys, common, out);
        judge_sections(&keys, common);
        advise(&ini, common, out, problems);
        advise_metrics(&keys, common, problems);
        keys_report_ignored(&keys);
    }
    ini_free(&ini);
    if (problems->errors == before)
        return 0;
    server_config_free(out);
    return ERR_SYNTAX;
}

int frps_load(const char *path, ini_getenv *get, void *context, struct server_config *out,
              struct problems *problems)
{
    char *text;
    size_t len;
    int code = ini_read_file(path, &text, &len, problems);

    memset(out, 0, sizeof(*out));
    if (code != 0)
        return code;
    code = frps_parse(path, text, len, get, context, out, problems);
    mem_free_secret(text, len);
    return code;
}
