/* TLS as a transformation of bytes: ciphertext goes in, plaintext comes out, and the other way
 * round. No sockets here. One object is one connection; what it writes lands in a byte queue of the
 * caller. TLS 1.2 and later (1.3 preferred), OpenSSL. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "net/certificate.h"

struct tls_context;
struct tls;

/* How a client tells the server it meant from a stranger. All strings may be NULL. */
struct tls_client_options {
    const char *ca_file; /* verify chain and name */
    const char *cert_file;
    const char *key_file;
    const char *const *pins; /* base64 SHA-256 of the SubjectPublicKeyInfo; any may match */
    size_t n_pins;
    /* For diagnosis: with ca_file, the handshake goes on also with a server that it does not vouch
     * for, and tls_peer tells. Nothing may be entrusted to such a connection. */
    bool observe;
};

struct tls_server_options {
    const char *cert_file; /* PEM chain */
    const char *key_file;
    const char *client_ca; /* NULL: clients need no certificate */
};

/* On failure NULL and one sentence with the remedy in `error`. */
struct tls_context *tls_context_client(const struct tls_client_options *o, char *error,
                                       size_t size);
struct tls_context *tls_context_server(const struct tls_server_options *o, char *error,
                                       size_t size);
/* After the last connection made from it. */
void tls_context_free(struct tls_context *c);

/* `server_name`: for SNI (names only) and verification; NULL on servers. Ciphertext to send is
 * appended to `out`, which like `pool` must outlive the object. */
struct tls *tls_new(struct tls_context *c, const char *server_name, struct bytes *out,
                    struct pool *pool);
void tls_free(struct tls *t);

enum tls_state {
    TLS_HANDSHAKE = 0,
    TLS_OPEN = 1,
    TLS_ENDED = 2,     /* the peer said close_notify */
    TLS_FAILED = 3,    /* tls_error has the sentence */
    TLS_UNTRUSTED = 4, /* failed because the peer is not the one asked for */
};

enum tls_state tls_state(const struct tls *t);
const char *tls_error(const struct tls *t);

/* Whom a client's finished handshake was made with. */
struct tls_peer {
    char version[16]; /* "TLSv1.3" */
    struct certificate_facts certificate;
    /* With ca_file: why it does not vouch for the chain and the name; "" when it does. */
    char untrusted[128];
};

/* false before TLS_OPEN, and when the peer showed no certificate. */
bool tls_peer(const struct tls *t, struct tls_peer *out);

/* Shows the next received bytes; then tls_read until it returns 0 and tls_state has not changed,
 * which takes all of them. */
void tls_input(struct tls *t, const uint8_t *data, size_t len);
/* Plaintext bytes written to `buf`; 0: everything shown was used up, the state is no longer open,
 * or this call completed the handshake: application data is never read by the same call. Also
 * drives the handshake, on both sides: call it once with no input to start a client's.
 */
size_t tls_read(struct tls *t, uint8_t *buf, size_t size);

/* Collects plaintext into full records; call tls_flush when nothing more comes this turn. Before
 * TLS_OPEN nothing may be written. */
void tls_write(struct tls *t, const uint8_t *data, size_t len);
void tls_flush(struct tls *t);
/* Plaintext collected and not yet flushed. */
size_t tls_pending(const struct tls *t);
/* Appends close_notify. */
void tls_finish(struct tls *t);

#endif
