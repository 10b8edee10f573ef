#include "check/judge_tunnel.h"

#include <inttypes.h>
#include <string.h>

enum { DAY_S = 24 * 3600 };

static const char *reason_text(const struct tunnel_facts *f)
{
    return f->text[0] != '\0' ? f->text : "no answer in the time of this check";
}

/* ---- who answered ---------------------------------------------------------------------------- */

static bool pin_matches(const struct tunnel_facts *f)
{
    for (size_t i = 0; i < f->n_pins; i++)
        if (strcmp(f->pins[i], f->peer.certificate.pin) == 0)
            return true;
    return false;
}

bool tunnel_trusts(const struct tunnel_facts *f)
{
    if (f->n_pins > 0 && !pin_matches(f))
        return false;
    return f->ca_file == NULL || (f->ca_error == NULL && f->peer.untrusted[0] == '\0');
}

/* frps makes a new key at each start unless its file names one: a pin of such a key keeps the node
 * away after the server's next start. */
static void advise_pin(struct findings *list, const struct tunnel_facts *f)
{
    const char *pin = f->peer.certificate.pin;

    if (f->stage > TUNNEL_LOGIN && !f->mlgate)
        finding_remedy(list,
                       "this is frps, which makes a new key at each start unless frps.ini has "
                       "tls_cert_file and tls_key_file: with them set FRP_TLS_PIN=%s; without "
                       "them set no pin, the node would be away after the server's next start",
                       pin);
    else
        finding_remedy(list,
                       "compare with what the server itself prints at its start, then set "
                       "FRP_TLS_PIN=%s",
                       pin);
}

static void judge_pin(struct findings *list, const struct tunnel_facts *f)
{
    const char *pin = f->peer.certificate.pin;

    if (f->n_pins > 0 && pin_matches(f)) {
        finding_add(list, CHECK_TLS_PIN, f->server, VERDICT_OK, "its public key is the pinned one");
    } else if (f->n_pins > 0) {
        finding_add(list, CHECK_TLS_PIN, f->server, VERDICT_FAIL,
                    "its public key is none of FRP_TLS_PIN; it has %s", pin);
        finding_remedy(
            list,
            "compare with what the server itself prints at its start: if that is the "
            "same, set FRP_TLS_PIN=%s; if not, somebody stands in between, or it is frps "
            "without tls_cert_file, whose key is new at each start",
            pin);
    } else if (f->ca_file == NULL) {
        finding_add(list, CHECK_TLS_PIN, f->server, VERDICT_WARN,
                    "nobody verifies the server: whoever can redirect the connection can be it");
        advise_pin(list, f);
    }
}

static void judge_ca(struct findings *list, const struct tunnel_facts *f)
{
    if (f->ca_file == NULL)
        return;
    if (f->ca_error != NULL) {
        finding_add(list, CHECK_TLS_CA, f->server, VERDICT_FAIL, "%s", f->ca_error);
        finding_remedy(list, "FRP_TLS_CA_FILE must name a file with certificates in PEM form");
    } else if (f->peer.untrusted[0] != '\0') {
        finding_add(list, CHECK_TLS_CA, f->server, VERDICT_FAIL,
                    "%s does not vouch for its certificate: %s", f->ca_file, f->peer.untrusted);
        finding_remedy(list, "set FRP_TLS_CA_FILE to the server's CA, with the server's name in "
                             "FRP_SERVER as its certificate has it; a certificate without names, "
                             "which servers make themselves, needs FRP_TLS_PIN instead");
    } else {
        finding_add(list, CHECK_TLS_CA, f->server, VERDICT_OK, "%s vouches for its certificate",
                    f->ca_file);
    }
}

static void judge_expiry(struct findings *list, const struct tunnel_facts *f)
{
    int64_t left = f->peer.certificate.not_after - f->now_s;

    if (f->peer.certificate.not_before > f->now_s) {
        finding_add(list, CHECK_TLS_EXPIRY, f->server, VERDICT_WARN,
                    "its certificate is not valid yet: by our clock for another %" PRId64 " s",
                    f->peer.certificate.not_before - f->now_s);
        finding_remedy(list, "set the clock, here or where the certificate was made");
    } else if (left < CHECK_EXPIRY_SOON_S) {
        finding_add(list, CHECK_TLS_EXPIRY, f->server, VERDICT_WARN,
                    left < 0 ? "its certificate ended %" PRId64 " days ago"
                             : "its certificate ends in %" PRId64 " days",
                    (left < 0 ? -left : left) / DAY_S);
        finding_remedy(list, "make a new certificate for the server; with the same key the pin "
                             "stays as it is");
    } else {
        finding_add(list, CHECK_TLS_EXPIRY, f->server, VERDICT_OK,
                    "its certificate is valid for another %" PRId64 " days", left / DAY_S);
    }
}

