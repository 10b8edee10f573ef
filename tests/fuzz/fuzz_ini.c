/* The INI reader and the two loaders above it. Beyond not crashing: an answer agrees with the
 * problems it gives, what a loader takes is in range, every value can be written so that it reads
 * the same, and a client's configuration survives being written and read. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/frpc.h"
#include "config/frps.h"
#include "config/ini.h"
#include "config/problem.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *context, const char *name)
{
    switch (name[0]) {
    case 'A':
        return "value";
    case 'B':
        return "\"{{ .Envs.A }}\" `";
    case 'C':
        return "two\nlines";
    default:
        return NULL;
    }
}

static void check_value(const char *value)
{
    char *encoded = ini_encode(value);
    char *decoded;
    bool unquoted;

    if (encoded == NULL) {
        CHECK(strpbrk(value, "\r\n") || strstr(value, "{{") || strchr(value, '"'));
        return;
    }
    CHECK(ini_decode(encoded, strlen(encoded), &decoded, &unquoted) == 0);
    CHECK(strcmp(decoded, value) == 0);
    mem_free(decoded);
    mem_free(encoded);
}

static void fuzz_reader(const char *text, size_t size)
{
    struct problems problems;
    struct ini ini;
    size_t keys = 0;
    int code;

    problems_init(&problems);
    code = ini_read("f", text, size, lookup, NULL, &ini, &problems);
    CHECK((code == 0) == (problems.errors == 0));
    for (size_t i = 0; i < ini.n_sections; i++) {
        CHECK(ini.sections[i].name[0] != '\0');
        CHECK(ini_section(&ini, ini.sections[i].name) == &ini.sections[i]);
        for (size_t k = 0; k < ini.sections[i].n_keys; k++, keys++) {
            const struct ini_key *key = &ini.sections[i].keys[k];

            CHECK(ini_key(&ini, &ini.sections[i], key->name) == key);
            CHECK(key->line > 0);
            check_value(key->value);
        }
    }
    CHECK(keys == ini.n_keys);
    ini_free(&ini);
    problems_free(&problems);
}

static void check_client(const struct client_config *cfg)
{
    CHECK(cfg->n_servers == 1 && cfg->servers[0].host[0] && cfg->servers[0].port);
    CHECK(cfg->token && cfg->user && cfg->pool_count >= 1 && cfg->mux_keepalive_s >= 1);
    CHECK(cfg->dial_timeout_s >= 1);
    CHECK((cfg->tls.cert_file == NULL) == (cfg->tls.key_file == NULL));
    for (size_t i = 0; i < cfg->n_proxies; i++) {
        CHECK(cfg->proxies[i].name[0] && cfg->proxies[i].local_ip[0]);
        CHECK(cfg->proxies[i].local_port != 0);
        for (size_t k = 0; k < i && i < 64; k++)
            CHECK(strcmp(cfg->proxies[i].name, cfg->proxies[k].name) != 0);
    }
}

static void check_same(const struct client_config *a, const struct client_config *b)
{
    CHECK(strcmp(a->servers[0].host, b->servers[0].host) == 0);
    CHECK(strcmp(a->token, b->token) == 0 && strcmp(a->user, b->user) == 0);
    CHECK(a->scopes == b->scopes && a->tls.enable == b->tls.enable);
    CHECK(a->pool_count == b->pool_count && a->login_fail_exit == b->login_fail_exit);
    CHECK(a->n_proxies == b->n_proxies);
    for (size_t i = 0; i < a->n_proxies; i++) {
        CHECK(strcmp(a->proxies[i].name, b->proxies[i].name) == 0);
        CHECK(strcmp(a->proxies[i].local_ip, b->proxies[i].local_ip) == 0);
        CHECK(a->proxies[i].local_port == b->proxies[i].local_port);
        CHECK(a->proxies[i].remote_port == b->proxies[i].remote_port);
        CHECK(a->proxies[i].use_encryption == b->proxies[i].use_encryption);
    }
}

static void check_round_trip(const struct client_config *cfg)
{
    struct client_config again;
    struct problems problems;
    char *text;

    /* Rendering is linear in the page for each line; a few hundred proxies tell as much. */
    if (cfg->n_proxies > 300 || frpc_render(cfg, 0, &text) != 0)
        return;
    problems_init(&problems);
    CHECK(frpc_parse("f", text, strlen(text), NULL, NULL, &again, &problems) == 0);
    check_same(cfg, &again);
    client_config_free(&again);
    problems_free(&problems);
    mem_free(text);
}

static void fuzz_client(const char *text, size_t size)
{
    struct client_config cfg;
    struct problems problems;
    int code;

    problems_init(&problems);
    code = frpc_parse("f", text, size, lookup, NULL, &cfg, &problems);
    CHECK((code == 0) == (problems.errors == 0));
    if (code == 0) {
        check_client(&cfg);
        check_round_trip(&cfg);
    } else {
        CHECK(cfg.servers == NULL && cfg.token == NULL && cfg.proxies == NULL);
    }
    client_config_free(&cfg);
    problems_free(&problems);
}

static void fuzz_server(const char *text, size_t size)
{
    struct server_config cfg;
    struct problems problems;
    int code;

    problems_init(&problems);
    code = frps_parse("f", text, size, lookup, NULL, &cfg, &problems);
    CHECK((code == 0) == (problems.errors == 0));
    if (code == 0) {
        CHECK(cfg.bind_addr && cfg.bind_port && cfg.token && cfg.max_pool_count >= 1);
        CHECK(cfg.user_conn_timeout_s >= 1 && cfg.mux_keepalive_s >= 1);
        CHECK(cfg.tls_client_ca == NULL || !cfg.allow_plain);
        for (size_t i = 0; i < cfg.n_allow_ports; i++)
            CHECK(cfg.allow_ports[i].first && cfg.allow_ports[i].first <= cfg.allow_ports[i].last);
    } else {
        CHECK(cfg.token == NULL && cfg.allow_ports == NULL);
    }
    server_config_free(&cfg);
    problems_free(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    fuzz_reader(text, size);
    fuzz_client(text, size);
    fuzz_server(text, size);
    return 0;
}
