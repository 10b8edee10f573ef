/* Gathers who listens where, from the kernel's list: no port is tried. */
#ifndef CHECK_LOOK_PORTS_H
#define CHECK_LOOK_PORTS_H

#include "check/judge_ports.h"
#include "container/sockets.h"

enum { PORT_TABLE_MAX = 8192 }; /* a server of 4,000 clients has as many; the rest is not seen */

/* All listeners of this network namespace, read once: the kernel takes milliseconds for it. */
struct port_table {
    const char *proc; /* "/proc" */
    struct listening *items;
    size_t count;
    bool unreadable;
};

void port_table_read(struct port_table *t, const char *proc);
void port_table_free(struct port_table *t);

/* Whoever keeps others from listening on host:port, an IP address. Fills in what is behind
 * f->address. */
void look_holder(const struct port_table *t, const char *host, uint16_t port,
                 struct holder_facts *f);

enum { LOOK_LISTENERS_MAX = 1024 };
/* The ports of `audit` with the names of who listens there, as far as we may see them: "22 (sshd),
 * 8888 and 3 more". Returns out; "" for none. */
char *look_listeners(const struct port_table *t, const struct audit *audit,
                     char out[LOOK_LISTENERS_MAX]);

#endif
