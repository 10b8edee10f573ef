#include "proto/cipher.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    KDF_ROUNDS = 64,      /* frp's choice; the key is only as strong as the token */
    UPDATE_MAX = 1 << 30, /* OpenSSL counts in int */
};

struct cipher {
    EVP_CIPHER_CTX *ctx;
    bool encrypts;
    size_t iv_got; /* bytes of the IV that are through; the cipher runs at CIPHER_IV_LEN */
    uint8_t key[CIPHER_KEY_LEN]; /* a reader's, until its IV is complete */
    uint8_t iv[CIPHER_IV_LEN];
};

int cipher_key(uint8_t key[CIPHER_KEY_LEN], const char *secret, size_t len)
{
    static const uint8_t salt[3] = {'f', 'r', 'p'};

    if (len > INT_MAX)
        return ERR_CRYPTO;
    return PKCS5_PBKDF2_HMAC_SHA1(len > 0 ? secret : "", (int)len, salt, sizeof salt, KDF_ROUNDS,
                                  CIPHER_KEY_LEN, key) == 1
               ? 0
               : ERR_CRYPTO;
}

static int start(struct cipher *c)
{
    int ok = EVP_CipherInit_ex(c->ctx, EVP_aes_128_cfb128(), NULL, c->key, c->iv, c->encrypts);

    return ok == 1 ? 0 : ERR_CRYPTO;
}

static struct cipher *cipher_new(const uint8_t key[CIPHER_KEY_LEN], bool encrypts)
{
    struct cipher *c = mem_zalloc(sizeof *c);

    c->encrypts = encrypts;
    memcpy(c->key, key, CIPHER_KEY_LEN);
    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL) {
        cipher_free(c);
        return NULL;
    }
    return c;
}

struct cipher *cipher_new_writer(const uint8_t key[CIPHER_KEY_LEN], const uint8_t iv[CIPHER_IV_LEN])
{
    struct cipher *c = cipher_new(key, true);

    if (c == NULL)
        return NULL;
    memcpy(c->iv, iv, CIPHER_IV_LEN);
    if (start(c) != 0) {
        cipher_free(c);
        return NULL;
    }
    return c;
}

struct cipher *cipher_new_reader(const uint8_t key[CIPHER_KEY_LEN])
{
    return cipher_new(key, false);
}

void cipher_free(struct cipher *c)
{
    if (c == NULL)
        return;
    EVP_CIPHER_CTX_free(c->ctx);
    mem_free_secret(c, sizeof *c);
}

static int apply(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    while (len > 0) {
        int portion = len > UPDATE_MAX ? UPDATE_MAX : (int)len;
        int done = 0;

        if (EVP_CipherUpdate(c->ctx, out, &done, in, portion) != 1 || done != portion)
            return ERR_CRYPTO;
        in += portion;
        out += portion;
        len -= (size_t)portion;
    }
    return 0;
}

/* The first ciphertext byte is due: the IV goes out before it. */
static int write_first(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    /* Out of the IV's way also when in and out are the same memory. */
    memmove(out + CIPHER_IV_LEN, in, len);
    memcpy(out, c->iv, CIPHER_IV_LEN);
    c->iv_got = CIPHER_IV_LEN;
    return apply(c, out + CIPHER_IV_LEN, len, out + CIPHER_IV_LEN);
}

/* Takes bytes of the IV; what follows them in this portion is decrypted. */
static int read_first(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out,
                      size_t *out_len)
{
    size_t n = CIPHER_IV_LEN - c->iv_got;
    int rc = 0;

    if (n > len)
        n = len;
    memcpy(c->iv + c->iv_got, in, n);
    c->iv_got += n;
    if (c->iv_got == CIPHER_IV_LEN)
        rc = start(c);
    if (rc != 0 || n == len)
        return rc;
    *out_len = len - n;
    memmove(out, in + n, len - n);
    return apply(c, out, len - n, out);
}

int cipher_update(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out, size_t size,
                  size_t *out_len)
{
    bool first = c->iv_got < CIPHER_IV_LEN;
    size_t need = len;
    int rc;

    *out_len = 0;
    if (len == 0)
        return 0;
    if (first)
        need = c->encrypts
                   ? len + CIPHER_IV_LEN
                   : len - (len < CIPHER_IV_LEN - c->iv_got ? len : CIPHER_IV_LEN - c->iv_got);
    if (need > size)
        return ERR_LIMIT;
    if (!first)
        rc = apply(c, in, len, out);
    else if (c->encrypts)
        rc = write_first(c, in, len, out);
    else
        rc = read_first(c, in, len, out, &need);
    *out_len = rc == 0 ? need : 0;
    return rc;
}
