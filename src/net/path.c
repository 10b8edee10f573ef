#include "net/path.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

bool path_read(int fd, struct tcp_path *out)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    out->acked = info.tcpi_bytes_acked;
    out->rto_us = info.tcpi_rto;
    out->round_trip_us = info.tcpi_rtt;
    return true;
}
