#include "net/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/tls_internal.h"

enum {
    VALID_BEFORE_S = 3600,                /* for clocks that lag */
    VALID_AFTER_S = 10 * 365 * 24 * 3600, /* as frps */
};

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    uint64_t serial = 0;

    if (cert == NULL)
        return NULL;
    RAND_bytes((uint8_t *)&serial, sizeof(serial));
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), -VALID_BEFORE_S);
    X509_gmtime_adj(X509_getm_notAfter(cert), VALID_AFTER_S);
    X509_set_pubkey(cert, key);
    if (X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* Written beside and renamed, so that a full disk or a crash leaves no half file. */
static int write_pem(const char *path, EVP_PKEY *key, X509 *cert)
{
    char *temporary = mem_printf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, key ? 0600 : 0644);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    int ok = 0;

    if (file != NULL) {
        ok = key ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
                 : PEM_write_X509(file, cert);
        ok = fflush(file) == 0 && fsync(fd) == 0 && ok == 1;
        ok = fclose(file) == 0 && ok && rename(temporary, path) == 0;
    } else if (fd >= 0) {
        close(fd);
    }
    if (!ok && fd >= 0)
        unlink(temporary);
    mem_free(temporary);
    return ok ? ERR_OK : ERR_IO;
}

int certificate_ensure(const char *cert_file, const char *key_file, char *error, size_t size)
{
    EVP_PKEY *key;
    X509 *cert;
    int rc = ERR_CRYPTO;

    if (access(cert_file, R_OK) == 0 && access(key_file, R_OK) == 0)
        return ERR_OK;
    key = EVP_EC_gen("P-256");
    cert = key ? self_signed(key) : NULL;
    if (cert == NULL)
        snprintf(error, size, "cannot make a certificate");
    else if ((rc = write_pem(key_file, key, NULL)) != ERR_OK)
        snprintf(error, size, "cannot write %s: %s", key_file, strerror(errno));
    else if ((rc = write_pem(cert_file, NULL, cert)) != ERR_OK)
        snprintf(error, size, "cannot write %s: %s", cert_file, strerror(errno));
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

int certificate_read(const char *cert_file, struct certificate_facts *out)
{
    FILE *file = fopen(cert_file, "re");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    int rc = cert != NULL && tls_certificate_facts(cert, out) ? ERR_OK : ERR_IO;

    X509_free(cert);
    if (file != NULL)
        fclose(file);
    ERR_clear_error();
    return rc;
}

int certificate_pin(const char *cert_file, char pin[CERTIFICATE_PIN_SIZE])
{
    struct certificate_facts facts;
    int rc = certificate_read(cert_file, &facts);

    if (rc == ERR_OK)
        memcpy(pin, facts.pin, sizeof(facts.pin));
    return rc;
}
