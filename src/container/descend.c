#include "container/descend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

enum {
    /* Of a chain of parents; a deeper one is a chain that changed while it was read. */
    DEPTH_MAX = 256,
    PATH_BYTES = 64,
    STAT_BYTES = 512,
    /* Of an environment; an image's has some KiB. */
    ENVIRON_BYTES = 64 * 1024,
    PID_MAX = 4 * 1024 * 1024, /* the kernel's own limit of process numbers */
    LIST_BYTES = 4096,
};

static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
    char path[PATH_BYTES];
    size_t used = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (used < size && (n = read(fd, out + used, size - used)) > 0)
        used += (size_t)n;
    close(fd);
    return (ssize_t)used;
}

/* "pid (name) state parent …"; the name may hold anything. -1: it is gone, or a zombie, which no
 * signal reaches. */
static pid_t parent_of(pid_t pid)
{
    char text[STAT_BYTES];
    ssize_t len = read_file(pid, "stat", text, sizeof(text) - 1);
    const char *after;

    if (len <= 0)
        return -1;
    text[len] = '\0';
    after = strrchr(text, ')');
    if (after == NULL || strlen(after) < 5 || after[2] == 'Z' || after[2] == 'X')
        return -1;
    return (pid_t)strtol(after + 4, NULL, 10);
}

static bool is_below(pid_t pid, pid_t root)
{
    for (int depth = 0; depth < DEPTH_MAX && pid > 1; depth++) {
        pid = parent_of(pid);
        if (pid == root)
            return true;
    }
    return false;
}

static bool is_marked(pid_t pid, pid_t parent, const char *mark)
{
    char text[ENVIRON_BYTES];
    ssize_t len;

    if (parent_of(pid) != parent)
        return false;
    len = read_file(pid, "environ", text, sizeof(text));
    return len > 0 && memmem(text, (size_t)len, mark, strlen(mark) + 1) != NULL;
}

/* Whom the scan is for. */
struct wanted {
    pid_t root;
    const char *mark; /* NULL: everybody below root; else children of root */
};

static bool matches(const struct wanted *w, pid_t pid)
{
    return w->mark != NULL ? is_marked(pid, w->root, w->mark) : is_below(pid, w->root);
}

/* The handle is taken before the question, so that the signal cannot reach a successor of the same
 * number. */
static bool signal_one(const struct wanted *w, pid_t pid, int number)
{
    int handle = (int)syscall(SYS_pidfd_open, pid, 0);
    bool found = matches(w, pid);

    if (found && number != 0) {
        /* ESRCH: it is gone, and its number may be a successor's by now. */
        if (handle < 0 ||
            (syscall(SYS_pidfd_send_signal, handle, number, NULL, 0) != 0 && errno != ESRCH))
            kill(pid, number);
    }
    if (handle >= 0)
        close(handle);
    return found;
}

static unsigned signal_listed(const struct wanted *w, const char *list, size_t len, int number)
{
    unsigned found = 0;

    while (len > 0) {
        const struct dirent64 *entry = (const struct dirent64 *)(const void *)list;
        uint64_t pid;

        if (text_uint(entry->d_name, strlen(entry->d_name), PID_MAX, &pid) &&
            (pid_t)pid != getpid())
            found += signal_one(w, (pid_t)pid, number);
        list += entry->d_reclen;
        len -= entry->d_reclen;
    }
    return found;
}

/* Without opendir, which allocates: PID 1 does not. */
static unsigned scan(const struct wanted *w, int number)
{
    _Alignas(struct dirent64) char list[LIST_BYTES];
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned found = 0;
    ssize_t n;

    if (fd < 0)
        return 0;
    while ((n = getdents64(fd, list, sizeof(list))) > 0)
        found += signal_listed(w, list, (size_t)n, number);
    close(fd);
    return found;
}

bool descend_possible(void)
{
    return access("/proc/self/stat", R_OK) == 0;
}

unsigned descend_signal(pid_t root, int number)
{
    const struct wanted w = {.root = root};

    return scan(&w, number);
}

unsigned descend_signal_marked(pid_t parent, const char *mark, int number)
{
    const struct wanted w = {.root = parent, .mark = mark};

    return scan(&w, number);
}
