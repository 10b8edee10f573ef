#include "container/beat.h"

#include <string.h>

bool beat_read(const void *data, size_t len, struct beat *out)
{
    struct beat b;

    if (len != sizeof(b))
        return false;
    memcpy(&b, data, sizeof(b));
    if (b.magic != BEAT_MAGIC || b.registered > 1 || b.draining > 1 || b.zero != 0 ||
        b.manner >= MANNERS)
        return false;
    *out = b;
    return true;
}
