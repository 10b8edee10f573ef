/* Load generator: a table of verbs and what they share. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

struct verb {
    const char *name;
    void (*run)(const struct load_args *a);
    int numbers;
    const char *usage;
};

static const struct verb verbs[] = {
    {"down", load_down, 2, "STREAMS BYTES    take BYTES from the service, shared by STREAMS"},
    {"up", load_up, 2, "STREAMS BYTES      send BYTES to the service, shared by STREAMS"},
    {"flood", load_flood, 0, "                send without pause until stdin closes"},
    {"stall", load_stall, 0, "                order bulk and never read it, until stdin closes"},
    {"rtt", load_rtt, 2, "COUNT SIZE          exchanges one after the other on one connection"},
    {"exchanges", load_exchanges, 3, "CONNECTIONS COUNT SIZE    exchanges side by side"},
    {"connects", load_connects, 1, "COUNT          new connections one after the other"},
    {"burst", load_burst, 1, "COUNT             new connections all at once"},
    {"idle", load_idle, 1, "COUNT              hold idle connections until stdin closes"},
    {"events", load_events, 4, "STREAMS INTERVAL_US SIZE COUNT    token-like streams"},
    {"http-requests", load_http_requests, 3, "CONNECTIONS MS BODY    keep-alive; BODY 0 is a GET"},
    {"http-first", load_http_first, 2,
     "COUNT MS    streams one after the other, to their first event"},
    {"http-leave", load_http_leave, 3, "COUNT MS ENGINE    streams left, until the engine sees it"},
    {"http-streams", load_http_streams, 5, "STREAMS EVENTS INTERVAL_US SIZE RAMP_US"},
    {"http-hold", load_http_hold, 2,
     "COUNT SIZE    streams that are silent after one event, until stdin closes"},
    {"http-down", load_http_down, 1, "BYTES         one answer of so many bytes"},
    {"http-up", load_http_up, 1, "BYTES           one request of so many bytes"},
    {"http-flood", load_http_flood, 1, "BYTES        such requests until stdin closes"},
    {"http-stall", load_http_stall, 0, "           a big answer never read, until stdin closes"},
};

int load_open(uint16_t port, const struct order *o)
{
    int fd = tool_connect(port);

    if (fd < 0)
        tool_die("connect");
    load_write(fd, o, sizeof(*o));
    return fd;
}

void load_read(int fd, void *data, uint32_t len)
{
    ssize_t n = recv(fd, data, len, MSG_WAITALL);

    if (n != (ssize_t)len) {
        errno = n < 0 ? errno : ECONNRESET;
        tool_die("the connection ended early");
    }
}

void load_write(int fd, const void *data, uint32_t len)
{
    if (send(fd, data, len, 0) != (ssize_t)len)
        tool_die("send");
}

void load_hold(const char *line)
{
    char byte;

    puts(line);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

static int usage(void)
{
    fputs("usage: load VERB PORT NUMBERS...\n", stderr);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        fprintf(stderr, "  %s PORT %s\n", verbs[i].name, verbs[i].usage);
    return 2;
}

int main(int argc, char **argv)
{
    struct load_args a = {0};

    if (argc < 3)
        return usage();
    tool_prepare();
    alarm(LOAD_LIMIT_S);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0 || argc != 3 + verbs[i].numbers)
            continue;
        a.port = (uint16_t)tool_number(argv[2], UINT16_MAX);
        for (int k = 0; k < verbs[i].numbers; k++)
            a.n[k] = tool_number(argv[3 + k], INT64_MAX);
        verbs[i].run(&a);
        return 0;
    }
    return usage();
}
