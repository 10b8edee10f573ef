/* The bind guard: a library that MLNode's processes load before all others (LD_PRELOAD). MLNode and
 * its engines listen on every address, and have no setting for it; where a rental platform maps
 * such a port, strangers use the GPU. So a TCP socket that is bound to the wildcard address and to
 * one of the guarded ports is bound to loopback instead, where the gateway finds it. Nothing else
 * is touched: torch's store, NCCL and DNS use other ports, other addresses or UDP.
 *
 * It has to load into any image: of the C library it uses functions that every version since 2.17
 * has, and it names no newer one. It may be called from a signal handler, from any thread, after
 * fork and before main: it takes no lock, allocates nothing, and keeps errno.
 *
 * bind() goes to the kernel directly. The guard is the last one in LD_PRELOAD, so a wrapper of
 * somebody else has had its turn by then. */
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPANS_MAX = 256 }; /* VALUE_RANGES_MAX: as many as mlgate lets an operator write */

struct spans {
    struct {
        uint16_t first;
        uint16_t last;
    } at[SPANS_MAX];
    unsigned count;
};

/* What counts until BIND_GUARD_PORTS has been read, and where it is missing or unreadable: MLNode's
 * own ports. Written once, by the constructor, before there is a second thread. */
static struct spans guarded = {.at = {{5000, 5128}, {8080, 8080}}, .count = 2};

/* A decimal port; moves *text behind it. -1: none here. */
static int32_t read_port(const char **text)
{
    int32_t port = -1;

    for (; **text >= '0' && **text <= '9'; (*text)++) {
        port = (port < 0 ? 0 : port) * 10 + (**text - '0');
        if (port > UINT16_MAX)
            return -1;
    }
    return port;
}

/* "5000-5128,8080". Nothing of *spans is to be used when the answer is false. */
static bool read_spans(const char *text, struct spans *spans)
{
    for (spans->count = 0; spans->count < SPANS_MAX; text++) {
        int32_t first = read_port(&text);
        int32_t last = first;

        if (first < 0)
            return false;
        if (*text == '-') {
            text++;
            last = read_port(&text);
        }
        if (last < first)
            return false;
        spans->at[spans->count].first = (uint16_t)first;
        spans->at[spans->count].last = (uint16_t)last;
        spans->count++;
        if (*text != ',')
            return *text == '\0';
    }
    return false;
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("BIND_GUARD_PORTS");
    struct spans spans;

    if (text && read_spans(text, &spans))
        guarded = spans;
}

static bool is_guarded(in_port_t network_order)
{
    uint16_t port = ntohs(network_order);

    if (port == 0)
        return false;
    for (unsigned i = 0; i < guarded.count; i++)
        if (port >= guarded.at[i].first && port <= guarded.at[i].last)
            return true;
    return false;
}

/* An option of the socket, or -1. Like all calls here past the C library's own wrappers, so that
 * nobody else's wrapper is entered from within ours. */
static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return syscall(SYS_getsockopt, fd, level, name, &value, &size) == 0 ? value : -1;
}

/* 0.0.0.0, which the kernel also takes without a family. */
static bool guard4(int fd, struct sockaddr_in *addr)
{
    if (addr->sin_addr.s_addr != htonl(INADDR_ANY) || !is_guarded(addr->sin_port))
        return false;
    if (option(fd, SOL_SOCKET, SO_DOMAIN) != AF_INET ||
        option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
        return false;
    addr->sin_family = AF_INET;
    addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return true;
}

/* [::], or the same for IPv4 alone, ::ffff:0.0.0.0. A socket that takes both families stays
 * reachable at 127.0.0.1, which is what everybody here dials. */
static bool guard6(int fd, struct sockaddr_in6 *addr)
{
    static const uint8_t mapped_any[16] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t mapped_loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    static const uint8_t loopback[16] = {[15] = 1};
    bool any = IN6_IS_ADDR_UNSPECIFIED(&addr->sin6_addr);

    if (!any && memcmp(&addr->sin6_addr, mapped_any, sizeof(mapped_any)) != 0)
        return false;
    if (!is_guarded(addr->sin6_port) || option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
        return false;
    if (any && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1)
        memcpy(&addr->sin6_addr, loopback, sizeof(loopback));
    else
        memcpy(&addr->sin6_addr, mapped_loopback, sizeof(mapped_loopback));
    return true;
}

static bool guard(int fd, struct sockaddr_storage *addr, socklen_t len)
{
    switch (addr->ss_family) {
    case AF_UNSPEC:
    case AF_INET:
        return len >= sizeof(struct sockaddr_in) && guard4(fd, (struct sockaddr_in *)addr);
    case AF_INET6:
        return len >= sizeof(struct sockaddr_in6) && guard6(fd, (struct sockaddr_in6 *)addr);
    default:
        return false;
    }
}

/* Without IPv6 there is no ::1, and [::] can be bound all the same: asyncio before Python 3.13
 * starts no server at all when one of its two addresses is refused. The wildcard address on the
 * loopback device alone is as safe. Kernels before 5.7 want CAP_NET_RAW for it. Keeps errno. */
static bool confine(int fd)
{
    static const char loopback[] = "lo";
    int before = errno;
    bool done =
        syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_BINDTODEVICE, loopback, sizeof(loopback)) == 0;

    errno = before;
    return done;
}

static int bind_in_kernel(int fd, const void *addr, socklen_t len)
{
    return (int)syscall(SYS_bind, fd, addr, len);
}

__attribute__((visibility("default"))) int bind(int fd, const struct sockaddr *given, socklen_t len)
{
    struct sockaddr_storage copy = {.ss_family = AF_UNSPEC};
    int before = errno;
    bool changed;

    /* What the kernel would refuse is left to it: it knows the right error. */
    if (given == NULL || len < sizeof(given->sa_family) || len > sizeof(copy))
        return bind_in_kernel(fd, given, len);
    memcpy(&copy, given, len);
    changed = guard(fd, &copy, len);
    errno = before;
    if (!changed)
        return bind_in_kernel(fd, given, len);
    if (bind_in_kernel(fd, &copy, len) == 0)
        return 0;
    if (errno != EADDRNOTAVAIL || copy.ss_family != AF_INET6 || !confine(fd))
        return -1;
    errno = before;
    return bind_in_kernel(fd, given, len);
}
