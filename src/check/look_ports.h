/* Gathers who listens where, from the kernel's list: no port is tried. */
#ifndef CHECK_LOOK_PORTS_H
#define CHECK_LOOK_PORTS_H

#include "check/judge_ports.h"

/* Whoever keeps others from listening on host:port, an IP address. Fills in what is behind
 * f->address. */
void look_holder(const char *proc, const char *host, uint16_t port, struct holder_facts *f);

#endif
