/* frp's stream cipher: AES-128 in CFB mode with 128-bit feedback, one continuous stream a
 * direction. Used on v1 control connections right after Login and LoginResp, and on work
 * connections with use_encryption right after StartWorkConn. It has no integrity: TLS is what
 * protects. */
#ifndef PROTO_CIPHER_H
#define PROTO_CIPHER_H

#include <stddef.h>
#include <stdint.h>

enum {
    CIPHER_KEY_LEN = 16,
    CIPHER_IV_LEN = 16,
};

/* One direction of one connection. Holds a key: released (and wiped) with cipher_free. */
struct cipher;

/* PBKDF2-HMAC-SHA1(secret, "frp", 64 rounds): frp's key from a token, which may be empty (then
 * `secret` may be NULL). Some 20 microseconds: derive it once and keep it. 0 or ERR_CRYPTO. */
int cipher_key(uint8_t key[CIPHER_KEY_LEN], const char *secret, size_t len);

/* A direction that encrypts. `iv` must be fresh random bytes from the caller for every direction of
 * every connection. NULL when the crypto library refuses. */
struct cipher *cipher_new_writer(const uint8_t key[CIPHER_KEY_LEN],
                                 const uint8_t iv[CIPHER_IV_LEN]);
/* A direction that decrypts; its IV comes from the stream. NULL as above. */
struct cipher *cipher_new_reader(const uint8_t key[CIPHER_KEY_LEN]);
/* NULL is allowed. */
void cipher_free(struct cipher *c);

/* Passes `len` bytes through, in any portions, into out[0 .. *out_len-1]. `out` is either `in`
 * itself or does not overlap it. No allocation.
 *
 * A writer emits its IV before its first ciphertext byte and not before there is one (len 0 emits
 * nothing), so it needs room for len + CIPHER_IV_LEN bytes at its first call and for len later. A
 * reader takes the first CIPHER_IV_LEN bytes of its stream as IV, so it emits at most len bytes.
 *
 * ERR_LIMIT: `size` is too small; nothing was taken, *out_len is 0. ERR_CRYPTO: the crypto library
 * refused; the direction is unusable. */
int cipher_update(struct cipher *c, const uint8_t *in, size_t len, uint8_t *out, size_t size,
                  size_t *out_len);

#endif
