/* frp's token method: the privilege key proves knowledge of the shared token. It is MD5 over token
 * and time without a nonce, so it can be replayed: whoever needs freshness checks the timestamp. */
#ifndef PROTO_AUTH_H
#define PROTO_AUTH_H

#include <stddef.h>
#include <stdint.h>

enum {
    AUTH_KEY_SIZE = 33, /* 32 hex digits and the terminator */
};

/* Lower-case hex of MD5(token ‖ timestamp in decimal). An empty token is legal (`token` may be NULL
 * then). 0, or ERR_CRYPTO and an empty string. */
int auth_key(char out[AUTH_KEY_SIZE], const char *token, size_t len, int64_t timestamp);

/* 0 when `key` is the privilege key of token and timestamp, else ERR_AUTH (also for "" and NULL),
 * or ERR_CRYPTO. The comparison takes the same time wherever the difference is. */
int auth_verify(const char *key, const char *token, size_t len, int64_t timestamp);

#endif
