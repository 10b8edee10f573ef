#include "observe/door.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    BACKLOG = 16, /* operators and probes; who comes when they are taken waits in connect */
    FIRST_READ = 4096,
    /* Sent away in one go: who knocks without end keeps nobody from his other work. */
    REFUSED_MAX = 32,
};

/* ---- names ----------------------------------------------------------------------------------- */

/* false: there is no file, or its path is too long for a socket's name. */
static bool name_file(struct sockaddr_un *at, socklen_t *len, const char *path)
{
    size_t n = strlen(path);

    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    *len = sizeof(*at);
    if (path[0] == '@' || n >= sizeof(at->sun_path))
        return false;
    memcpy(at->sun_path, path, n + 1);
    return true;
}

/* A name in the kernel's own space: FNV-1a of the path, which may be longer than a name. */
static void name_abstract(struct sockaddr_un *at, socklen_t *len, const char *path)
{
    uint64_t hash = 14695981039346656037u;
    int n;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 1099511628211u;
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(at->sun_path + 1, sizeof(at->sun_path) - 1, "mlgate-%016llx",
                 (unsigned long long)hash);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static bool is_trusted(int fd, uid_t owner)
{
    struct ucred other;
    socklen_t len = sizeof(other);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &len) == 0 &&
           (other.uid == 0 || other.uid == owner);
}

/* ---- who answers ----------------------------------------------------------------------------- */

static bool somebody_lives(const struct sockaddr_un *at, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool lives = fd >= 0 && (connect(fd, (const struct sockaddr *)at, len) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return lives;
}

bool door_is_ours(const char *path)
{
    struct sockaddr_un at;
    socklen_t len;
    bool ours;
    int fd;

    if (!name_file(&at, &len, path))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ours =
        fd >= 0 && connect(fd, (const struct sockaddr *)&at, len) == 0 && is_trusted(fd, geteuid());
    if (fd >= 0)
        close(fd);
    return ours;
}

static bool try_listen(int fd, const struct sockaddr_un *at, socklen_t len)
{
    return bind(fd, (const struct sockaddr *)at, len) == 0 && listen(fd, BACKLOG) == 0;
}

static void remove_socket(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

/* What is in the way and stays is EEXIST, because EADDRINUSE means somebody who lives. */
static int listen_file(struct door *door, const char *path)
{
    struct sockaddr_un at;
    socklen_t len;

    if (!name_file(&at, &len, path))
        return ENAMETOOLONG;
    if (somebody_lives(&at, len))
        return EADDRINUSE;
    remove_socket(at.sun_path);
    if (!try_listen(door->fd, &at, len))
        return errno == EADDRINUSE ? EEXIST : errno;
    chmod(at.sun_path, 0600);
    memcpy(door->path, at.sun_path, sizeof(door->path));
    return 0;
}

static int listen_abstract(int fd, const char *path)
{
    struct sockaddr_un at;
    socklen_t len;

    name_abstract(&at, &len, path);
    return try_listen(fd, &at, len) ? 0 : errno;
}

int door_open(struct door *door, const char *path)
{
    int error;

    *door = (struct door){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                          .owner = geteuid()};
    if (door->fd < 0)
        return -errno;
    error = listen_file(door, path);
    if (error != 0 && error != EADDRINUSE)
        error = listen_abstract(door->fd, path);
    if (error != 0)
        door_close(door);
    return -error;
}

void door_close(struct door *door)
{
    if (door->fd >= 0)
        close(door->fd);
    if (door->path[0] != '\0')
        unlink(door->path);
    *door = (struct door){.fd = -1};
}

int door_accept(int fd, uid_t owner)
{
    for (int i = 0; i < REFUSED_MAX; i++) {
        int other = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (other < 0 || is_trusted(other, owner))
            return other;
        close(other);
    }
    errno = EAGAIN;
    return -1;
}

/* ---- who asks -------------------------------------------------------------------------------- */

/* Where the other one hangs and its queue is full, connect waits for a place: no longer than this.
 */
static void limit_patience(int fd, int ms)
{
    const struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* Who alone can put files beside this one is whom we mean to ask: a server that runs as a user of
 * its own, asked by root. Root itself needs no such proof. */
static bool owns_place(const char *path, uid_t uid)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *end = strrchr(path, '/');
    struct stat st;

    snprintf(folder, sizeof(folder), "%.*s", end != NULL ? (int)(end - path) : 1,
             end != NULL ? path : ".");
    return stat(folder[0] != '\0' ? folder : "/", &st) == 0 && st.st_uid == uid &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_believed(int fd, const char *path)
{
    struct ucred other;
    socklen_t len = sizeof(other);

    return is_trusted(fd, geteuid()) ||
           (path[0] != '\0' && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &len) == 0 &&
            owns_place(path, other.uid));
}

static int knock_at(const struct sockaddr_un *at, socklen_t len, int patience_ms)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    limit_patience(fd, patience_ms);
    if (connect(fd, (const struct sockaddr *)at, len) != 0)
        rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
    else
        rc = is_believed(fd, at->sun_path) ? fd : -EPERM;
    if (rc < 0)
        close(fd);
    return rc;
}

int door_knock(const char *path, int patience_ms)
{
    struct sockaddr_un at;
    socklen_t len;
    int rc = -ENAMETOOLONG;

    if (name_file(&at, &len, path))
        rc = knock_at(&at, len, patience_ms);
    if (rc == -ENAMETOOLONG || rc == -ENOENT || rc == -ECONNREFUSED || rc == -ENOTDIR) {
        int second;

        name_abstract(&at, &len, path);
        second = knock_at(&at, len, patience_ms);
        if (second != -ECONNREFUSED || rc == -ENAMETOOLONG)
            rc = second;
    }
    return rc;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One piece into `text`, which has room for `room`; how many bytes, 0 at the end, or -errno. */
static ssize_t hear_some(int fd, char *text, size_t room, int64_t until_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int64_t left = until_ms - now_ms();
    ssize_t n;

    if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
        return -ETIMEDOUT;
    n = recv(fd, text, room, 0);
    return n < 0 ? -errno : n;
}

ssize_t door_hear(int fd, size_t max, int patience_ms, char **out)
{
    int64_t until = now_ms() + patience_ms;
    size_t room = max < FIRST_READ ? max : FIRST_READ;
    size_t len = 0;
    char *text = mem_alloc(room + 2);
    ssize_t n;

    /* one byte more than allowed, so that too much shows */
    while ((n = hear_some(fd, text + len, room + 1 - len, until)) > 0) {
        len += (size_t)n;
        if (len > max)
            break;
        if (len > room) {
            room = room < max / 2 ? room * 2 : max;
            text = mem_realloc(text, room + 2);
        }
    }
    text[len] = '\0';
    *out = text;
    if (n == 0 && len > 0)
        return (ssize_t)len;
    mem_free(text);
    *out = NULL;
    return n > 0 ? -EMSGSIZE : n == 0 || n == -ECONNRESET ? -EACCES : n;
}
