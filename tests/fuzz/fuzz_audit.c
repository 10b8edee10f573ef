/* The kernel's table of TCP sockets. Beyond not crashing: cut anywhere between calls, the lines say
 * the same as in one call; ports are sorted, each once and none of the expected; the line about
 * them fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "container/audit.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct audit_span expected[] = {{22, 22}, {5000, 5128}};

/* As a reader does whose buffer is full after `step` bytes more. */
static void in_pieces(struct audit *audit, enum socket_table table, const char *text, size_t size,
                      size_t step)
{
    size_t done = 0;

    for (size_t end = step; done < size && end < size + step; end += step) {
        size_t upto = end < size ? end : size;

        done += audit_lines(audit, table, text + done, upto - done, expected, 2);
        CHECK(done <= upto);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;
    struct audit whole = {.count = 0};
    struct audit pieces = {.count = 0};
    char line[AUDIT_LINE_MAX];
    enum socket_table table;

    if (size == 0)
        return 0;
    table = data[0] & 1 ? SOCKETS_TCP6 : SOCKETS_TCP4;
    audit_lines(&whole, table, text, size - 1, expected, 2);
    in_pieces(&pieces, table, text, size - 1, (data[0] >> 1) + 1U);
    CHECK(audit_same(&whole, &pieces));
    for (size_t i = 0; i < whole.count; i++) {
        CHECK(i == 0 || whole.ports[i] > whole.ports[i - 1]);
        CHECK(whole.ports[i] != 22 && (whole.ports[i] < 5000 || whole.ports[i] > 5128));
    }
    CHECK(strlen(audit_ports(&whole, line)) < sizeof(line) - 1);
    return 0;
}
