/* Which of this machine's addresses an operator means by "eth1" or "172.18.0.0/16". */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

#include <sys/socket.h>

/* `what`: an IP literal, an interface's name (its first address, IPv4 before IPv6) or a CIDR (the
 * first local address inside). 0, or ERR_NOTFOUND with a sentence in `error`. */
int interface_address(const char *what, struct sockaddr_storage *out, char *error, size_t size);

#endif
