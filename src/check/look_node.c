#include "check/look_node.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/interface.h"
#include "net/tls.h"

/* ---- addresses ------------------------------------------------------------------------------- */

size_t look_public(const char *given, char out[LOOK_PUBLIC_MAX][ADDR_TEXT])
{
    struct ifaddrs *list = NULL;
    size_t n = 0;

    if (given != NULL)
        snprintf(out[n++], ADDR_TEXT, "%s", given);
    if (getifaddrs(&list) != 0)
        return n;
    for (const struct ifaddrs *i = list; i != NULL && n < LOOK_PUBLIC_MAX; i = i->ifa_next) {
        const struct sockaddr *a = i->ifa_addr;

        if (a != NULL && (i->ifa_flags & IFF_UP) != 0 &&
            (a->sa_family == AF_INET || a->sa_family == AF_INET6) && sockaddr_is_public(a))
            sockaddr_text(a, out[n++]);
    }
    freeifaddrs(list);
    return n;
}

static bool is_any(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static enum reach reach_of(const struct sockaddr *a, bool any_is_public)
{
    char text[ADDR_TEXT];

    sockaddr_text(a, text);
    if (is_any(text))
        return any_is_public ? REACH_PUBLIC : REACH_ANY;
    if (strncmp(text, "127.", 4) == 0 || strcmp(text, "::1") == 0)
        return REACH_LOOPBACK;
    return sockaddr_is_public(a) ? REACH_PUBLIC : REACH_PRIVATE;
}

void look_proxy_bind(const struct server_config *cfg, const char *public,
                     struct proxy_bind_facts *f, char address[ADDR_TEXT], char error[LOOK_ERROR])
{
    struct sockaddr_storage at;

    *f = (struct proxy_bind_facts){.asked =
                                       cfg->proxy_bind != NULL ? cfg->proxy_bind : cfg->bind_addr,
                                   .address = address,
                                   .follows = cfg->proxy_bind == NULL};
    if (interface_address(f->asked, &at, error, LOOK_ERROR) != 0) {
        f->error = error;
        return;
    }
    sockaddr_text((const struct sockaddr *)&at, address);
    f->reach = reach_of((const struct sockaddr *)&at, public != NULL);
    f->public = f->reach == REACH_PUBLIC && !is_any(address) ? address : public;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* false: the files are not there, or what is wrong with them is in `error`. */
static bool load_pair(const char *cert, const char *key, char error[LOOK_ERROR])
{
    const struct tls_server_options o = {.cert_file = cert, .key_file = key};
    struct tls_context *context = tls_context_server(&o, error, LOOK_ERROR);
    bool good = context != NULL;

    tls_context_free(context);
    return good;
}

void look_server_tls(const struct server_config *cfg, struct server_tls_facts *f,
                     char error[LOOK_ERROR])
{
    char *key = NULL;
    struct stat st;

    *f = (struct server_tls_facts){.given = cfg->tls_cert_file != NULL,
                                   .now_s = (int64_t)time(NULL)};
    if (f->given) {
        f->cert_file = mem_strdup(cfg->tls_cert_file);
        key = mem_strdup(cfg->tls_key_file);
    } else if (cfg->state_dir != NULL) {
        f->cert_file = mem_printf("%s/server.crt", cfg->state_dir);
        key = mem_printf("%s/server.key", cfg->state_dir);
    }
    f->here = f->cert_file != NULL && access(f->cert_file, F_OK) == 0;
    if (f->here || f->given) {
        if (!load_pair(f->cert_file, key, error))
            f->error = error;
        else if (certificate_read(f->cert_file, &f->certificate) != 0)
            f->error = "the certificate cannot be read";
        f->key_mode = stat(key, &st) == 0 ? st.st_mode : 0;
    }
    mem_free(key);
}

void look_token_file(struct token_file_facts *f)
{
    struct stat st;

    if (f->path == NULL)
        return;
    if (stat(f->path, &st) != 0) {
        f->error = errno;
        return;
    }
    f->mode = st.st_mode;
    f->owner = st.st_uid;
}

/* ---- listeners and clock --------------------------------------------------------------------- */

static enum reach reach_of_listener(const struct listening *l, bool any_is_public)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memcpy(&v4.sin_addr, l->addr, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, l->addr, sizeof(v6.sin6_addr));
    return reach_of(l->table == SOCKETS_TCP4 ? (const struct sockaddr *)&v4
                                             : (const struct sockaddr *)&v6,
                    any_is_public);
}

void look_exposed(const struct port_table *t, bool any_is_public, struct exposed_facts *f)
{
    f->listens = REACH_NOTHING;
    f->unreadable = t->unreadable;
    for (size_t i = 0; i < t->count; i++) {
        enum reach reach = reach_of_listener(&t->items[i], any_is_public);

        if (t->items[i].port == f->port && reach > f->listens)
            f->listens = reach;
    }
}

void look_clock(struct clock_facts *f)
{
    struct timex t = {.modes = 0};
    int state = adjtimex(&t);

    f->known = state >= 0;
    f->synchronised = state >= 0 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0;
    f->error_us = t.maxerror;
}
