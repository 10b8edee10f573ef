/* What the demo's children find around them: a directory of their own, free ports, a secret, and
 * an environment without whatever the user has configured for other instances. */
#ifndef CLI_DEMO_PLACE_H
#define CLI_DEMO_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PLACE_TOKEN_SIZE = 49,    /* 24 random bytes in hex, terminated */
    PLACE_CLIENT_ID_SIZE = 5, /* four digits, terminated */
};

/* A fresh directory with mode 0700 in $TMPDIR or /tmp; the caller's. NULL with the cause in `why`.
 */
char *place_make(char *why, size_t why_size);
/* Removes it with all that is in it. NULL is allowed. */
void place_remove(const char *dir);

void place_token(char out[PLACE_TOKEN_SIZE]);
/* A CLIENT_ID, chosen at random, whose ports 1{ID} and 2{ID} are free on 127.0.0.1 at this moment.
 * false: there is none. */
bool place_client_id(char out[PLACE_CLIENT_ID_SIZE]);
/* The first of `n` ports in a row that are free on 127.0.0.1 now, outside the range from which
 * Linux takes the ports of outgoing connections, so that none takes one a moment later. 0: there
 * are none. */
uint16_t place_ports(unsigned n);

/* Our own environment, less the variables of the server and the client, with `settings`
 * ("NAME=...", ends with NULL) added. The list and its strings are the caller's, for
 * place_environment_free. */
char **place_environment(char *const *settings);
void place_environment_free(char **list);

#endif
