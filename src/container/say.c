#include "container/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "container/child.h"

enum {
    COPY_BYTES = 4096,
    LAST_WORDS_MS = 200, /* for the writer, when its reader does read */
};

/* ---- the writer ------------------------------------------------------------------------------ */

static void put(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);

        if (n < 0 && errno != EINTR)
            return; /* its reader is gone; a writer that ended for that would be started for ever */
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static int copy(void *ctx, int from)
{
    char data[COPY_BYTES];
    ssize_t n;

    signal(SIGPIPE, SIG_IGN);
    while ((n = read(from, data, sizeof(data))) != 0) {
        if (n < 0 && errno != EINTR)
            return 1;
        put(data, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static bool start_writer(struct say *s)
{
    static const struct child_program writer = {.name = "mlgate-writer", .main = copy};
    const struct child_surroundings around = {.link = s->pipe_out, .output = -1};

    s->writer = child_start(&writer, &around);
    return s->writer > 0;
}

static bool open_through_writer(struct say *s)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK);
    s->pipe_out = ends[0];
    s->fd = ends[1];
    if (start_writer(s))
        return true;
    close(ends[0]);
    close(ends[1]);
    s->writer = 0;
    s->pipe_out = -1;
    return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int open_again(const struct stat *out)
{
    if (S_ISREG(out->st_mode))
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (!S_ISFIFO(out->st_mode) && !S_ISCHR(out->st_mode))
        return -1;
    return open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Who was started without some of the first three would give their numbers to other files, and a
 * log line would go there. */
static void open_missing(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO && fcntl(fd, F_SETFD, 0) == 0);
    if (fd > STDERR_FILENO)
        close(fd);
}

void say_open(struct say *s)
{
    struct stat out;

    open_missing();
    *s = (struct say){.fd = -1, .pipe_out = -1};
    if (fstat(STDOUT_FILENO, &out) == 0) {
        s->fd = open_again(&out);
        if (s->fd >= 0 || open_through_writer(s))
            return;
    }
    s->fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (s->fd < 0)
        s->fd = STDOUT_FILENO;
}

bool say_reaped(struct say *s, pid_t pid)
{
    if (s->writer == 0 || pid != s->writer)
        return false;
    if (!start_writer(s))
        s->writer = 0;
    return true;
}

void say_close(struct say *s)
{
    const struct timespec patience = {.tv_nsec = LAST_WORDS_MS * 1000000L};
    sigset_t child;

    if (s->fd > STDERR_FILENO)
        close(s->fd);
    if (s->writer > 0) {
        close(s->pipe_out);
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, NULL);
        while (waitpid(s->writer, NULL, WNOHANG) == 0 && sigtimedwait(&child, NULL, &patience) > 0)
            ;
    }
    *s = (struct say){.fd = -1, .pipe_out = -1};
}
