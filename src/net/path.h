/* TCP_INFO of a socket, in a file of its own because the C library's header for TCP lacks the
 * fields and the kernel's cannot stand beside it. */
#ifndef NET_PATH_H
#define NET_PATH_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_path {
    uint64_t acked;         /* bytes the peer's kernel has acknowledged since connecting */
    uint32_t rto_us;        /* current retransmission timeout */
    uint32_t round_trip_us; /* smoothed */
};

bool path_read(int fd, struct tcp_path *out);

#endif
