/* Ports that other programs are known to use, within what CLIENT_IDs stand for (10001-19999 and
 * 20001-29999). Such a program on the network node has the port, or gets what was meant for the
 * node. Pure. */
#ifndef CHECK_KNOWN_PORT_H
#define CHECK_KNOWN_PORT_H

#include <stddef.h>
#include <stdint.h>

struct known_port {
    uint16_t port;
    const char *use;
};

/* Ascending. */
extern const struct known_port known_ports[];
extern const size_t n_known_ports;

/* What the port is known for, or NULL. */
const char *known_port_use(uint16_t port);

#endif
