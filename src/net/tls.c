#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_internal.h"

enum {
    RECORD_SIZE = 16 * 1024, /* RFC 8446 §5.1: plaintext of one record at most */
    ERROR_TEXT = 160,
};

struct tls {
    SSL *ssl;
    const struct tls_context *context;
    struct bytes *out;
    struct pool *pool;
    const uint8_t *in;
    size_t in_len;
    struct chunk *record; /* plaintext waiting to fill a record; NULL when nothing waits */
    enum tls_state state;
    char error[ERROR_TEXT];
};

/* ---- OpenSSL's transport: our slices -------------------------------------------------------- */

static int bio_read(BIO *bio, char *buf, size_t size, size_t *n)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *n = size < t->in_len ? size : t->in_len;
    memcpy(buf, t->in, *n);
    t->in += *n;
    t->in_len -= *n;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *n)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    bytes_append(t->out, t->pool, data, len);
    *n = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "mlgate");

    if (method == NULL)
        return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* false when the name cannot be asked for, which must not end in not asking. */
static bool set_name(struct tls *t, const char *name)
{
    uint8_t address[sizeof(struct in6_addr)];
    bool literal =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

    if (!literal && SSL_set_tlsext_host_name(t->ssl, name) != 1)
        return false;
    if (!t->context->verify_name)
        return true;
    /* names are in the SAN or nowhere, as Go has it */
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (literal)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) == 1;
    return SSL_set1_host(t->ssl, name) == 1;
}

struct tls *tls_new(struct tls_context *c, const char *server_name, struct bytes *out,
                    struct pool *pool)
{
    struct tls *t = mem_zalloc(sizeof(*t));
    BIO *bio = BIO_new(c->method);

    t->context = c;
    t->out = out;
    t->pool = pool;
    t->ssl = SSL_new(c->ctx);
    if (t->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(t->ssl);
        mem_free(t);
        return NULL;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (server_name != NULL && !set_name(t, server_name)) {
        tls_free(t);
        return NULL;
    }
    if (c->server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    if (t->record != NULL)
        pool_give(t->pool, t->record);
    SSL_free(t->ssl);
    mem_free(t);
}

enum tls_state tls_state(const struct tls *t)
{
    return t->state;
}

const char *tls_error(const struct tls *t)
{
    return t->error[0] ? t->error : "no error";
}

/* ---- errors --------------------------------------------------------------------------------- */

static void untrusted(struct tls *t, const char *why)
{
    t->state = TLS_UNTRUSTED;
    snprintf(t->error, sizeof(t->error), "%s", why);
}

static void failed(struct tls *t)
{
    unsigned long code = ERR_get_error();
    long verdict = SSL_get_verify_result(t->ssl);
    const char *text = ERR_reason_error_string(code);

    t->state = TLS_FAILED;
    if (!t->context->server && verdict != X509_V_OK && t->context->verify_name &&
        !t->context->observe) {
        untrusted(t, X509_verify_cert_error_string(verdict));
        return;
    }
    snprintf(t->error, sizeof(t->error), "%s", text ? text : "connection ended in the handshake");
    ERR_clear_error();
}

static void check_opened(struct tls *t)
{
    if (t->state != TLS_HANDSHAKE || !SSL_is_init_finished(t->ssl))
        return;
    if (!tls_context_pin_ok(t->context, t->ssl)) {
        untrusted(t, "the server's public key matches none of the pins");
        return;
    }
    t->state = TLS_OPEN;
}

static void sort_out(struct tls *t, int rc)
{
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_ZERO_RETURN:
        t->state = TLS_ENDED;
        return;
    default:
        failed(t);
    }
}

bool tls_peer(const struct tls *t, struct tls_peer *out)
{
    X509 *cert = t->state == TLS_OPEN ? SSL_get0_peer_certificate(t->ssl) : NULL;
    long verdict = SSL_get_verify_result(t->ssl);

    *out = (struct tls_peer){.version = ""};
    if (cert == NULL || !tls_certificate_facts(cert, &out->certificate))
        return false;
    snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(t->ssl));
    if (t->context->verify_name && verdict != X509_V_OK)
        snprintf(out->untrusted, sizeof(out->untrusted), "%s",
                 X509_verify_cert_error_string(verdict));
    return true;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

void tls_input(struct tls *t, const uint8_t *data, size_t len)
{
    t->in = data;
    t->in_len = len;
}

/* True when application data may be read. The call that completes the handshake says false, so
 * that the owner hears of TLS_OPEN before anything else can happen to the connection. */
static bool shake_hands(struct tls *t)
{
    int rc;

    if (t->state != TLS_HANDSHAKE)
        return t->state == TLS_OPEN;
    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc != 1)
        sort_out(t, rc);
    check_opened(t);
    return false;
}

size_t tls_read(struct tls *t, uint8_t *buf, size_t size)
{
    size_t used = 0;

    if (!shake_hands(t))
        return 0;
    while (used < size) {
        size_t n = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_read_ex(t->ssl, buf + used, size - used, &n);
        if (rc != 1) {
            sort_out(t, rc);
            break;
        }
        used += n;
    }
    return used;
}

static void encrypt(struct tls *t, const uint8_t *data, size_t len)
{
    size_t n;

    ERR_clear_error();
    if (SSL_write_ex(t->ssl, data, len, &n) != 1)
        failed(t); /* our transport takes everything, so anything else is fatal */
}

void tls_flush(struct tls *t)
{
    struct chunk *c = t->record;

    if (c == NULL)
        return;
    t->record = NULL;
    encrypt(t, c->data + c->start, c->end - c->start);
    pool_give(t->pool, c);
}

static size_t record_used(const struct tls *t)
{
    return t->record ? t->record->end - t->record->start : 0;
}

static size_t fill_record(struct tls *t, const uint8_t *data, size_t len)
{
    size_t n;

    if (t->record == NULL)
        t->record = pool_take(t->pool, RECORD_SIZE);
    n = RECORD_SIZE - record_used(t);
    if (n > len)
        n = len;
    memcpy(t->record->data + t->record->end, data, n);
    t->record->end += (uint32_t)n;
    if (record_used(t) == RECORD_SIZE)
        tls_flush(t);
    return n;
}

void tls_write(struct tls *t, const uint8_t *data, size_t len)
{
    while (len > 0 && t->state == TLS_OPEN) {
        size_t n;

        if (t->record != NULL || len < RECORD_SIZE) {
            n = fill_record(t, data, len);
        } else {
            n = len - len % RECORD_SIZE; /* whole records need no copy of ours */
            encrypt(t, data, n);
        }
        data += n;
        len -= n;
    }
}

size_t tls_pending(const struct tls *t)
{
    return record_used(t);
}

void tls_finish(struct tls *t)
{
    if (t->state != TLS_OPEN)
        return;
    tls_flush(t);
    ERR_clear_error();
    SSL_shutdown(t->ssl);
}
