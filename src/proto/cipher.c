#include "proto/cipher.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    BLOCK_LEN = 16,
    KDF_ROUNDS = 64,      /* frp's choice; the key is only as strong as the token */
    UPDATE_MAX = 1 << 30, /* OpenSSL counts in int */
    BATCH_LEN = 4096,     /* keystream made at once: enough for the CPU's AES pipeline, fits L1 */
};

/* CFB: each plaintext block is XORed with the encrypted previous ciphertext block (the IV before
 * the first). Encrypting is serial by nature and left to OpenSSL. For decrypting all ciphertext is
 * at hand, so the keystream of many blocks is made in one ECB call: OpenSSL's own CFB goes block by
 * block there too and is several times slower. */
struct cipher {
    EVP_CIPHER_CTX *ctx;
    bool encrypts;
    size_t iv_got;             /* bytes of the IV that are through; data follows at CIPHER_IV_LEN */
    uint8_t block[BLOCK_LEN];  /* the IV; then a reader's last ciphertext block */
    uint8_t stream[BLOCK_LEN]; /* a reader's keystream for the block it is within */
    size_t used;               /* bytes of `stream` that are spent; 0 between blocks */
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

/* Both directions only ever run AES forwards. */
static struct cipher *cipher_new(const EVP_CIPHER *kind, const uint8_t *key, const uint8_t *iv)
{
    struct cipher *c = mem_zalloc(sizeof *c);

    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL || EVP_EncryptInit_ex(c->ctx, kind, NULL, key, iv) != 1 ||
        EVP_CIPHER_CTX_set_padding(c->ctx, 0) != 1) {
        cipher_free(c);
        return NULL;
    }
    return c;
}

struct cipher *cipher_new_writer(const uint8_t key[CIPHER_KEY_LEN], const uint8_t iv[CIPHER_IV_LEN])
{
    struct cipher *c = cipher_new(EVP_aes_128_cfb128(), key, iv);

    if (c != NULL) {
        c->encrypts = true;
        memcpy(c->block, iv, CIPHER_IV_LEN);
    }
    return c;
}

struct cipher *cipher_new_reader(const uint8_t key[CIPHER_KEY_LEN])
{
    return cipher_new(EVP_aes_128_ecb(), key, NULL);
}

void cipher_free(struct cipher *c)
{
    if (c == NULL)
        return;
    EVP_CIPHER_CTX_free(c->ctx);
    mem_free_secret(c, sizeof *c);
}

static int run_aes(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    while (len > 0) {
        int portion = len > UPDATE_MAX ? UPDATE_MAX : (int)len;
        int done = 0;

        if (EVP_EncryptUpdate(c->ctx, out, &done, in, portion) != 1 || done != portion)
            return ERR_CRYPTO;
        in += portion;
        out += portion;
        len -= (size_t)portion;
    }
    return 0;
}

static int encrypt(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    if (c->iv_got == CIPHER_IV_LEN)
        return run_aes(c, in, len, out);
    /* The IV goes out first; the data steps aside, because in and out may be the same memory. */
    memmove(out + CIPHER_IV_LEN, in, len);
    memcpy(out, c->block, CIPHER_IV_LEN);
    c->iv_got = CIPHER_IV_LEN;
    return run_aes(c, out + CIPHER_IV_LEN, len, out + CIPHER_IV_LEN);
}

static void xor_bytes(uint8_t *out, const uint8_t *in, const uint8_t *stream, size_t len)
{
    size_t i = 0;

    /* By words: out may be in, so the compiler may not do it by itself. */
    for (; len - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t a, b;

        memcpy(&a, in + i, sizeof a);
        memcpy(&b, stream + i, sizeof b);
        a ^= b;
        memcpy(out + i, &a, sizeof a);
    }
    for (; i < len; i++)
        out[i] = in[i] ^ stream[i];
}

/* `len` is a multiple of BLOCK_LEN and at most BATCH_LEN. */
static int decrypt_blocks(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t stream[BATCH_LEN];

    memcpy(stream, c->block, BLOCK_LEN);
    memcpy(stream + BLOCK_LEN, in, len - BLOCK_LEN);
    memcpy(c->block, in + len - BLOCK_LEN, BLOCK_LEN);
    if (run_aes(c, stream, len, stream) != 0)
        return ERR_CRYPTO;
    xor_bytes(out, in, stream, len);
    return 0;
}

/* At most to the end of the current block; returns how many bytes that were, 0 on failure. */
static size_t decrypt_part(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t n = BLOCK_LEN - c->used;

    if (n > len)
        n = len;
    if (c->used == 0 && run_aes(c, c->block, BLOCK_LEN, c->stream) != 0)
        return 0;
    memcpy(c->block + c->used, in, n);
    xor_bytes(out, in, c->stream + c->used, n);
    c->used = (c->used + n) % BLOCK_LEN;
    return n;
}

static int decrypt(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out)
{
    while (len > 0) {
        size_t n = len < BATCH_LEN ? len - len % BLOCK_LEN : BATCH_LEN;

        if (c->used != 0 || n == 0)
            n = decrypt_part(c, in, len, out);
        else if (decrypt_blocks(c, in, n, out) != 0)
            n = 0;
        if (n == 0)
            return ERR_CRYPTO;
        in += n;
        out += n;
        len -= n;
    }
    return 0;
}

/* What a reader takes from this portion as IV. */
static size_t take_iv(struct cipher *c, const uint8_t *in, size_t len)
{
    size_t n = CIPHER_IV_LEN - c->iv_got;

    if (n > len)
        n = len;
    memcpy(c->block + c->iv_got, in, n);
    c->iv_got += n;
    return n;
}

/* The bytes an update of `len` makes. */
static size_t output_len(const struct cipher *c, size_t len)
{
    size_t iv = CIPHER_IV_LEN - c->iv_got;

    if (c->encrypts)
        return len == 0 ? 0 : len + iv;
    return len > iv ? len - iv : 0;
}

int cipher_update(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out, size_t size,
                  size_t *out_len)
{
    size_t made = output_len(c, len);
    int rc;

    *out_len = 0;
    if (made > size)
        return ERR_LIMIT;
    if (len == 0)
        return 0;
    if (c->encrypts) {
        rc = encrypt(c, in, len, out);
    } else {
        size_t skip = take_iv(c, in, len);

        if (skip > 0 && made > 0)
            memmove(out, in + skip, made);
        rc = decrypt(c, skip > 0 ? out : in, made, out);
    }
    if (rc == 0)
        *out_len = made;
    return rc;
}
