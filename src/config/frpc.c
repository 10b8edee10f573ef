#include "config/frpc.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/field.h"
#include "config/keys.h"
#include "config/problem.h"
#include "config/token.h"
#include "config/value.h"

enum {
    SECONDS_MAX = 86400 * 365, /* frp has no limit; a year keeps milliseconds well inside 64 bits */
    NAME_MAX_BYTES = 1024,     /* a name travels in messages of at most 10240 bytes */
    POOL_MAX = 10000,
    PROXIES_MAX = 65535, /* one for each port there is */
};

#define AT(member) .offset = offsetof(struct client_config, member)
#define SECONDS    .min = -SECONDS_MAX, .max = SECONDS_MAX, .zero_unset = true

static const struct field common_fields[] = {
    {.name = "token",
     .kind = FIELD_ANY,
     AT(token),
     .max = TOKEN_MAX,
     .secret = true,
     .rule = "is longer than 4096 bytes"},
    {.name = "user", .kind = FIELD_TEXT, AT(user), .max = NAME_MAX_BYTES},
    {.name = "tls_enable", .kind = FIELD_BOOL, AT(tls.enable)},
    {.name = "tls_trusted_ca_file", .kind = FIELD_FILE, AT(tls.ca_file)},
    {.name = "tls_cert_file", .kind = FIELD_FILE, AT(tls.cert_file)},
    {.name = "tls_key_file", .kind = FIELD_FILE, AT(tls.key_file)},
    {.name = "tls_server_name", .kind = FIELD_HOST, AT(tls.server_name)},
    {.name = "disable_custom_tls_first_byte", .kind = FIELD_NOT_BOOL, AT(tls.custom_first_byte)},
    {.name = "pool_count", .kind = FIELD_INT, AT(pool_count), .max = POOL_MAX, .zero_unset = true},
    {.name = "heartbeat_interval", .kind = FIELD_INT, AT(heartbeat_interval_s), SECONDS},
    {.name = "heartbeat_timeout", .kind = FIELD_INT, AT(heartbeat_timeout_s), SECONDS},
    {.name = "tcp_mux_keepalive_interval",
     .kind = FIELD_INT,
     AT(mux_keepalive_s),
     .min = 1,
     .max = SECONDS_MAX,
     .zero_unset = true},
    {.name = "dial_server_timeout",
     .kind = FIELD_INT,
     AT(dial_timeout_s),
     .min = 1,
     .max = SECONDS_MAX,
     .zero_unset = true},
    {.name = "authenticate_heartbeats", .kind = FIELD_BIT, AT(scopes), .min = SCOPE_HEARTBEATS},
    {.name = "authenticate_new_work_conns",
     .kind = FIELD_BIT,
     AT(scopes),
     .min = SCOPE_NEW_WORK_CONNS},
    {.name = "login_fail_exit", .kind = FIELD_BOOL, AT(login_fail_exit)},
    {.name = "log_level", .kind = FIELD_LEVEL, AT(log_level), .example = "info"},
};
#undef AT
#define AT(member) .offset = offsetof(struct server_addr, member)

static const struct field server_fields[] = {
    {.name = "server_addr", .kind = FIELD_HOST, AT(host), .example = "frp.example.org"},
    {.name = "server_port", .kind = FIELD_PORT, AT(port), .zero_unset = true, .example = "7000"},
};
#undef AT
#define AT(member) .offset = offsetof(struct proxy_config, member)

enum { PROXY_LOCAL_IP, PROXY_LOCAL_PORT, PROXY_REMOTE_PORT, PROXY_ENCRYPTION };

static const struct field proxy_fields[] = {
    [PROXY_LOCAL_IP] = {.name = "local_ip",
                        .kind = FIELD_HOST,
                        AT(local_ip),
                        .example = "127.0.0.1"},
    [PROXY_LOCAL_PORT] = {.name = "local_port",
                          .kind = FIELD_PORT,
                          AT(local_port),
                          .example = "8080"},
    [PROXY_REMOTE_PORT] = {.name = "remote_port",
                           .kind = FIELD_PORT_OR_0,
                           AT(remote_port),
                           .example = "10042"},
    [PROXY_ENCRYPTION] = {.name = "use_encryption", .kind = FIELD_BOOL, AT(use_encryption)},
};
#undef AT

static const struct foreign_key foreign_common[] = {
    {"protocol", "the server would be reached in another way", "tcp"},
    {"tcp_mux", "the server and this client would not understand each other", "true"},
    {"http_proxy", "the server would be dialled directly", NULL},
    {"connect_server_local_ip", "the server would be dialled from another address", NULL},
    {"authentication_method", "the login would be made with the token", "token"},
    {"includes", "the proxies of those files would be missing", NULL},
};

