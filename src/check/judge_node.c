#include "check/judge_node.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check/judge_tunnel.h"
#include "check/known_port.h"

enum {
    DAY_S = 24 * 3600,
    CLIENT_FIRST_1 = 10001, /* what 1{CLIENT_ID} and 2{CLIENT_ID} are, less 0000 */
    CLIENT_LAST_1 = 19999,
    CLIENT_FIRST_2 = 20001,
    CLIENT_LAST_2 = 29999,
    PER_LEADING_DIGIT = 10000,
    CLOCK_ERROR_US = 1000000, /* what is off by more is not kept by NTP, whatever it says */
};

/* ---- where the server listens ---------------------------------------------------------------- */

/* Who holds a port for a container that has published it. */
static bool is_forwarder(const char *name)
{
    static const char *const names[] = {"docker-proxy", "rootlessport", "rootlesskit",
                                        "conmon",       "slirp4netns",  "pasta"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

void judge_server_bind(struct findings *list, const struct holder_facts *f)
{
    bool server = f->ours || strcmp(f->name, "frps") == 0;

    if (f->unreadable) {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_SKIP,
                    "/proc/net/tcp cannot be read here");
    } else if (!f->held) {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_WARN,
                    "is free: no server runs here");
        finding_remedy(list, "start it: `docker compose -f deploy/compose.yml up -d`, `systemctl "
                             "start mlgate-server`, or `mlgate server` with these flags");
    } else if (server) {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_OK, "is held by %s (process %d)",
                    f->name, f->pid);
    } else if (is_forwarder(f->name)) {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_OK,
                    "is published by a container, through %s (process %d)", f->name, f->pid);
    } else if (f->name[0] == '\0') {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_WARN,
                    "is held by a program that only root may see");
        finding_remedy(list, "look again as root");
    } else {
        finding_add(list, CHECK_SERVER_BIND, f->address, VERDICT_FAIL,
                    "is held by %s (process %d), which is no frp server", f->name, f->pid);
        finding_remedy(
            list, "end that program, or choose another port with --bind (bind_port) or --metrics");
    }
}

static void proxy_bind_open(struct findings *list, const struct proxy_bind_facts *f)
{
    if (f->reach == REACH_PUBLIC && strcmp(f->address, f->public) == 0)
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_FAIL,
                    "%s is a public address: whoever reaches the clients' ports there uses their "
                    "GPUs",
                    f->address);
    else if (f->reach == REACH_PUBLIC)
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_FAIL,
                    "it means every address, also the public %s: whoever reaches the clients' "
                    "ports there uses their GPUs",
                    f->public);
    else
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_WARN,
                    "it means every address; none of this machine's is public, but one that the "
                    "provider or Docker forwards to it cannot be seen from here");
    finding_remedy(list, "--proxy-bind (proxy_bind_addr) with the network of the API node's "
                         "container, such as 172.18.0.0/16, or 127.0.0.1 where both share one");
}

void judge_proxy_bind(struct findings *list, const struct proxy_bind_facts *f)
{
    const char *follows =
        f->follows ? "; proxy_bind_addr is not set and follows bind_addr (--bind)" : "";

    if (f->error != NULL) {
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_FAIL, "%s", f->error);
        finding_remedy(list, "--proxy-bind (proxy_bind_addr) must be an address, an interface or a "
                             "network of this machine");
    } else if (f->reach >= REACH_ANY) {
        proxy_bind_open(list, f);
    } else if (f->reach == REACH_LOOPBACK) {
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_OK,
                    "the clients' ports are open on loopback: to an API node on this machine that "
                    "is no container with a network of its own%s",
                    follows);
    } else {
        finding_add(list, CHECK_SERVER_PROXY_BIND, f->asked, VERDICT_OK,
                    "the clients' ports are open on %s, which is private%s", f->address, follows);
    }
}

/* ---- which ports may be claimed -------------------------------------------------------------- */

static bool is_of_clients(const struct port_range *r)
{
    return (r->first >= CLIENT_FIRST_1 && r->last <= CLIENT_LAST_1) ||
           (r->first >= CLIENT_FIRST_2 && r->last <= CLIENT_LAST_2);
}

void judge_allow_ports(struct findings *list, const struct port_range *ranges, size_t n)
{
    bool more = n == 0;

    for (size_t i = 0; i < n; i++)
        more |= !is_of_clients(&ranges[i]);
    if (!more) {
        finding_add(list, CHECK_SERVER_PORTS, NULL, VERDICT_OK,
                    "only ports of CLIENT_IDs; where the chain's node runs on this machine, give "
                    "out none of 6656, 6657, 6658 and 6660");
        return;
    }
    finding_add(list, CHECK_SERVER_PORTS, NULL, VERDICT_WARN,
                n == 0 ? "clients may claim every port, also those of the API node"
                       : "clients may claim ports that belong to no CLIENT_ID");
    finding_remedy(list, "--allow-ports 10001-19999,20001-29999 (allow_ports)");
}

