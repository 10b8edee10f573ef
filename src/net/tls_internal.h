#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/tls.h"

enum { PIN_BYTES = 32 };

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *method; /* of every connection's BIO */
    bool server;
    bool verify_name;
    bool observe; /* whoever answers is let through; tls_peer says what is wrong with him */
    uint8_t (*pins)[PIN_BYTES];
    size_t n_pins;
};

/* True when the peer's public key is one of the pins, or none are set. */
bool tls_context_pin_ok(const struct tls_context *c, SSL *ssl);

/* false when the certificate cannot be read. */
bool tls_certificate_facts(X509 *cert, struct certificate_facts *out);

/* The transport that OpenSSL reads from and writes to: slices and queues of struct tls. */
BIO_METHOD *tls_bio_method(void);

#endif
