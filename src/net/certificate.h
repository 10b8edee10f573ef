/* The server's own certificate, for operators who bring none: made on first start and kept, so that
 * clients can pin it. */
#ifndef NET_CERTIFICATE_H
#define NET_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

enum { CERTIFICATE_PIN_SIZE = 45 }; /* base64 of a SHA-256, terminated */

struct certificate_facts {
    char pin[CERTIFICATE_PIN_SIZE]; /* base64 SHA-256 of its SubjectPublicKeyInfo */
    int64_t not_before;             /* Unix time */
    int64_t not_after;
};

/* Makes an ECDSA P-256 key (mode 0600) and a self-signed certificate without names, as frps does,
 * valid ten years, unless both files exist. 0 or ERR_IO / ERR_CRYPTO with a sentence in `error`. */
int certificate_ensure(const char *cert_file, const char *key_file, char *error, size_t size);
/* Of the first certificate in a PEM file; ERR_IO when there is none. */
int certificate_read(const char *cert_file, struct certificate_facts *out);
/* The pin alone. */
int certificate_pin(const char *cert_file, char pin[CERTIFICATE_PIN_SIZE]);

#endif
