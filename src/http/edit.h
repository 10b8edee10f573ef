/* Heads as this hop sends them on. End-to-end fields keep their order, their spelling and their
 * repetitions; hop-by-hop fields (RFC 9110 7.6.1) end here; framing is stated anew, once, behind
 * all other fields. */
#ifndef HTTP_EDIT_H
#define HTTP_EDIT_H

#include "http/head.h"

/* A buffer of this size holds every head that http_*_parse accepts, after our edits. */
enum { HTTP_RENDER_MAX = HTTP_HEAD_MAX + 2048 };
/* Names one message may list in its Connection fields; honest ones list one or two, and each is
 * compared with each field. */
enum { HTTP_CONNECTION_NAMES_MAX = 64 };

struct http_request_edit {
    struct http_slice target; /* sent instead of head->target; empty is sent as "/" */
    const char *peer;    /* address of the client, without port, for X-Forwarded-For; printable */
    enum http_body body; /* of http_framing_decide: states the framing anew */
    uint64_t length;     /* HTTP_BODY_LENGTH */
    bool drop_expect;    /* the client is HTTP/1.0: its Expect means nothing (RFC 9110 10.1.1) */
};

/* Writes the request head in HTTP/1.1 form. Removed: Connection and what it names (except fields
 * that requests need whole: Host, Content-*, Authorization, X-Forwarded-*, X-Real-IP), Keep-Alive,
 * Proxy-Connection, Proxy-Authorization, TE, Trailer, Transfer-Encoding, Content-Length, Upgrade,
 * HTTP2-Settings, X-Real-IP, X-Forwarded-Proto, X-Forwarded-For. Added: X-Forwarded-For (the
 * client's own values, in order, then `peer`), X-Real-IP (`peer`), X-Forwarded-Proto (http),
 * Content-Type: application/json for a POST that has none (gonka's API node sends none), and the
 * framing. Host is kept; an HTTP/1.0 request without one gets an empty Host. HTTP_BODY_NONE writes
 * no framing field: a client's `Content-Length: 0` is HTTP_BODY_LENGTH with 0 and is sent again.
 * Returns the length, or
 *   ERR_LIMIT  HTTP_RENDER_MAX bytes, the size of `out`, do not do (a peer text of absurd length),
 *              or more than HTTP_CONNECTION_NAMES_MAX names in Connection
 *   ERR_TYPE   HTTP_BODY_CLOSE, which no request has */
int http_request_render(const struct http_head *head, const struct http_request_edit *edit,
                        char *out);

struct http_response_edit {
    enum http_body body; /* how the body is framed towards the client; NONE for HEAD, 204, 304 and
                            1xx: then an upstream's Content-Length stays (HEAD, 304) */
    uint64_t length;
    unsigned minor;  /* the client's: decides what is said about the connection */
    bool keep_alive; /* what we do after the answer */
};

/* Writes the response head as HTTP/1.1, status line with the upstream's own reason. Removed:
 * Connection and what it names (except Content-*, Date, Server, Set-Cookie), Keep-Alive,
 * Proxy-Connection, Transfer-Encoding, Upgrade, and a Content-Length that says nothing true: with a
 * chunked or close-delimited body, on 1xx and 204. Added: only the framing, `Connection: close`
 * when not keep_alive, `Connection: keep-alive` towards HTTP/1.0 when keep_alive; nothing about the
 * connection on 1xx, which another head follows. Nothing else: the API node copies every field to
 * its public client. Returns and refuses as http_request_render; ERR_TYPE is chunked towards
 * HTTP/1.0 and a close-delimited body with keep_alive. */
int http_response_render(const struct http_head *head, const struct http_response_edit *edit,
                         char *out);

/* An answer of our own: JSON in OpenAI's error shape, complete with Content-Length. */
struct http_error {
    unsigned status;
    const char *type;       /* OpenAI's family: "invalid_request_error", "not_found_error",
                               "server_error", "service_unavailable" */
    const char *code;       /* the stable word programs look at */
    const char *message;    /* for people; any bytes, which are escaped; cut at about 800 */
    unsigned retry_after_s; /* 0: no such field */
};
enum { HTTP_ERROR_MAX = 1536 };
/* `to_head`: the head alone, with the length the body would have. `type` and `code` are cut at 64
 * bytes. Returns the length. */
size_t http_error_render(const struct http_error *e, bool keep_alive, unsigned minor, bool to_head,
                         char out[HTTP_ERROR_MAX]);

/* The standard phrase of a status we send; "" for others. */
const char *http_status_phrase(unsigned status);

#endif