static const struct foreign_key foreign_kind[] = {
    {"type", "a tcp proxy would stand in its place", "tcp"},
    {"role", "a proxy would stand where a visitor is meant", "server"},
};

static const struct foreign_key foreign_proxy[] = {
    {"plugin", "another service would be exposed", NULL},
    {"use_compression", "the two sides would not agree on the bytes", NULL},
    {"bandwidth_limit", "the proxy would have no limit", NULL},
    {"proxy_protocol_version", "the service would miss the PROXY header", NULL},
    {"group", "the proxy would not share its port", NULL},
    {"health_check_type", "the proxy would stay open while its service is down", NULL},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct loader {
    struct keys keys;
    const struct ini *ini;
    const struct ini_section *common;
    struct client_config *cfg;
    struct problems *problems;
    const char *start; /* the list of names, NULL: all */
};

static const char range_prefix[] = "range:";

static bool is_range(const char *name)
{
    return strncmp(name, range_prefix, sizeof(range_prefix) - 1) == 0;
}

static void set_defaults(struct client_config *cfg)
{
    *cfg = (struct client_config){
        .token = mem_strdup(""),
        .user = mem_strdup(""),
        .tls = {.enable = true},
        .pool_count = 1,
        .heartbeat_interval_s = -1,
        .heartbeat_timeout_s = -1,
        .mux_keepalive_s = 30,
        .dial_timeout_s = 10,
        .login_fail_exit = true,
        .dead_after_s = 30,
        .memory_limit = (size_t)256 << 20,
        .log_level = LOG_INFO,
    };
    cfg->servers = mem_zalloc(sizeof(*cfg->servers));
    cfg->n_servers = 1;
    *cfg->servers = (struct server_addr){.host = mem_strdup("0.0.0.0"), .port = 7000};
}

static void check_tls(struct loader *l)
{
    const struct tls_client_config *tls = &l->cfg->tls;

    if ((tls->cert_file == NULL) != (tls->key_file == NULL))
        problem_addf(l->problems, l->ini->file,
                     "tls_cert_file and tls_key_file go together: one of them is missing");
    if (!tls->enable && (tls->ca_file || tls->cert_file || tls->key_file))
        problem_warn(l->problems, l->ini->file, "the tls_ files have no effect without tls_enable");
}

static void check_heartbeat(struct loader *l)
{
    const struct client_config *cfg = l->cfg;

    if (cfg->heartbeat_interval_s > 0 && cfg->heartbeat_timeout_s > 0 &&
        cfg->heartbeat_timeout_s < cfg->heartbeat_interval_s)
        problem_addf(l->problems, l->ini->file,
                     "heartbeat_timeout must not be less than heartbeat_interval");
}

static void ignore_unknown(struct loader *l)
{
    for (size_t i = 0; i < l->common->n_keys; i++) {
        const char *name = l->common->keys[i].name;

        if (strcmp(name, "start") != 0 &&
            !keys_in_fields(common_fields, COUNT(common_fields), name) &&
            !keys_in_fields(server_fields, COUNT(server_fields), name) &&
            !keys_in_foreign(foreign_common, COUNT(foreign_common), name))
            keys_ignore(&l->keys, name);
    }
}

static void load_common(struct loader *l)
{
    const struct ini_key *start = ini_key(l->ini, l->common, "start");

    keys_set(&l->keys, l->common, common_fields, COUNT(common_fields), l->cfg);
    keys_set(&l->keys, l->common, server_fields, COUNT(server_fields), l->cfg->servers);
    keys_refuse(&l->keys, l->common, foreign_common, COUNT(foreign_common));
    ignore_unknown(l);
    check_tls(l);
    check_heartbeat(l);
    l->start = start && start->value[0] ? start->value : NULL;
}

/* Without a copy of each item: a range of ports asks once a port. */
static bool is_started(const struct loader *l, const char *name)
{
    const size_t name_len = strlen(name);
    const char *next;

    if (l->start == NULL)
        return true;
    for (const char *at = l->start; at; at = next) {
        size_t len = strcspn(at, ",");

        next = at[len] ? at + len + 1 : NULL;
        ini_trim(&at, &len);
        if (len == name_len && memcmp(at, name, len) == 0)
            return true;
    }
    return false;
}

static void add_proxy(struct loader *l, const struct proxy_config *proxy)
{
    struct client_config *cfg = l->cfg;
    size_t n = cfg->n_proxies;

    /* Room for the next power of two: a range may add one proxy for each port there is. */
    if ((n & (n - 1)) == 0)
        cfg->proxies = mem_array(cfg->proxies, n ? 2 * n : 1, sizeof(*cfg->proxies));
    cfg->proxies[cfg->n_proxies++] = *proxy;
}

static bool proxy_name_ok(struct loader *l, const struct ini_section *s, const char *name)
{
    char *where;

    if (value_word(name, NAME_MAX_BYTES) && !is_range(name))
        return true;
    where = ini_where(l->ini, s->line, NULL);
    problem_add(
        l->problems, where, name,
        "a proxy's name must not be blank, begin with range:, have control characters or be "
        "longer than 1024 bytes",
        NULL);
    mem_free(where);
    return false;
}

/* What a section says about a proxy besides its ports; false when it is not one that we serve. */
static bool load_proxy_keys(struct loader *l, const struct ini_section *s,
                            const struct field *fields, size_t n, struct proxy_config *proxy)
{
    size_t before = l->problems->errors;

    if (!keys_refuse(&l->keys, s, foreign_kind, COUNT(foreign_kind)))
        return false;
    proxy->local_ip = mem_strdup("127.0.0.1");
    keys_set(&l->keys, s, fields, n, proxy);
    keys_refuse(&l->keys, s, foreign_proxy, COUNT(foreign_proxy));
    for (size_t i = 0; i < s->n_keys; i++)
        if (!keys_in_fields(proxy_fields, COUNT(proxy_fields), s->keys[i].name) &&
            !keys_in_foreign(foreign_kind, COUNT(foreign_kind), s->keys[i].name) &&
            !keys_in_foreign(foreign_proxy, COUNT(foreign_proxy), s->keys[i].name))
            keys_ignore(&l->keys, s->keys[i].name);
    return l->problems->errors == before;
}

static void load_proxy(struct loader *l, const struct ini_section *s)
{
    struct proxy_config proxy = {0};
    char *where;

    if (!proxy_name_ok(l, s, s->name) ||
        !load_proxy_keys(l, s, proxy_fields, COUNT(proxy_fields), &proxy)) {
        mem_free(proxy.local_ip);
        return;
    }
    if (proxy.local_port == 0) {
        where = ini_where(l->ini, s->line, s->name);
        problem_addf(l->problems, where, "local_port is missing");
        mem_free(where);
    }
    proxy.name = mem_strdup(s->name);
    add_proxy(l, &proxy);
}

struct port_list {
    struct port_range *ranges;
    size_t n;
    size_t ports;
};

static bool load_port_list(struct loader *l, const struct ini_section *s, const char *name,
                           struct port_list *list)
{
    const struct ini_key *key = ini_key(l->ini, s, name);

    if (key == NULL || !value_port_ranges(key->value, &list->ranges, &list->n)) {
        char *where = ini_where(l->ini, key ? key->line : s->line, name);

        problem_add(l->problems, where, key ? key->value : NULL,
                    "a range section needs a list of ports and ranges from 1 to 65535",
                    "6000-6006,6007");
        mem_free(where);
        return false;
    }
    for (size_t i = 0; i < list->n; i++)
        list->ports += (size_t)(list->ranges[i].last - list->ranges[i].first) + 1;
    return true;
}

static uint16_t nth_port(const struct port_list *list, size_t n)
{
    for (size_t i = 0; i < list->n; i++) {
        size_t here = (size_t)(list->ranges[i].last - list->ranges[i].first) + 1;

        if (n < here)
            return (uint16_t)(list->ranges[i].first + n);
        n -= here;
    }
    return 0;
}

static char *range_name(const struct ini_section *s)
{
    const char *name = s->name + sizeof(range_prefix) - 1;
    size_t len = strlen(name);

    ini_trim(&name, &len);
    return mem_strndup(name, len);
}

/* A proxy would take the keys of the section of the same name in frp; nobody means that. */
static bool name_is_free(struct loader *l, const struct ini_section *s, const char *name)
{
    char *where;

    if (ini_section(l->ini, name) == NULL)
        return true;
    where = ini_where(l->ini, s->line, name);
    problem_addf(l->problems, where, "the range and a section give the same name");
    mem_free(where);
    return false;
}

static void expand_range(struct loader *l, const struct ini_section *s, const char *base,
                         const struct proxy_config *pattern, const struct port_list *local,
                         const struct port_list *remote)
{
    for (size_t i = 0; i < local->ports; i++) {
        struct proxy_config proxy = *pattern;

        proxy.name = mem_printf("%s_%zu", base, i);
        if (!is_started(l, proxy.name) || !name_is_free(l, s, proxy.name)) {
            mem_free(proxy.name);
            continue;
        }
        proxy.local_ip = mem_strdup(pattern->local_ip);
        proxy.local_port = nth_port(local, i);
        proxy.remote_port = nth_port(remote, i);
        add_proxy(l, &proxy);
    }
}

static void check_range(struct loader *l, const struct ini_section *s, const char *base,
                        const struct proxy_config *pattern)
{
    struct port_list local = {0};
    struct port_list remote = {0};
    bool ok = load_port_list(l, s, "local_port", &local);
    char *where = ini_where(l->ini, s->line, NULL);

    ok = load_port_list(l, s, "remote_port", &remote) && ok;
    if (ok && local.ports != remote.ports)
        problem_addf(l->problems, where, "local_port has %zu ports and remote_port %zu",
                     local.ports, remote.ports);
    else if (ok && local.ports > PROXIES_MAX - l->cfg->n_proxies)
        problem_addf(l->problems, where, "makes more than %d proxies", PROXIES_MAX);
    else if (ok)
        expand_range(l, s, base, pattern, &local, &remote);
    mem_free(where);
    mem_free(local.ranges);
    mem_free(remote.ranges);
}

/* Blanks behind the colon do not count, so two sections may give the same names. */
static bool range_is_first(struct loader *l, const struct ini_section *s, const char *base)
{
    bool first = true;
    char *where;

    for (const struct ini_section *o = l->ini->sections; o < s && first; o++) {
        char *other = is_range(o->name) ? range_name(o) : NULL;

        first = other == NULL || strcmp(other, base) != 0;
        mem_free(other);
    }
    if (first)
        return true;
    where = ini_where(l->ini, s->line, NULL);
    problem_add(l->problems, where, s->name, "another range has the same name", NULL);
    mem_free(where);
    return false;
}

/* [range:NAME] stands for NAME_0, NAME_1, ... with one pair of ports each. */
static void load_range(struct loader *l, const struct ini_section *s)
{
    /* The fields of a proxy without the ports, which are lists here. */
    const struct field fields[] = {proxy_fields[PROXY_LOCAL_IP], proxy_fields[PROXY_ENCRYPTION]};
    struct proxy_config pattern = {0};
    char *base = range_name(s);

    if (proxy_name_ok(l, s, base) && range_is_first(l, s, base) &&
        load_proxy_keys(l, s, fields, COUNT(fields), &pattern))
        check_range(l, s, base, &pattern);
    mem_free(pattern.local_ip);
    mem_free(base);
}

static void load_sections(struct loader *l)
{
    for (size_t i = 0; i < l->ini->n_sections; i++) {
        const struct ini_section *s = &l->ini->sections[i];

        if (s == l->common)
            continue;
        if (strcmp(s->name, "DEFAULT") == 0)
            for (size_t k = 0; k < s->n_keys; k++)
                keys_ignore(&l->keys, s->keys[k].name);
        else if (is_range(s->name))
            load_range(l, s);
        else if (is_started(l, s->name))
            load_proxy(l, s);
    }
    if (l->cfg->n_proxies == 0)
        problem_warn(l->problems, l->ini->file, "no proxy is configured%s",
                     l->start ? ", or none that start names" : "");
}

static void load_all(struct loader *l)
{
    l->common = keys_common(&l->keys);
    if (l->common == NULL)
        return;
    load_common(l);
    load_sections(l);
    keys_report_ignored(&l->keys);
}

int frpc_parse(const char *name, const char *text, size_t len, ini_getenv *get, void *context,
               struct client_config *out, struct problems *problems)
{
    size_t before = problems->errors;
    struct ini ini;
    struct loader l = {
        .keys = {.ini = &ini, .problems = problems}, .ini = &ini, .cfg = out, .problems = problems};
    int code = ini_read(name, text, len, get, context, &ini, problems);
    const char *proxy = get ? get(context, "http_proxy") : NULL;

    memset(out, 0, sizeof(*out));
    if (code != 0)
        return code;
    set_defaults(out);
    out->run_id_file = mem_printf("%s.run_id", name);
    load_all(&l);
    ini_free(&ini);
    if (proxy && *proxy)
        problem_warn(problems, "http_proxy", "is not served yet: the server is dialled directly");
    if (problems->errors == before)
        return 0;
    client_config_free(out);
    return ERR_SYNTAX;
}

int frpc_load(const char *path, ini_getenv *get, void *context, struct client_config *out,
              struct problems *problems)
{
    char *text;
    size_t len;
    int code = ini_read_file(path, &text, &len, problems);

    memset(out, 0, sizeof(*out));
    if (code != 0)
        return code;
    code = frpc_parse(path, text, len, get, context, out, problems);
    mem_free_secret(text, len);
    return code;
}
