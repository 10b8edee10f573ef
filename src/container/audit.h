/* Which listeners of this container can be reached from outside of it, read from the kernel's own
 * list. A platform that maps a port makes such a listener public; the bind guard covers the ports
 * that MLNode is known to use, and this says what else is open. */
#ifndef CONTAINER_AUDIT_H
#define CONTAINER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/sockets.h"

/* One line names no more ports than this; what is beyond is counted. */
enum { AUDIT_PORTS_MAX = 64 };
/* Room for a line about that many. */
enum { AUDIT_LINE_MAX = 640 };

/* The ports of TCP listeners that are not on loopback, ascending, none twice. */
struct audit {
    uint16_t ports[AUDIT_PORTS_MAX];
    size_t count;
    size_t unsaid; /* listeners whose port did not fit */
};

struct audit_span {
    uint16_t first;
    uint16_t last;
};

/* Adds the listeners of the whole lines in `text` (see sockets_lines), without those whose port is
 * in one of the `expected` spans. Pure. */
size_t audit_lines(struct audit *audit, enum socket_table table, const char *text, size_t len,
                   const struct audit_span *expected, size_t n_expected);

/* Reads both tables of this network namespace below `proc` ("/proc"). ERR_NOTFOUND when neither can
 * be read: *audit is then empty. Allocates nothing. */
int audit_read(struct audit *audit, const char *proc, const struct audit_span *expected,
               size_t n_expected);

bool audit_same(const struct audit *a, const struct audit *b);

/* "22, 8888" or "22, 8888 and 3 more" into out[AUDIT_LINE_MAX]; "" for none. Returns out. */
char *audit_ports(const struct audit *audit, char *out);

#endif
