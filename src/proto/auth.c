#include "proto/auth.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

enum {
    MD5_LEN = 16,
};

static int digest(EVP_MD_CTX *ctx, const char *token, size_t len, int64_t timestamp,
                  uint8_t out[MD5_LEN])
{
    char decimal[24];
    int n = snprintf(decimal, sizeof decimal, "%" PRId64, timestamp);

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_md5(), NULL) != 1 ||
        (len > 0 && EVP_DigestUpdate(ctx, token, len) != 1) ||
        EVP_DigestUpdate(ctx, decimal, (size_t)n) != 1 || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        return ERR_CRYPTO;
    return 0;
}

int auth_key(char out[AUTH_KEY_SIZE], const char *token, size_t len, int64_t timestamp)
{
    uint8_t md5[MD5_LEN];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = digest(ctx, token, len, timestamp, md5);

    EVP_MD_CTX_free(ctx);
    out[0] = '\0';
    if (rc == 0)
        text_hex(out, md5, sizeof md5);
    return rc;
}

int auth_verify(const char *key, const char *token, size_t len, int64_t timestamp)
{
    char want[AUTH_KEY_SIZE];
    int rc = auth_key(want, token, len, timestamp);

    if (rc != 0)
        return rc;
    if (key == NULL || !text_equal_secret(key, strlen(key), want, strlen(want)))
        return ERR_AUTH;
    return 0;
}
