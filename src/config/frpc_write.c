#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "config/frpc.h"
#include "config/problem.h"

/* A text under construction that goes away whole when one value has no spelling. */
struct page {
    char *text;
    bool broken;
};

/* Takes over `line`. */
static void add_line(struct page *page, char *line)
{
    char *longer = mem_printf("%s%s\n", page->text, line);

    mem_free_secret(page->text, strlen(page->text));
    mem_free_secret(line, strlen(line));
    page->text = longer;
}

static void add_text(struct page *page, const char *key, const char *value)
{
    char *encoded;

    if (value == NULL || *value == '\0')
        return;
    encoded = ini_encode(value);
    if (encoded == NULL) {
        page->broken = true;
        return;
    }
    add_line(page, mem_printf("%s = %s", key, encoded));
    mem_free_secret(encoded, strlen(encoded));
}

static void add_number(struct page *page, const char *key, long value)
{
    add_line(page, mem_printf("%s = %ld", key, value));
}

static void add_bool(struct page *page, const char *key, bool value)
{
    add_line(page, mem_printf("%s = %s", key, value ? "true" : "false"));
}

/* Defaults that changed in frp 0.50 and 0.58 are spelled out, so that an old client does the same.
 */
static void add_common(struct page *page, const struct client_config *cfg, size_t server)
{
    add_line(page, mem_strdup("# Written by mlgate at every start; frpc -c runs it as well."));
    add_line(page, mem_strdup("[common]"));
    add_text(page, "server_addr", cfg->servers[server].host);
    add_number(page, "server_port", cfg->servers[server].port);
    add_text(page, "token", cfg->token);
    add_text(page, "user", cfg->user);
    add_bool(page, "login_fail_exit", cfg->login_fail_exit);
    add_number(page, "pool_count", cfg->pool_count);
    add_number(page, "heartbeat_interval", cfg->heartbeat_interval_s);
    add_number(page, "heartbeat_timeout", cfg->heartbeat_timeout_s);
    add_number(page, "tcp_mux_keepalive_interval", cfg->mux_keepalive_s);
    add_number(page, "dial_server_timeout", cfg->dial_timeout_s);
    add_bool(page, "authenticate_heartbeats", (cfg->scopes & SCOPE_HEARTBEATS) != 0);
    add_bool(page, "authenticate_new_work_conns", (cfg->scopes & SCOPE_NEW_WORK_CONNS) != 0);
}

static void add_tls(struct page *page, const struct tls_client_config *tls)
{
    add_bool(page, "tls_enable", tls->enable);
    add_bool(page, "disable_custom_tls_first_byte", !tls->custom_first_byte);
    add_text(page, "tls_trusted_ca_file", tls->ca_file);
    add_text(page, "tls_cert_file", tls->cert_file);
    add_text(page, "tls_key_file", tls->key_file);
    add_text(page, "tls_server_name", tls->server_name);
    if (tls->n_pins > 0)
        add_line(page, mem_strdup("# mlgate also checks FRP_TLS_PIN, for which frpc has no key."));
}

static void add_proxy(struct page *page, const struct proxy_config *proxy)
{
    /* A section name has no quotes: it ends at the last bracket of its line. */
    if (strpbrk(proxy->name, "\r\n") != NULL || strstr(proxy->name, "{{") != NULL)
        page->broken = true;
    add_line(page, mem_printf("\n[%s]", proxy->name));
    add_line(page, mem_strdup("type = tcp"));
    add_text(page, "local_ip", proxy->local_ip);
    add_number(page, "local_port", proxy->local_port);
    add_number(page, "remote_port", proxy->remote_port);
    /* Said even when it is not used: [a.b] would take it from [a]. */
    add_bool(page, "use_encryption", proxy->use_encryption);
}

/* The last word on what was written is the reader's: a value that was harmless where it came from
 * may name another key here. */
static bool reads_back(const struct client_config *cfg, const char *text)
{
    const struct ini_key *token;
    struct problems problems;
    struct ini ini;
    bool same;

    problems_init(&problems);
    if (ini_read("frpc.ini", text, strlen(text), NULL, NULL, &ini, &problems) != 0) {
        problems_free(&problems);
        return false;
    }
    token = ini_key(&ini, ini_section(&ini, "common"), "token");
    same = strcmp(token ? token->value : "", cfg->token) == 0;
    ini_free(&ini);
    return same;
}

int frpc_render(const struct client_config *cfg, size_t server, char **out)
{
    struct page page = {.text = mem_strdup("")};

    add_common(&page, cfg, server);
    add_tls(&page, &cfg->tls);
    for (size_t i = 0; i < cfg->n_proxies; i++)
        add_proxy(&page, &cfg->proxies[i]);
    if (page.broken || !reads_back(cfg, page.text)) {
        mem_free_secret(page.text, strlen(page.text));
        return ERR_SYNTAX;
    }
    *out = page.text;
    return 0;
}

int frpc_write(const struct client_config *cfg, size_t server, const char *dir, const char *name,
               char *why, size_t why_size)
{
    char *text;
    int code = frpc_render(cfg, server, &text);

    if (code != 0) {
        snprintf(why, why_size, "%s/%s: a value cannot be written in frp's INI format", dir, name);
        return code;
    }
    code = file_store(dir, name, text, strlen(text), why, why_size);
    mem_free_secret(text, strlen(text));
    return code;
}
