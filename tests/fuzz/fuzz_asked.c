/* The look at inference/up under any bodies, in any pieces, of two requests at once. Each event is
 * a byte: which request, what it does, how many bytes of what follows it sends. Whatever comes: no
 * more is held than the limit, the name is printable and ends within its field, and a request that
 * has left holds nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/asked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static void check(const struct asked *a)
{
    CHECK(a->len <= ASKED_BODY_MAX && (a->by != NULL || a->body == NULL));
    CHECK(memchr(a->name, '\0', sizeof(a->name)) != NULL);
    for (const char *at = a->name; *at; at++)
        CHECK(*at >= ' ' && *at <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char requests[2];
    struct asked a = {.by = NULL};

    for (size_t at = 0; at < size;) {
        const char *by = &requests[data[at] & 1];
        size_t len = (size_t)(data[at] >> 3) * 8;
        unsigned what = data[at] >> 1 & 3;

        at++;
        if (len > size - at)
            len = size - at;
        if (what == 0)
            asked_begin(&a, by);
        else if (what == 1)
            asked_done(&a, by);
        else if (what == 2)
            asked_leave(&a, by);
        else
            asked_take(&a, by, (const char *)data + at, len);
        at += what == 3 ? len : 0;
        check(&a);
    }
    /* The whole of it as one body. */
    asked_begin(&a, requests);
    asked_take(&a, requests, (const char *)data, size);
    asked_done(&a, requests);
    check(&a);
    CHECK(a.body == NULL);
    return 0;
}
