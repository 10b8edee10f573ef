/* frp's control messages: JSON objects behind a type byte and a length (wire protocol v1).
 *
 *   type (1 byte) | JSON length (int64, big endian) | JSON
 *
 * What is accepted and what is written follows Go's encoding/json, because the other side is Go:
 * see msg_decode and msg_encode. Nothing here does I/O or keeps state. */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MSG_HEAD_LEN = 9,     /* type byte and length */
    MSG_BODY_MAX = 10240, /* frp closes a connection that announces more */
    MSG_FRAME_MAX = MSG_HEAD_LEN + MSG_BODY_MAX,
    MSG_METAS_MAX = 128, /* entries of Login.metas; keeps looking for duplicates cheap */
};

/* Every type byte of frp 0.61 to 0.70. */
enum msg_type {
    MSG_LOGIN = 'o',
    MSG_LOGIN_RESP = '1',
    MSG_NEW_PROXY = 'p',
    MSG_NEW_PROXY_RESP = '2',
    MSG_CLOSE_PROXY = 'c',
    MSG_NEW_WORK_CONN = 'w',
    MSG_REQ_WORK_CONN = 'r', /* has no fields */
    MSG_START_WORK_CONN = 's',
    MSG_PING = 'h',
    MSG_PONG = '4',
    /* Known to frp, without a struct here: decoded to their type alone, never encoded. */
    MSG_NEW_VISITOR_CONN = 'v',
    MSG_NEW_VISITOR_CONN_RESP = '3',
    MSG_UDP_PACKET = 'u',
    MSG_NAT_HOLE_VISITOR = 'i',
    MSG_NAT_HOLE_CLIENT = 'n',
    MSG_NAT_HOLE_RESP = 'm',
    MSG_NAT_HOLE_SID = '5',
    MSG_NAT_HOLE_REPORT = '6',
};

/* Strings: after msg_decode never NULL ("" when absent, null or empty), UTF-8 without NUL, and
 * valid until msg_clear. In a message built by hand for msg_encode they are the builder's, and NULL
 * means the same as "". */

struct msg_meta {
    const char *key;
    const char *value;
};

/* First message of a control connection, client to server. */
struct msg_login {
    const char *version;
    const char *hostname;
    const char *os;   /* as Go names it: "linux" */
    const char *arch; /* as Go names it: "amd64" */
    const char *user;
    const char *privilege_key; /* proto/auth.h */
    int64_t timestamp;         /* Unix seconds, part of the privilege key */
    const char *run_id;
    const char *client_id;
    const struct msg_meta *metas; /* keys are unique; NULL when there are none */
    size_t n_metas;               /* at most MSG_METAS_MAX */
    int64_t pool_count;           /* whatever the peer says: may be negative */
};

struct msg_login_resp {
    const char *version;
    const char *run_id;
    const char *error;  /* "" is success, here and in every other answer */
    const char *mlgate; /* ours: capability words; stock frpc ignores the key */
};

struct msg_new_proxy {
    const char *proxy_name; /* with the user's prefix, as on the wire */
    const char *proxy_type; /* "" means "tcp" */
    bool use_encryption;
    bool use_compression;
    const char *bandwidth_limit;
    const char *bandwidth_limit_mode; /* "" means "client" */
    const char *group;
    const char *group_key;
    int64_t remote_port; /* not checked; 0: the server picks one */
};

struct msg_new_proxy_resp {
    const char *proxy_name;
    const char *remote_addr; /* ":PORT" for tcp */
    const char *error;
};

struct msg_close_proxy {
    const char *proxy_name;
};

/* First message of a work connection, client to server. */
struct msg_new_work_conn {
    const char *run_id;
    const char *privilege_key; /* only with the NewWorkConns scope */
    int64_t timestamp;
};

/* Server to client on a work connection; relayed bytes follow at once. */
struct msg_start_work_conn {
    const char *proxy_name;
    const char *src_addr; /* the user's address; IPv6 without brackets */
    const char *dst_addr; /* the address the user reached */
    uint16_t src_port;
    uint16_t dst_port;
    const char *error;
};

struct msg_ping {
    const char *privilege_key; /* only with the HeartBeats scope */
    int64_t timestamp;
};

struct msg_pong {
    const char *error;
};

struct msg {
    enum msg_type type;
    /* The body was the JSON text `null`, which frp takes for "no message": ignore it on a control
     * connection, refuse it as the first message of a connection. All fields are zero then. Not
     * looked at by msg_encode. */
    bool is_null;
    void *store; /* private: what msg_decode allocated; NULL in a message built by hand */
    union {
        struct msg_login login;
        struct msg_login_resp login_resp;
        struct msg_new_proxy new_proxy;
        struct msg_new_proxy_resp new_proxy_resp;
        struct msg_close_proxy close_proxy;
        struct msg_new_work_conn new_work_conn;
        struct msg_start_work_conn start_work_conn;
        struct msg_ping ping;
        struct msg_pong pong;
    };
};

/* True for the bytes of enum msg_type. */
bool msg_type_known(uint8_t type);
/* True for the types that have a struct (and ReqWorkConn, which needs none). */
bool msg_type_handled(uint8_t type);
/* frp's name ("NewProxy"), static; "unknown" for other bytes. */
const char *msg_type_name(uint8_t type);

/* Decodes one body. `*out` need not be initialised; on success it owns memory until msg_clear, on
 * failure it holds nothing. The body is not referred to afterwards.
 *
 * ERR_TYPE: unknown type byte. ERR_LIMIT: more than MSG_BODY_MAX bytes or MSG_METAS_MAX metas.
 * ERR_SYNTAX: everything else that is refused. The rules are Go's: unknown keys are ignored; keys
 * match without regard to case; among duplicates the last wins, each must have the right type, and
 * metas objects are merged; null leaves a field as it is; integers must be plain digits (1.0, 1e3
 * and "5" fail) and in range (ports of StartWorkConn: 0 to 65535); white space may stand around the
 * value, nothing else.
 *
 * Stricter than Go: a kept string with NUL, with invalid UTF-8 or with an unpaired surrogate is
 * refused (Go keeps NUL and replaces the others by U+FFFD: then two different names would become
 * one); nesting deeper than 64 is refused (Go: 10,000). Looser than Go: keys that have no field
 * here may hold any JSON, and only ASCII letters match without regard to case. */
int msg_decode(struct msg *out, uint8_t type, const uint8_t *json, size_t len);

/* Writes type, length and JSON, and the number of bytes to *len (0 on failure). MSG_FRAME_MAX bytes
 * always suffice. Byte for byte what Go writes: its order of fields, zero fields omitted (except
 * Login's client_spec, always `{}`), map keys sorted, no blanks, `<`, `>`, `&`, U+2028 and U+2029
 * escaped, invalid UTF-8 replaced by \ufffd.
 *
 * ERR_LIMIT: the JSON would exceed MSG_BODY_MAX, `size` is too small, or too many metas.
 * ERR_TYPE: a type that is not handled. */
int msg_encode(const struct msg *m, uint8_t *out, size_t size, size_t *len);

/* Releases what msg_decode allocated and zeroes the message; harmless on zeroed messages and on
 * those built by hand. */
void msg_clear(struct msg *m);

/* The value of metas[key] of a login, NULL when absent. */
const char *msg_login_meta(const struct msg_login *login, const char *key);

#endif
