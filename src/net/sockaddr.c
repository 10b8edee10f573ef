#include "net/sockaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const struct sockaddr_in *as4(const struct sockaddr *a)
{
    return (const struct sockaddr_in *)(const void *)a;
}

static const struct sockaddr_in6 *as6(const struct sockaddr *a)
{
    return (const struct sockaddr_in6 *)(const void *)a;
}

uint16_t sockaddr_text(const struct sockaddr *a, char out[ADDR_TEXT])
{
    out[0] = '\0';
    if (a->sa_family == AF_INET) {
        inet_ntop(AF_INET, &as4(a)->sin_addr, out, ADDR_TEXT);
        return ntohs(as4(a)->sin_port);
    }
    if (a->sa_family != AF_INET6)
        return 0;
    if (IN6_IS_ADDR_V4MAPPED(&as6(a)->sin6_addr))
        inet_ntop(AF_INET, as6(a)->sin6_addr.s6_addr + 12, out, ADDR_TEXT);
    else
        inet_ntop(AF_INET6, &as6(a)->sin6_addr, out, ADDR_TEXT);
    return ntohs(as6(a)->sin6_port);
}

void sockaddr_text_port(const struct sockaddr *a, char out[ADDR_PORT_TEXT])
{
    char host[ADDR_TEXT];
    uint16_t port = sockaddr_text(a, host);

    snprintf(out, ADDR_PORT_TEXT, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

bool sockaddr_from_text(struct sockaddr_storage *out, const char *ip, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return true;
    }
    return false;
}

socklen_t sockaddr_len(const struct sockaddr *a)
{
    return a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static bool is_public4(uint32_t ip)
{
    static const struct {
        uint32_t network;
        unsigned bits;
    } closed[] = {
        {0x7f000000, 8},  /* 127.0.0.0 */
        {0x0a000000, 8},  /* 10.0.0.0 */
        {0xac100000, 12}, /* 172.16.0.0 */
        {0xc0a80000, 16}, /* 192.168.0.0 */
        {0x64400000, 10}, /* 100.64.0.0 */
        {0xa9fe0000, 16}, /* 169.254.0.0 */
    };

    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if ((ip ^ closed[i].network) >> (32 - closed[i].bits) == 0)
            return false;
    return true;
}

bool sockaddr_is_public(const struct sockaddr *a)
{
    const struct in6_addr *v6 = &as6(a)->sin6_addr;
    uint32_t mapped;

    if (a->sa_family == AF_INET)
        return is_public4(ntohl(as4(a)->sin_addr.s_addr));
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        memcpy(&mapped, v6->s6_addr + 12, sizeof(mapped));
        return is_public4(ntohl(mapped));
    }
    return !IN6_IS_ADDR_LOOPBACK(v6) && !IN6_IS_ADDR_LINKLOCAL(v6) &&
           (v6->s6_addr[0] & 0xfe) != 0xfc;
}

void sockaddr_to_network(struct sockaddr_in6 *a)
{
    if (a->sin6_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->sin6_addr))
        memset(a->sin6_addr.s6_addr + 8, 0, 8);
}

bool sockaddr_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    char left[ADDR_TEXT];
    char right[ADDR_TEXT];

    sockaddr_text(a, left);
    sockaddr_text(b, right);
    return strcmp(left, right) == 0;
}
