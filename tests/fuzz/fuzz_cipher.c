/* First four bytes: a seed for the cuts; sixteen bytes: key; the rest: plaintext. However it is
 * cut, in place or not, the writer makes what the crypto library makes in one call, and the reader
 * gives the plaintext back. */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/cipher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    SEED_LEN = 4,
    PLAIN_MAX = 16384,
};

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* One call on memory of exactly the size that the contract asks for. */
static size_t update(struct cipher *c, const uint8_t *in, size_t len, size_t room, bool in_place,
                     uint8_t *out)
{
    size_t size = in_place && room < len ? len : room;
    uint8_t *buf = mem_alloc(size);
    size_t made;

    if (in_place)
        memcpy(buf, in, len);
    if (room > 0) {
        CHECK(cipher_update(c, in_place ? buf : in, len, buf, room - 1, &made) == ERR_LIMIT);
        CHECK(made == 0);
    }
    CHECK(cipher_update(c, in_place ? buf : in, len, buf, room, &made) == 0);
    CHECK(made == room);
    memcpy(out, buf, made);
    mem_free(buf);
    return made;
}

static size_t pass(struct cipher *c, bool writer, const uint8_t *in, size_t len, uint32_t *seed,
                   uint8_t *out)
{
    size_t at = 0, made = 0;
    /* What is still to be added (writer) or left out (reader) for the IV. */
    size_t iv = CIPHER_IV_LEN;
    size_t most = draw(seed) % 4 == 0 ? 9000 : 1 + draw(seed) % 50;

    CHECK(c != NULL);
    while (at < len) {
        size_t n = draw(seed) % (most + 1);
        size_t room;

        if (n > len - at)
            n = len - at;
        room = writer ? n + (n > 0 ? iv : 0) : n > iv ? n - iv : 0;
        made += update(c, in + at, n, room, draw(seed) % 2 == 0, out + made);
        at += n;
        iv = writer ? (n > 0 ? 0 : iv) : n > iv ? 0 : iv - n;
    }
    cipher_free(c);
    return made;
}

static void library_cfb(const uint8_t *key, const uint8_t *iv, const uint8_t *in, size_t len,
                        uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n;

    CHECK(EVP_EncryptInit_ex(ctx, EVP_aes_128_cfb128(), NULL, key, iv) == 1);
    CHECK(EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 && n == (int)len);
    EVP_CIPHER_CTX_free(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t want[PLAIN_MAX], sent[PLAIN_MAX + CIPHER_IV_LEN], got[PLAIN_MAX];
    const uint8_t *key = data + SEED_LEN;
    uint8_t iv[CIPHER_IV_LEN];
    uint32_t seed;
    size_t n;

    if (size < SEED_LEN + CIPHER_KEY_LEN)
        return 0;
    memcpy(&seed, data, SEED_LEN);
    data += SEED_LEN + CIPHER_KEY_LEN;
    size -= SEED_LEN + CIPHER_KEY_LEN;
    if (size > PLAIN_MAX)
        size = PLAIN_MAX;
    for (size_t i = 0; i < sizeof iv; i++)
        iv[i] = (uint8_t)draw(&seed);
    n = pass(cipher_new_writer(key, iv), true, data, size, &seed, sent);
    CHECK(n == (size > 0 ? size + CIPHER_IV_LEN : 0));
    if (n == 0)
        return 0;
    CHECK(memcmp(sent, iv, CIPHER_IV_LEN) == 0);
    library_cfb(key, iv, data, size, want);
    CHECK(memcmp(sent + CIPHER_IV_LEN, want, size) == 0);
    CHECK(pass(cipher_new_reader(key), false, sent, n, &seed, got) == size);
    CHECK(memcmp(got, data, size) == 0);
    return 0;
}