void judge_taken_port(struct findings *list, const struct holder_facts *f, uint16_t port)
{
    char subject[8];

    if (!f->held || f->ours || strcmp(f->name, "frps") == 0)
        return;
    snprintf(subject, sizeof(subject), "%u", port);
    finding_add(list, CHECK_SERVER_PORTS, subject, VERDICT_WARN, "%s has it (known for %s)",
                f->name[0] ? f->name : "another program", known_port_use(port));
    finding_remedy(list, "give CLIENT_ID %04u to nobody", port % PER_LEADING_DIGIT);
}

/* ---- certificate and token ------------------------------------------------------------------- */

static void no_certificate(struct findings *list, const struct server_tls_facts *f)
{
    if (f->cert_file != NULL) {
        finding_add(list, CHECK_SERVER_TLS, NULL, VERDICT_OK,
                    "%s is not there yet: the server makes one at its first start and prints the "
                    "pin",
                    f->cert_file);
        return;
    }
    finding_add(list, CHECK_SERVER_TLS, NULL, VERDICT_WARN,
                "the server makes a new certificate at each start, which nobody can pin");
    finding_remedy(list,
                   "--state-dir DIRECTORY keeps it, or --tls-cert and --tls-key; a server that "
                   "has them already: give this check its flags");
}

void judge_server_tls(struct findings *list, const struct server_tls_facts *f)
{
    int64_t left = f->certificate.not_after - f->now_s;

    if (!f->here && !f->given) {
        no_certificate(list, f);
    } else if (f->error != NULL) {
        finding_add(list, CHECK_SERVER_TLS, f->cert_file, VERDICT_FAIL, "%s", f->error);
        finding_remedy(list, "certificate and key must be PEM files of one pair that the server "
                             "may read");
    } else if (left < CHECK_EXPIRY_SOON_S) {
        finding_add(list, CHECK_SERVER_TLS, f->cert_file, left < 0 ? VERDICT_FAIL : VERDICT_WARN,
                    left < 0 ? "it ended %" PRId64 " days ago" : "it ends in %" PRId64 " days",
                    (left < 0 ? -left : left) / DAY_S);
        finding_remedy(list,
                       "make a new one; with the same key the clients' pins stay as they are");
    } else if ((f->key_mode & 077) != 0) {
        finding_add(list, CHECK_SERVER_TLS, f->cert_file, VERDICT_WARN,
                    "others than its owner may read its key (mode %04o)",
                    (unsigned)(f->key_mode & 07777));
        finding_remedy(list, "chmod 600 the key");
    } else {
        finding_add(list, CHECK_SERVER_TLS, f->cert_file, VERDICT_OK,
                    "valid for another %" PRId64 " days; for clients FRP_TLS_PIN=%s", left / DAY_S,
                    f->certificate.pin);
    }
}

void judge_state_dir(struct findings *list, const struct directory_facts *d, bool certificate_given)
{
    if (d->path == NULL) {
        finding_add(list, CHECK_SERVER_STATE_DIR, NULL,
                    certificate_given ? VERDICT_OK : VERDICT_SKIP,
                    certificate_given ? "not needed: the certificate is given"
                                      : "none is set (see server.tls)");
    } else if (d->writable && (d->is_directory || !d->exists)) {
        finding_add(list, CHECK_SERVER_STATE_DIR, d->path, VERDICT_OK,
                    d->exists ? "can be written" : "can be made");
    } else {
        finding_add(list, CHECK_SERVER_STATE_DIR, d->path, VERDICT_FAIL, "cannot be written: %s",
                    d->exists && !d->is_directory ? "it is no directory" : strerror(d->error));
        finding_remedy(list, "let the server's user own it, or name another with --state-dir");
    }
}

void judge_token_file(struct findings *list, const struct token_file_facts *f)
{
    if (f->path == NULL) {
        finding_add(list, CHECK_TOKEN_FILE, NULL, VERDICT_SKIP,
                    "the token came in SECRET_FRP_TOKEN");
    } else if (f->error != 0) {
        finding_add(list, CHECK_TOKEN_FILE, f->path, VERDICT_FAIL, "%s", strerror(f->error));
        finding_remedy(list, "the server's user must be able to read it");
    } else if ((f->mode & 077) != 0) {
        finding_add(list, CHECK_TOKEN_FILE, f->path, f->mode & 07 ? VERDICT_FAIL : VERDICT_WARN,
                    "%s may read it (mode %04o)", f->mode & 07 ? "everybody" : "its group",
                    (unsigned)(f->mode & 07777));
        finding_remedy(list, "chmod 600 %s", f->path);
    } else {
        finding_add(list, CHECK_TOKEN_FILE, f->path, VERDICT_OK,
                    "only its owner, user %u, may read it", (unsigned)f->owner);
    }
}

/* How many bits a guesser has to go through at least, who knows which kinds of characters are in
 * it. */
