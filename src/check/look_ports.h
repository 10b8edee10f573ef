/* Gathers who listens where, from the kernel's list: no port is tried. */
#ifndef CHECK_LOOK_PORTS_H
#define CHECK_LOOK_PORTS_H

#include "check/judge_ports.h"

/* Whoever keeps others from listening on host:port, an IP address. Fills in what is behind
 * f->address. */
void look_holder(const char *proc, const char *host, uint16_t port, struct holder_facts *f);

enum { LOOK_LISTENERS_MAX = 1024 };
/* The ports of `audit` with the names of who listens there, as far as we may see them: "22 (sshd),
 * 8888 and 3 more". Returns out; "" for none. */
char *look_listeners(const char *proc, const struct audit *audit, char out[LOOK_LISTENERS_MAX]);

#endif