/* ---- the way there --------------------------------------------------------------------------- */

static bool judge_dns(struct findings *list, const struct tunnel_facts *f)
{
    if (f->stage > TUNNEL_RESOLVING && f->why != REASON_RESOLVE_FAILED) {
        finding_add(list, CHECK_DNS, f->server, VERDICT_OK, "%s", f->addresses);
        return true;
    }
    finding_add(list, CHECK_DNS, f->server, VERDICT_FAIL, "%s", reason_text(f));
    finding_remedy(list, "check the name in FRP_SERVER, and the container's DNS "
                         "(/etc/resolv.conf)");
    return false;
}

static bool is_of_tcp(enum reason why)
{
    return why == REASON_CONNECT_REFUSED || why == REASON_CONNECT_FAILED ||
           why == REASON_CONNECT_TIMEOUT;
}

static const char *tcp_remedy(enum reason why)
{
    if (why == REASON_CONNECT_REFUSED)
        return "nothing listens there: start the server, or correct the port in FRP_SERVER (the "
               "server's bind_port)";
    if (why == REASON_CONNECT_FAILED)
        return "that host is down, or its network does not answer; where nothing else can be "
               "reached either, this container has no way out: try another network, or an "
               "address of the other family (IPv4, IPv6)";
    return "a firewall drops it, or the address is wrong: open the server's port on the network "
           "node, and check FRP_SERVER";
}

static bool judge_tcp(struct findings *list, const struct tunnel_facts *f)
{
    if (f->stage == TUNNEL_DIALLING && !f->tls && (is_of_tcp(f->why) || f->text[0] == '\0')) {
        finding_add(list, CHECK_TCP, f->server, VERDICT_FAIL, "%s", reason_text(f));
        finding_remedy(list, "%s", tcp_remedy(f->why));
        return false;
    }
    finding_add(list, CHECK_TCP, f->server, VERDICT_OK, "connected%s%s",
                f->peer_address[0] ? " to " : "", f->peer_address);
    return true;
}

static bool judge_tls(struct findings *list, const struct tunnel_facts *f)
{
    if (!f->tls) {
        finding_add(list, CHECK_TLS, f->server, VERDICT_FAIL, "%s", reason_text(f));
        finding_remedy(list, "the port must be the FRP server's own (bind_port), and the server "
                             "must take TLS: mlgate server and frps do");
        return false;
    }
    finding_add(list, CHECK_TLS, f->server, VERDICT_OK, "%s", f->peer.version);
    return true;
}

/* ---- the login ------------------------------------------------------------------------------- */

/* mlgate's refusal names the skew (clock_fits in tunnel/server_session.c). */
static bool is_about_clock(const struct tunnel_facts *f)
{
    return f->why == REASON_LOGIN_REFUSED && strstr(f->text, "clock") != NULL;
}

static void judge_clock(struct findings *list, const struct tunnel_facts *f)
{
    if (f->stage == TUNNEL_LOGIN && is_about_clock(f)) {
        finding_add(list, CHECK_CLOCK_SERVER, f->server, VERDICT_FAIL, "%s", f->text);
        finding_remedy(list, "set the clock on the side where it is wrong (clock.api compares ours "
                             "with the API node's); a container has its host's clock");
    } else if (f->stage > TUNNEL_LOGIN && f->mlgate) {
        finding_add(list, CHECK_CLOCK_SERVER, f->server, VERDICT_OK,
                    "the server accepts the time of our login");
    } else if (f->stage > TUNNEL_LOGIN) {
        finding_add(list, CHECK_CLOCK_SERVER, f->server, VERDICT_SKIP,
                    "the original frps does not compare clocks");
    } else {
        finding_skip(list, CHECK_CLOCK_SERVER, f->server, CHECK_LOGIN);
    }
}

