#include "net/interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "net/sockaddr.h"

struct network {
    struct sockaddr_storage base;
    uint64_t bits;
};

static const uint8_t *raw(const struct sockaddr *a, uint64_t *bits)
{
    if (a->sa_family == AF_INET) {
        *bits = 32;
        return (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
    }
    *bits = 128;
    return (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
}

static bool parse_network(const char *text, struct network *out)
{
    const char *slash = strchr(text, '/');
    char base[ADDR_TEXT];
    uint64_t width;

    if (slash == NULL || (size_t)(slash - text) >= sizeof(base))
        return false;
    memcpy(base, text, (size_t)(slash - text));
    base[slash - text] = '\0';
    if (!sockaddr_from_text(&out->base, base, 0))
        return false;
    raw((const struct sockaddr *)&out->base, &width);
    return text_uint(slash + 1, strlen(slash + 1), width, &out->bits);
}

static bool inside(const struct network *n, const struct sockaddr *a)
{
    uint64_t width;
    const uint8_t *left = raw((const struct sockaddr *)&n->base, &width);
    const uint8_t *right;
    size_t whole = (size_t)n->bits / 8;
    unsigned rest = (unsigned)n->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    if (a->sa_family != n->base.ss_family)
        return false;
    right = raw(a, &width);
    if (memcmp(left, right, whole) != 0)
        return false;
    return rest == 0 || (left[whole] & mask) == (right[whole] & mask);
}

static bool usable(const struct ifaddrs *i)
{
    return i->ifa_addr != NULL && (i->ifa_flags & IFF_UP) &&
           (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6);
}

static const struct sockaddr *search(const struct ifaddrs *list, const char *name,
                                     const struct network *network)
{
    const struct sockaddr *found = NULL;

    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (!usable(i))
            continue;
        if (network != NULL ? !inside(network, i->ifa_addr) : strcmp(i->ifa_name, name) != 0)
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            return i->ifa_addr;
        if (found == NULL)
            found = i->ifa_addr;
    }
    return found;
}

int interface_address(const char *what, struct sockaddr_storage *out, char *error, size_t size)
{
    struct network network;
    bool cidr = parse_network(what, &network);
    struct ifaddrs *list = NULL;
    const struct sockaddr *found;

    if (sockaddr_from_text(out, what, 0))
        return ERR_OK;
    if (getifaddrs(&list) != 0)
        list = NULL;
    found = search(list, what, cidr ? &network : NULL);
    if (found != NULL)
        memcpy(out, found, sockaddr_len(found));
    else
        snprintf(error, size,
                 cidr ? "no local address lies in %s"
                      : "%s is no IP address, no "
                        "network and no interface with an address here",
                 what);
    freeifaddrs(list);
    return found ? ERR_OK : ERR_NOTFOUND;
}
