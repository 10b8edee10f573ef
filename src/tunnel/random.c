#include "tunnel/random.h"

#include <openssl/rand.h>
#include <stdlib.h>

static void fill(void *ctx, uint8_t *out, size_t len)
{
    if (RAND_bytes(out, (int)len) != 1)
        abort(); /* a guessable IV or run_id would be worse than a restart */
}

const struct randomness system_randomness = {.fill = fill};
