/* What the network node has for the server, and what it opens to strangers. Pure. */
#ifndef CHECK_JUDGE_NODE_H
#define CHECK_JUDGE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "check/finding.h"
#include "check/judge_host.h"
#include "check/judge_ports.h"
#include "net/certificate.h"

enum {
    CHECK_TOKEN_WEAK_BITS = 80, /* whoever reads a login can try tokens against it offline */
    CHECK_NODE_TEXT = 400,
};

/* From where a listener can be reached; ascending. */
enum reach {
    REACH_NOTHING = 0,  /* no listener */
    REACH_LOOPBACK = 1, /* this machine alone */
    REACH_PRIVATE = 2,  /* an address of a private network */
    REACH_ANY = 3,      /* every address, and none of this machine's is public */
    REACH_PUBLIC = 4,   /* a public address, perhaps among all others */
};

/* Where the clients' ports are opened. */
struct proxy_bind_facts {
    const char *asked;   /* as configured */
    const char *error;   /* NULL: it means `address` */
    const char *address; /* "10.0.0.4" */
    const char *public;  /* a public address of this machine, or NULL */
    bool follows;        /* bind_addr, because nothing else is asked for */
    enum reach reach;    /* of listeners there */
};

struct server_tls_facts {
    const char *cert_file; /* given, or kept in the state directory; NULL: neither */
    bool given;            /* by --tls-cert */
    bool here;             /* it can be read */
    const char *error;     /* what is wrong with the pair; NULL: nothing */
    struct certificate_facts certificate;
    mode_t key_mode;
    int64_t now_s;
};

struct token_file_facts {
    const char *path; /* NULL: the token came in a variable */
    int error;        /* errno */
    mode_t mode;
    uid_t owner;
};

/* One connection tried. */
struct tcp_facts {
    const char *host;
    uint16_t port;
    bool open;
    enum reason why; /* REASON_NONE: the time was up */
    char text[CHECK_NODE_TEXT];
};

/* A port that only this machine, or a private network, should reach. */
struct exposed_facts {
    uint16_t port;
    const char *what;
    enum reach listens;   /* the widest of its listeners here */
    const char *answered; /* a public address at which it took a connection; NULL: none did */
    bool public_known;    /* there was a public address to try */
    bool unreadable;      /* the kernel's list of listeners */
};

struct clock_facts {
    bool known;
    bool synchronised;
    int64_t error_us; /* the most that the kernel thinks it is off by */
};

void judge_server_bind(struct findings *list, const struct holder_facts *f);
void judge_proxy_bind(struct findings *list, const struct proxy_bind_facts *f);
/* Ports that the configuration lets clients claim; 0 ranges: all. */
void judge_allow_ports(struct findings *list, const struct port_range *ranges, size_t n);
/* A known port among them that somebody else has here. */
void judge_taken_port(struct findings *list, const struct holder_facts *f, uint16_t port);
void judge_server_tls(struct findings *list, const struct server_tls_facts *f);
void judge_state_dir(struct findings *list, const struct directory_facts *d,
                     bool certificate_given);
void judge_token_file(struct findings *list, const struct token_file_facts *f);
/* The token is looked at and not told of. */
void judge_token_strength(struct findings *list, const char *token);
/* 9100 and 9200 of the API node, from here. */
void judge_api_port(struct findings *list, enum check_id id, const struct tcp_facts *f);
void judge_exposed(struct findings *list, const struct exposed_facts *f);
void judge_clock_ntp(struct findings *list, const struct clock_facts *f);

#endif