static void login_failed(struct findings *list, const struct tunnel_facts *f)
{
    if (f->why == REASON_AUTH_FAILED) {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_FAIL, "%s", f->text);
        finding_remedy(list, "SECRET_FRP_TOKEN must be the server's token, byte for byte (token in "
                             "frps.ini, --token-file of mlgate server)");
    } else if (f->why == REASON_LOGIN_REFUSED) {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_FAIL, "%s", f->text);
        finding_remedy(list, "the server's log says more; its operator decides who may log in");
    } else if (f->why == REASON_TLS_FAILED) {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_FAIL,
                    "the server ended TLS after the handshake: %s", f->text);
        finding_remedy(list, "a server that wants certificates of its clients "
                             "(tls_trusted_ca_file) is reached with `mlgate client -c frpc.ini` "
                             "only; take that setting out there");
    } else if (f->why == REASON_LOGIN_TIMEOUT || f->text[0] == '\0') {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_FAIL,
                    "it speaks TLS and does not answer the login");
        finding_remedy(list, "is the port in FRP_SERVER the FRP server's bind_port?");
    } else {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_FAIL,
                    "it speaks TLS and is no frp server, or has tcp_mux off: %s", f->text);
        finding_remedy(list, "the port in FRP_SERVER must be the FRP server's bind_port; in "
                             "frps.ini leave tcp_mux on");
    }
}

static void judge_login(struct findings *list, const struct tunnel_facts *f)
{
    if (f->stopped) {
        finding_skip(list, CHECK_LOGIN, f->server,
                     f->n_pins > 0 && !pin_matches(f) ? CHECK_TLS_PIN : CHECK_TLS_CA);
    } else if (f->stage > TUNNEL_LOGIN) {
        finding_add(list, CHECK_LOGIN, f->server, VERDICT_OK,
                    "the token is accepted by %s %s; no port was claimed",
                    f->mlgate ? "mlgate, frp level" : "frps", f->version);
    } else if (is_about_clock(f)) {
        finding_skip(list, CHECK_LOGIN, f->server, CHECK_CLOCK_SERVER);
    } else {
        login_failed(list, f);
    }
}

static void judge_round_trip(struct findings *list, const struct tunnel_facts *f)
{
    if (f->stage <= TUNNEL_LOGIN) {
        finding_skip(list, CHECK_ROUND_TRIP, f->server, CHECK_LOGIN);
    } else if (f->round_trip_us == 0) {
        finding_add(list, CHECK_ROUND_TRIP, f->server, VERDICT_FAIL,
                    "logged in, and a ping is not answered%s%s", f->text[0] ? ": " : "", f->text);
        finding_remedy(list, "look at the server's load and its log");
    } else {
        finding_add(list, CHECK_ROUND_TRIP, f->server, VERDICT_OK, "%" PRIu64 ".%03" PRIu64 " ms",
                    f->round_trip_us / 1000, f->round_trip_us % 1000);
    }
}

static void skip_from(struct findings *list, const struct tunnel_facts *f, size_t first,
                      enum check_id cause)
{
    const enum check_id trust = f->ca_file != NULL && f->n_pins == 0 ? CHECK_TLS_CA : CHECK_TLS_PIN;
    const enum check_id after[] = {CHECK_TCP,        CHECK_TLS,          trust,
                                   CHECK_TLS_EXPIRY, CHECK_CLOCK_SERVER, CHECK_LOGIN,
                                   CHECK_ROUND_TRIP};

    for (size_t i = first; i < sizeof(after) / sizeof(after[0]); i++)
        finding_skip(list, after[i], f->server, cause);
}

void judge_tunnel(struct findings *list, const struct tunnel_facts *f)
{
    if (!judge_dns(list, f)) {
        skip_from(list, f, 0, CHECK_DNS);
    } else if (!judge_tcp(list, f)) {
        skip_from(list, f, 1, CHECK_TCP);
    } else if (!judge_tls(list, f)) {
        skip_from(list, f, 2, CHECK_TLS);
    } else {
        judge_pin(list, f);
        judge_ca(list, f);
        judge_expiry(list, f);
        judge_clock(list, f);
        judge_login(list, f);
        judge_round_trip(list, f);
    }
}

void judge_same_servers(struct findings *list, const struct tunnel_facts *tunnels, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct tunnel_facts *f = &tunnels[i];
        size_t k = 0;

        while (k < i && !(f->tls && tunnels[k].tls &&
                          strcmp(f->peer.certificate.pin, tunnels[k].peer.certificate.pin) == 0))
            k++;
        if (k == i)
            continue;
        finding_add(list, CHECK_TLS_PIN, f->server, VERDICT_WARN,
                    "it has the same public key as %s: most likely both are one server",
                    tunnels[k].server);
        finding_remedy(list, "then leave one of the two out of FRP_SERVER: the second is refused "
                             "the ports that the first one has");
    }
}
