#include "container/health.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "container/plan.h"

enum {
    BACKLOG = 16,
    ANSWERS_MAX = 64, /* in one turn: askers do not keep PID 1 from its children */
};

/* ---- names ----------------------------------------------------------------------------------- */

/* false: the path is too long for a socket's name. */
static bool name_file(struct sockaddr_un *at, socklen_t *len, const char *directory)
{
    int n = snprintf(at->sun_path, sizeof(at->sun_path), "%s/mlgate.sock", directory);

    at->sun_family = AF_UNIX;
    *len = sizeof(*at);
    return n > 0 && (size_t)n < sizeof(at->sun_path);
}

/* A name in the kernel's own space: FNV-1a of the directory, which may be longer than a name. */
static void name_abstract(struct sockaddr_un *at, socklen_t *len, const char *directory)
{
    uint64_t hash = 14695981039346656037u;
    int n;

    for (; *directory; directory++)
        hash = (hash ^ (unsigned char)*directory) * 1099511628211u;
    at->sun_family = AF_UNIX;
    at->sun_path[0] = '\0';
    n = snprintf(at->sun_path + 1, sizeof(at->sun_path) - 1, "mlgate-%016llx",
                 (unsigned long long)hash);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static bool is_trusted(int fd)
{
    struct ucred other;
    socklen_t len = sizeof(other);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &len) == 0 &&
           (other.uid == 0 || other.uid == geteuid());
}

/* ---- PID 1's side ---------------------------------------------------------------------------- */

static bool somebody_lives(const struct sockaddr_un *at, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool lives = fd >= 0 && (connect(fd, (const struct sockaddr *)at, len) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return lives;
}

static bool try_listen(int fd, const struct sockaddr_un *at, socklen_t len)
{
    return bind(fd, (const struct sockaddr *)at, len) == 0 && listen(fd, BACKLOG) == 0;
}

/* A file of a former life is removed; one that somebody listens on is his. One that cannot be
 * removed is EEXIST, because EADDRINUSE means somebody who lives. */
static int listen_file(int fd, const char *directory, char path[108])
{
    struct sockaddr_un at = {0};
    socklen_t len;

    if (!name_file(&at, &len, directory))
        return ENAMETOOLONG;
    if (somebody_lives(&at, len))
        return EADDRINUSE;
    unlink(at.sun_path);
    if (!try_listen(fd, &at, len))
        return errno == EADDRINUSE ? EEXIST : errno;
    chmod(at.sun_path, 0600);
    memcpy(path, at.sun_path, sizeof(at.sun_path));
    return 0;
}

static int listen_abstract(int fd, const char *directory)
{
    struct sockaddr_un at = {0};
    socklen_t len;

    name_abstract(&at, &len, directory);
    return try_listen(fd, &at, len) ? 0 : errno;
}

void health_open(struct health_door *door, const char *directory, struct log *log)
{
    int error;

    *door =
        (struct health_door){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (door->fd < 0) {
        log_warn(log, "`mlgate health` will find nobody: no socket: %s", strerror(errno));
        return;
    }
    error = listen_file(door->fd, directory, door->path);
    if (error != 0 && error != EADDRINUSE)
        error = listen_abstract(door->fd, directory);
    if (error == 0)
        return;
    if (error == EADDRINUSE)
        log_warn(log,
                 "another `mlgate run` with FRP_CONFIG_DIR=%s is running: `mlgate health` asks "
                 "that one",
                 directory);
    else
        log_warn(log, "`mlgate health` will find nobody: %s", strerror(error));
    health_close(door);
}

void health_answer(const struct health_door *door, const struct health *now)
{
    for (int i = 0; i < ANSWERS_MAX; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        if (is_trusted(fd) && send(fd, now, sizeof(*now), MSG_NOSIGNAL) < 0)
            errno = 0; /* it left before its answer */
        close(fd);
    }
}

void health_close(struct health_door *door)
{
    if (door->fd >= 0)
        close(door->fd);
    if (door->path[0] != '\0')
        unlink(door->path);
    *door = (struct health_door){.fd = -1};
}

/* ---- the asker's side ------------------------------------------------------------------------ */

static int read_answer(int fd, struct health *out)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    struct health h;
    ssize_t n;

    if (poll(&wait, 1, HEALTH_ASK_MS) <= 0)
        return -ETIMEDOUT;
    n = recv(fd, &h, sizeof(h), 0);
    if (n != (ssize_t)sizeof(h) || h.magic != HEALTH_MAGIC || h.phase >= PHASES ||
        h.worker >= CHILD_STATES || h.node >= CHILD_STATES || h.manner >= MANNERS)
        return n == 0 ? -EACCES : -EPROTO;
    *out = h;
    return 0;
}

/* Where PID 1 hangs and its queue is full, connect waits for a place in it: no longer than this. */
static void limit_patience(int fd)
{
    const struct timeval limit = {.tv_sec = HEALTH_ASK_MS / 1000,
                                  .tv_usec = HEALTH_ASK_MS % 1000 * 1000L};

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static int ask_at(const struct sockaddr_un *at, socklen_t len, struct health *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    limit_patience(fd);
    if (connect(fd, (const struct sockaddr *)at, len) != 0)
        rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
    else
        rc = is_trusted(fd) ? read_answer(fd, out) : -EPERM;
    close(fd);
    return rc;
}

int health_ask(const char *directory, struct health *out)
{
    struct sockaddr_un at = {0};
    socklen_t len;
    int rc = -ENAMETOOLONG;

    if (name_file(&at, &len, directory))
        rc = ask_at(&at, len, out);
    if (rc == -ENAMETOOLONG || rc == -ENOENT || rc == -ECONNREFUSED || rc == -ENOTDIR) {
        int second;

        at = (struct sockaddr_un){0};
        name_abstract(&at, &len, directory);
        second = ask_at(&at, len, out);
        if (second != -ECONNREFUSED || rc == -ENAMETOOLONG)
            rc = second;
    }
    return rc;
}

/* ---- what it means --------------------------------------------------------------------------- */

/* A restart that is under way is life: it takes a fraction of a second, and a storm of restarts is
 * nothing that one more would end. */
bool health_is_live(const struct health *h)
{
    return h->phase == PHASE_SERVE &&
           (h->worker == CHILD_PAUSED ||
            (h->worker == CHILD_ALIVE && h->beat_age_us < PLAN_NO_BEAT_US));
}

bool health_is_ready(const struct health *h)
{
    return h->phase == PHASE_SERVE && h->worker == CHILD_ALIVE &&
           h->beat_age_us < PLAN_NO_BEAT_US && h->registered == 1 && h->manner == MANNER_ANSWERS;
}

const char *health_text(const struct health *h)
{
    if (h->phase != PHASE_SERVE)
        return "stopping";
    if (h->worker == CHILD_SICK)
        return "the worker gave no sign of life and was killed";
    if (h->worker != CHILD_ALIVE)
        return "the worker is being started again";
    if (h->beat_age_us >= PLAN_NO_BEAT_US)
        return "no sign of life from the worker";
    if (h->registered != 1)
        return "the tunnel is not registered with the server";
    if (h->manner == MANNER_SILENT)
        return "MLNode accepts connections and does not answer";
    if (h->manner != MANNER_ANSWERS)
        return "MLNode's management does not listen";
    return "the tunnel is registered, MLNode answers";
}
