/* The TCP listeners of this network namespace, out of the kernel's own list. */
#ifndef CONTAINER_SOCKETS_H
#define CONTAINER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum socket_table {
    SOCKETS_TCP4, /* /proc/net/tcp */
    SOCKETS_TCP6, /* /proc/net/tcp6; an IPv4 address in it stays what it is */
};

struct listening {
    enum socket_table table;
    uint8_t addr[16]; /* in network order; of IPv4 the first four bytes */
    uint16_t port;
    uint64_t inode; /* 0: the line did not say */
};

typedef void sockets_each(void *ctx, const struct listening *l);

/* Calls `each` for the listeners of the whole lines in `text`, and returns how many bytes those
 * lines have: what is left is the beginning of the next one. Lines that do not have the kernel's
 * form are passed over: the first line of a table is one, and nothing is gained by refusing the
 * others. Pure. */
size_t sockets_lines(enum socket_table table, const char *text, size_t len, sockets_each *each,
                     void *ctx);
/* Reads both tables below `proc` ("/proc"). ERR_NOTFOUND when neither can be read, as where /proc
 * is not mounted. A kernel without IPv6 has one table. Allocates nothing. */
int sockets_read(const char *proc, sockets_each *each, void *ctx);

/* 127.0.0.0/8, ::1, and the first seen through the second family. */
bool sockets_is_loopback(const struct listening *l);
/* 0.0.0.0 or :: */
bool sockets_is_any(const struct listening *l);

enum { SOCKETS_NAME_MAX = 32 };
/* Who has the socket: its process id, and its name in `name`. 0: nobody that we may see, which
 * without root is almost nobody. */
pid_t sockets_owner(const char *proc, uint64_t inode, char name[SOCKETS_NAME_MAX]);

#endif
