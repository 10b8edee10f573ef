/* Addresses as frp writes them: IPv6 without brackets, IPv4-mapped IPv6 as IPv4. */
#ifndef NET_SOCKADDR_H
#define NET_SOCKADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ADDR_TEXT = INET6_ADDRSTRLEN,
    ADDR_PORT_TEXT = INET6_ADDRSTRLEN + 8, /* "[...]:65535" */
};

/* The address without port, "" for other families; returns the port (0 for others). */
uint16_t sockaddr_text(const struct sockaddr *a, char out[ADDR_TEXT]);
/* "1.2.3.4:80", "[::1]:80" for logs. */
void sockaddr_text_port(const struct sockaddr *a, char out[ADDR_PORT_TEXT]);
/* From an IP literal without brackets; false for anything else. */
bool sockaddr_from_text(struct sockaddr_storage *out, const char *ip, uint16_t port);
socklen_t sockaddr_len(const struct sockaddr *a);
/* Whether strangers may reach it: true unless it is loopback, of a private or shared network
 * (RFC 1918, RFC 6598, RFC 4193) or of the link. The wildcard addresses are every address. */
bool sockaddr_is_public(const struct sockaddr *a);
/* What one customer of a provider may choose from: an IPv6 address loses its lower 64 bits. */
void sockaddr_to_network(struct sockaddr_in6 *a);
bool sockaddr_same_host(const struct sockaddr *a, const struct sockaddr *b);

#endif
