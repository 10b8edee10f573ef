#include "container/beat.h"

#include <string.h>

bool beat_text_ok(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    for (size_t i = 0; i < len; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return len < size;
}

bool beat_read(const void *data, size_t len, struct beat *out)
{
    struct beat b;

    if (len != sizeof(b))
        return false;
    memcpy(&b, data, sizeof(b));
    if (b.magic != BEAT_MAGIC || b.registered > 1 || b.draining > 1 || b.zero != 0 ||
        b.manner >= MANNERS || !beat_text_ok(b.asked_model, sizeof(b.asked_model)))
        return false;
    *out = b;
    return true;
}
