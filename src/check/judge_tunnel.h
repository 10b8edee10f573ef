/* What the way to one FRP server amounts to. Pure. */
#ifndef CHECK_JUDGE_TUNNEL_H
#define CHECK_JUDGE_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "check/finding.h"
#include "net/tls.h"

enum {
    TUNNEL_TEXT = 400,
    TUNNEL_ADDRESSES = 256,
    CHECK_EXPIRY_SOON_S =
        30 * 24 * 3600, /* time enough to make a new certificate and hand it out */
};

/* How far the question came; what is named is what is under way. */
enum tunnel_stage {
    TUNNEL_RESOLVING = 0,
    TUNNEL_DIALLING = 1, /* TCP and TLS */
    TUNNEL_LOGIN = 2,
    TUNNEL_PING = 3, /* logged in */
    TUNNEL_DONE = 4,
};

struct tunnel_facts {
    const char *server; /* "host:port" */
    /* What was asked for. */
    const char *const *pins;
    size_t n_pins;
    const char *ca_file;  /* NULL: none */
    const char *ca_error; /* NULL: it could be read */
    int64_t now_s;        /* Unix time */
    /* What came of it. */
    enum tunnel_stage stage; /* the one that failed, or TUNNEL_DONE */
    bool stopped;            /* ended by an untrusted certificate: no login was sent */
    enum reason why;         /* of the failure */
    char text[TUNNEL_TEXT];  /* one sentence, escaped; "" when the time was up */
    char addresses[TUNNEL_ADDRESSES];
    bool tls; /* `peer` is filled */
    struct tls_peer peer;
    char peer_address[64]; /* who took the connection */
    bool mlgate;
    char version[64]; /* of the server, escaped */
    uint64_t round_trip_us;
};

/* Whether a login may be sent to who answered. */
bool tunnel_trusts(const struct tunnel_facts *f);
void judge_tunnel(struct findings *list, const struct tunnel_facts *f);
/* Entries of FRP_SERVER that lead to one server: one finding for each but the first. */
void judge_same_servers(struct findings *list, const struct tunnel_facts *tunnels, size_t n);

#endif