static double token_bits(const char *token)
{
    double bits_each = 0;
    bool seen[256] = {false};
    bool digit = false;
    bool lower = false;
    bool upper = false;
    bool other = false;
    unsigned distinct = 0;

    for (const char *c = token; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;

        distinct += !seen[byte];
        seen[byte] = true;
        digit |= isdigit(byte) != 0;
        lower |= islower(byte) != 0;
        upper |= isupper(byte) != 0;
        other |= !isalnum(byte);
    }
    /* log2 of 10, 26, 26, 16, as if each kind were alone: rather too little than too much */
    bits_each = other ? 5.9 : upper && lower ? 5.7 : upper || lower ? 4.7 : digit ? 3.3 : 0;
    if (distinct < 6)
        bits_each = distinct > 1 ? 1 : 0; /* "aaaa", "1212" */
    return bits_each * (double)strlen(token);
}

void judge_token_strength(struct findings *list, const char *token)
{
    static const char remedy[] = "make a new one for server and clients, for example by "
                                 "`openssl rand -hex 32`";

    if (token[0] == '\0') {
        finding_add(list, CHECK_TOKEN_STRENGTH, NULL, VERDICT_FAIL,
                    "it is empty: whoever reaches the server may claim ports");
        finding_remedy(list, "%s", remedy);
    } else if (token_bits(token) < CHECK_TOKEN_WEAK_BITS) {
        finding_add(list, CHECK_TOKEN_STRENGTH, NULL, VERDICT_WARN,
                    "it is short or simple: whoever reads one login can try tokens against it, as "
                    "fast as his machines are");
        finding_remedy(list, "%s", remedy);
    } else {
        finding_add(list, CHECK_TOKEN_STRENGTH, NULL, VERDICT_OK,
                    "it is long enough, if it was made at random");
    }
}

/* ---- the API node and its neighbours --------------------------------------------------------- */

void judge_api_port(struct findings *list, enum check_id id, const struct tcp_facts *f)
{
    char subject[300];
    bool callback = id == CHECK_API_CALLBACK;

    snprintf(subject, sizeof(subject), "%s:%u", f->host, f->port);
    if (f->open) {
        finding_add(list, id, subject, VERDICT_OK, "takes connections from here");
        return;
    }
    finding_add(list, id, subject, VERDICT_WARN, "%s",
                f->text[0] ? f->text : "no answer in the time of this check");
    finding_remedy(list,
                   "%s; where the API node is a container or another machine, name it with "
                   "--api HOST",
                   callback ? "MLNodes send their proofs to this port of the API node"
                            : "nodes are registered at this port (mlgate register)");
}

static void exposed_answers(struct findings *list, const char *subject,
                            const struct exposed_facts *f)
{
    finding_add(list, CHECK_EXPOSED, subject, VERDICT_FAIL,
                "%s takes connections at the public %s; whether a firewall further out keeps "
                "strangers away cannot be seen from here",
                f->what, f->answered);
    finding_remedy(list,
                   "bind it to 127.0.0.1 or a private network (in compose "
                   "\"127.0.0.1:%u:%u\"); ports that Docker publishes pass by ufw",
                   f->port, f->port);
}

static void exposed_listens(struct findings *list, const char *subject,
                            const struct exposed_facts *f)
{
    finding_add(list, CHECK_EXPOSED, subject, VERDICT_WARN,
                f->public_known ? "%s listens for every address; at the public one it took no "
                                  "connection from here, so a firewall seems to stand before it"
                                : "%s listens for every address; which public address leads here "
                                  "is not known",
                f->what);
    finding_remedy(list, f->public_known ? "rather bind it to 127.0.0.1 or a private network"
                                         : "bind it to 127.0.0.1 or a private network, or name the "
                                           "address with --public-address to have it tried");
}

void judge_exposed(struct findings *list, const struct exposed_facts *f)
{
    static const char *const quiet[] = {
        [REACH_NOTHING] = "nothing listens here",
        [REACH_LOOPBACK] = "listens on loopback only",
        [REACH_PRIVATE] = "listens on a private address only",
    };
    char subject[8];

    snprintf(subject, sizeof(subject), "%u", f->port);
    if (f->answered != NULL)
        exposed_answers(list, subject, f);
    else if (f->listens >= REACH_ANY)
        exposed_listens(list, subject, f);
    else if (f->unreadable)
        finding_add(list, CHECK_EXPOSED, subject, VERDICT_SKIP,
                    "/proc/net/tcp cannot be read here");
    else
        finding_add(list, CHECK_EXPOSED, subject, VERDICT_OK, "%s: %s", f->what, quiet[f->listens]);
}

void judge_clock_ntp(struct findings *list, const struct clock_facts *f)
{
    if (!f->known) {
        finding_add(list, CHECK_CLOCK_NTP, NULL, VERDICT_SKIP, "the kernel does not say");
    } else if (f->synchronised && f->error_us < CLOCK_ERROR_US) {
        finding_add(list, CHECK_CLOCK_NTP, NULL, VERDICT_OK,
                    "it is synchronised, within %" PRId64 " ms", f->error_us / 1000);
    } else {
        finding_add(list, CHECK_CLOCK_NTP, NULL, VERDICT_WARN,
                    "the kernel's clock is not synchronised by NTP");
        finding_remedy(list,
                       "run an NTP client (timedatectl set-ntp true): logins of clients whose "
                       "clocks are right are refused when this one is 15 minutes off");
    }
}
