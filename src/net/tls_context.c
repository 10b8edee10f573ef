#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "net/tls_internal.h"

/* Base64 of 32 bytes: 43 characters and one '='. */
enum { PIN_TEXT = 44 };

static void explain(char *error, size_t size, const char *what, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_SYSTEM_ERROR(ERR_peek_error())
                           ? strerror(ERR_GET_REASON(ERR_peek_error()))
                           : ERR_reason_error_string(code);

    snprintf(error, size, "%s %s: %s", what, file, text ? text : "cannot be used");
    ERR_clear_error();
}

static struct tls_context *context_new(const SSL_METHOD *method)
{
    struct tls_context *c = mem_zalloc(sizeof(*c));

    c->ctx = SSL_CTX_new(method);
    c->method = tls_bio_method();
    if (c->ctx == NULL || c->method == NULL) {
        tls_context_free(c);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    /* AES-128 first: as strong as the tunnel's control cipher needs and the cheapest per byte where
     * the CPU has AES; ChaCha20 stays for those that have not. */
    SSL_CTX_set_ciphersuites(c->ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                     "TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_IGNORE_UNEXPECTED_EOF);
    return c;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    BIO_meth_free(c->method);
    mem_free(c->pins);
    mem_free(c);
}

/* These files are read once for each server, and a pipe without a writer would keep us for ever. */
static bool is_no_pipe(const char *what, const char *file, char *error, size_t size)
{
    struct stat st;

    if (stat(file, &st) != 0 || !S_ISFIFO(st.st_mode))
        return true;
    snprintf(error, size, "%s %s: is a pipe, and must be a file", what, file);
    return false;
}

static bool use_certificate(struct tls_context *c, const char *cert, const char *key, char *error,
                            size_t size)
{
    if (!is_no_pipe("certificate file", cert, error, size) ||
        !is_no_pipe("private key file", key, error, size))
        return false;
    if (SSL_CTX_use_certificate_chain_file(c->ctx, cert) != 1) {
        explain(error, size, "certificate file", cert);
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(c->ctx, key, SSL_FILETYPE_PEM) != 1) {
        explain(error, size, "private key file", key);
        return false;
    }
    if (SSL_CTX_check_private_key(c->ctx) != 1) {
        explain(error, size, "the private key does not belong to the certificate:", key);
        return false;
    }
    return true;
}

static bool trust_file(struct tls_context *c, const char *file, char *error, size_t size)
{
    if (!is_no_pipe("CA file", file, error, size))
        return false;
    if (SSL_CTX_load_verify_file(c->ctx, file) == 1)
        return true;
    explain(error, size, "CA file", file);
    return false;
}

static bool add_pin(struct tls_context *c, const char *text, char *error, size_t size)
{
    uint8_t decoded[PIN_BYTES + 3];

    if (strlen(text) != PIN_TEXT || text[PIN_TEXT - 1] != '=' ||
        EVP_DecodeBlock(decoded, (const uint8_t *)text, PIN_TEXT) != PIN_BYTES + 1) {
        snprintf(error, size,
                 "a pin is the base64 form of a SHA-256 (44 characters ending in '=')");
        return false;
    }
    c->pins = mem_array(c->pins, c->n_pins + 1, sizeof(c->pins[0]));
    memcpy(c->pins[c->n_pins++], decoded, PIN_BYTES);
    return true;
}

/* SHA-256 of the SubjectPublicKeyInfo. */
static bool key_digest(X509 *cert, uint8_t digest[EVP_MAX_MD_SIZE])
{
    uint8_t *der = NULL;
    unsigned len = 0;
    int der_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool good = der_len > 0 &&
                EVP_Digest(der, (size_t)der_len, digest, &len, EVP_sha256(), NULL) == 1 &&
                len == PIN_BYTES;

    OPENSSL_free(der);
    return good;
}

static bool unix_time(const ASN1_TIME *time, int64_t *out)
{
    struct tm parts;

    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1)
        return false;
    *out = timegm(&parts);
    return true;
}

bool tls_certificate_facts(X509 *cert, struct certificate_facts *out)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (!key_digest(cert, digest) || !unix_time(X509_get0_notBefore(cert), &out->not_before) ||
        !unix_time(X509_get0_notAfter(cert), &out->not_after))
        return false;
    EVP_EncodeBlock((uint8_t *)out->pin, digest, PIN_BYTES);
    return true;
}

bool tls_context_pin_ok(const struct tls_context *c, SSL *ssl)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    X509 *cert;
    bool same = false;

    if (c->n_pins == 0)
        return true;
    cert = SSL_get0_peer_certificate(ssl);
    if (cert == NULL || !key_digest(cert, digest))
        return false;
    for (size_t i = 0; i < c->n_pins; i++)
        same |= memcmp(c->pins[i], digest, PIN_BYTES) == 0;
    return same;
}

static bool client_setup(struct tls_context *c, const struct tls_client_options *o, char *error,
                         size_t size)
{
    if (o->ca_file != NULL) {
        if (!trust_file(c, o->ca_file, error, size))
            return false;
        /* verified in any case; who observes lets the handshake go on whatever comes of it */
        SSL_CTX_set_verify(c->ctx, o->observe ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        c->verify_name = true;
    }
    c->observe = o->observe;
    for (size_t i = 0; i < o->n_pins; i++)
        if (!add_pin(c, o->pins[i], error, size))
            return false;
    if (o->cert_file != NULL && o->key_file != NULL)
        return use_certificate(c, o->cert_file, o->key_file, error, size);
    return true;
}

struct tls_context *tls_context_client(const struct tls_client_options *o, char *error, size_t size)
{
    struct tls_context *c = context_new(TLS_client_method());

    if (c == NULL) {
        snprintf(error, size, "TLS is not available");
        return NULL;
    }
    if (client_setup(c, o, error, size))
        return c;
    tls_context_free(c);
    return NULL;
}

static bool server_setup(struct tls_context *c, const struct tls_server_options *o, char *error,
                         size_t size)
{
    c->server = true;
    SSL_CTX_set_options(c->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(c->ctx, 0); /* nobody resumes: tickets would be dead bytes */
    if (!use_certificate(c, o->cert_file, o->key_file, error, size))
        return false;
    if (o->client_ca == NULL)
        return true;
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return trust_file(c, o->client_ca, error, size);
}

struct tls_context *tls_context_server(const struct tls_server_options *o, char *error, size_t size)
{
    struct tls_context *c = context_new(TLS_server_method());

    if (c == NULL) {
        snprintf(error, size, "TLS is not available");
        return NULL;
    }
    if (server_setup(c, o, error, size))
        return c;
    tls_context_free(c);
    return NULL;
}
