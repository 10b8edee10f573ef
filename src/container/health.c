#include "container/health.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "container/plan.h"

enum {
    ANSWERS_MAX = 64, /* in one turn: askers do not keep PID 1 from its children */
};

/* false: the directory's name is longer than any may be. */
static bool name_door(char path[PATH_MAX], const char *directory)
{
    int n = snprintf(path, PATH_MAX, "%s/mlgate.sock", directory);

    return n > 0 && n < PATH_MAX;
}

void health_open(struct door *door, const char *directory, struct log *log)
{
    char path[PATH_MAX];
    int rc = name_door(path, directory) ? door_open(door, path) : -ENAMETOOLONG;

    if (rc == -EADDRINUSE)
        log_warn(log,
                 "another `mlgate run` with FRP_CONFIG_DIR=%s is running: `mlgate health` asks "
                 "that one",
                 directory);
    else if (rc != 0)
        log_warn(log, "`mlgate health` will find nobody: %s", strerror(-rc));
}

bool health_answer(const struct door *door, const struct health *now)
{
    for (int i = 0; i < ANSWERS_MAX; i++) {
        int fd = door_accept(door->fd, door->owner);

        if (fd < 0)
            return errno == EAGAIN;
        if (send(fd, now, sizeof(*now), MSG_NOSIGNAL) < 0)
            errno = 0; /* it left before its answer */
        close(fd);
    }
    return true;
}

static int read_answer(int fd, struct health *out)
{
    struct health h;
    char *answer;
    ssize_t n = door_hear(fd, sizeof(h), HEALTH_ASK_MS, &answer);

    if (n < 0)
        return n == -EMSGSIZE ? -EPROTO : (int)n;
    if (n == (ssize_t)sizeof(h))
        memcpy(&h, answer, sizeof(h));
    mem_free(answer);
    if (n != (ssize_t)sizeof(h) || h.magic != HEALTH_MAGIC || h.phase >= PHASES ||
        h.worker >= CHILD_STATES || h.node >= CHILD_STATES || h.manner >= MANNERS)
        return -EPROTO;
    *out = h;
    return 0;
}

int health_ask(const char *directory, struct health *out)
{
    char path[PATH_MAX];
    int fd = name_door(path, directory) ? door_knock(path, HEALTH_ASK_MS) : -ENAMETOOLONG;
    int rc;

    if (fd < 0)
        return fd;
    rc = read_answer(fd, out);
    close(fd);
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

/* Of ours. What answers in its place meanwhile is somebody else who has its port. */
static bool mlnode_is_down(const struct health *h)
{
    return h->node == CHILD_PAUSED || h->node == CHILD_SICK;
}

bool health_is_ready(const struct health *h)
{
    return h->phase == PHASE_SERVE && h->worker == CHILD_ALIVE &&
           h->beat_age_us < PLAN_NO_BEAT_US && h->registered == 1 && h->manner == MANNER_ANSWERS &&
           !mlnode_is_down(h);
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
    if (mlnode_is_down(h))
        return "MLNode has ended and is started again";
    return "the tunnel is registered, MLNode answers";
}
