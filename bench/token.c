#include "token.h"

#include <string.h>

static const char prefix[] = "data: ";
enum { PREFIX = sizeof(prefix) - 1 };

static char *put(char *at, uint64_t n, int digits)
{
    static const char hex[] = "0123456789abcdef";

    for (int i = digits - 1; i >= 0; i--) {
        at[i] = hex[n & 15];
        n >>= 4;
    }
    at[digits] = ' ';
    return at + digits + 1;
}

void token_write(const struct token *t, char *out, size_t size)
{
    char *at = out;

    memset(out, 'x', size);
    memcpy(at, prefix, PREFIX);
    at = put(at + PREFIX, t->sent_ns, 16);
    at = put(at, t->due_ns, 16);
    at = put(at, t->number, 8);
    *at = t->together ? 'T' : '-';
    memcpy(out + size - 2, "\n\n", 2);
}

static bool get(const char **at, int digits, uint64_t *n)
{
    const char *p = *at;

    *n = 0;
    for (int i = 0; i < digits; i++) {
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10;

        if (digit < 0 || digit > 15)
            return false;
        *n = *n << 4 | (unsigned)digit;
    }
    *at = p + digits + 1;
    return p[digits] == ' ';
}

bool token_read(struct token *t, const char *head)
{
    const char *at = head + PREFIX;
    uint64_t number;

    if (memcmp(head, prefix, PREFIX) != 0 || !get(&at, 16, &t->sent_ns) ||
        !get(&at, 16, &t->due_ns) || !get(&at, 8, &number))
        return false;
    t->number = (uint32_t)number;
    t->together = *at == 'T';
    return *at == 'T' || *at == '-';
}
