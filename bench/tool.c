#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { LISTEN_BACKLOG = 4096 };

void tool_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "refused");
    exit(1);
}

uint64_t tool_number(const char *text, uint64_t max)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || n > max)
        tool_die(text);
    return n;
}

uint64_t tool_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * TOOL_SECOND_NS + (uint64_t)t.tv_nsec;
}

void tool_prepare(void)
{
    struct rlimit files;

    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return to;
}

static int new_socket(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        tool_die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

int tool_listen(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    int fd = new_socket();

    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, LISTEN_BACKLOG) != 0)
        tool_die("listen");
    return fd;
}

int tool_connect_start(uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = new_socket();

    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

int tool_connect(uint16_t port)
{
    struct sockaddr_in to = loopback(port);
    int fd = new_socket();

    tool_set_blocking(fd, true);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

int tool_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void tool_set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

int tool_poll_new(void)
{
    int set = epoll_create1(EPOLL_CLOEXEC);

    if (set < 0)
        tool_die("epoll_create1");
    return set;
}

void tool_poll_set(int set, int fd, uint32_t events, void *owner)
{
    struct epoll_event e = {.events = events, .data.ptr = owner};

    if (epoll_ctl(set, EPOLL_CTL_MOD, fd, &e) == 0)
        return;
    if (errno != ENOENT || epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) != 0)
        tool_die("epoll_ctl");
}

void tool_poll_remove(int set, int fd)
{
    if (epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL) != 0)
        tool_die("epoll_ctl");
}

int tool_poll_wait(int set, struct epoll_event *events, int room, int64_t wait_ns)
{
    struct timespec wait = {.tv_sec = wait_ns / TOOL_SECOND_NS,
                            .tv_nsec = wait_ns % TOOL_SECOND_NS};
    int n = epoll_pwait2(set, events, room, wait_ns < 0 ? NULL : &wait, NULL);

    if (n < 0 && errno != EINTR)
        tool_die("epoll_pwait2");
    return n;
}

void samples_init(struct samples *s, size_t room)
{
    s->at = mem_array(NULL, room ? room : 1, sizeof(*s->at));
    s->count = 0;
    s->room = room;
}

void samples_add(struct samples *s, uint64_t ns)
{
    if (s->count < s->room)
        s->at[s->count++] = ns;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

static double at_share(const struct samples *s, double share)
{
    size_t i = (size_t)(share * (double)(s->count - 1) + 0.5);

    return (double)s->at[i] / 1000.0;
}

void samples_print_as(struct samples *s, const char *prefix)
{
    if (s->count == 0) {
        printf("\"%sp50_us\": null, \"%sp99_us\": null, \"%smax_us\": null", prefix, prefix,
               prefix);
        return;
    }
    qsort(s->at, s->count, sizeof(*s->at), by_size);
    printf("\"%sp50_us\": %.1f, \"%sp99_us\": %.1f, \"%smax_us\": %.1f", prefix, at_share(s, 0.50),
           prefix, at_share(s, 0.99), prefix, at_share(s, 1.0));
}

void samples_print(struct samples *s)
{
    samples_print_as(s, "");
}

void samples_clear(struct samples *s)
{
    mem_free(s->at);
    s->at = NULL;
    s->count = 0;
    s->room = 0;
}
