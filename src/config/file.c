#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

enum { READ_STEP = 16384 };

static ssize_t read_once(int fd, char *data, size_t len)
{
    ssize_t n;

    do
        n = read(fd, data, len);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Whether there is something to read within `ms`, or an end; false with errno otherwise. */
static bool wait_for_some(int fd, int ms)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    int n;

    do
        n = poll(&waited, 1, ms);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    return n > 0;
}

static ssize_t read_some(int fd, char *data, size_t len)
{
    ssize_t n = read_once(fd, data, len);

    while (n < 0 && errno == EAGAIN && wait_for_some(fd, FILE_SILENT_MS))
        n = read_once(fd, data, len);
    return n;
}

/* A pipe that nobody has opened for writing reads as if it were at its end. */
static ssize_t read_first(int fd, char *data, size_t len)
{
    ssize_t n = read_some(fd, data, len);
    struct stat st;

    if (n != 0 || fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))
        return n;
    return wait_for_some(fd, FILE_NO_WRITER_MS) ? read_some(fd, data, len) : -1;
}

/* Reads one byte more than `max` to tell a full file from one that is too long. */
static int read_all(int fd, size_t max, char **data, size_t *len)
{
    char *buffer = mem_alloc(READ_STEP + 1);
    size_t room = READ_STEP;
    size_t used = 0;
    ssize_t n = read_first(fd, buffer, room);

    for (; n > 0; n = read_some(fd, buffer + used, room - used)) {
        used += (size_t)n;
        if (used > max)
            break;
        if (used == room) {
            /* Not realloc: the file may hold a secret, and the old copy must not stay behind. */
            char *larger = mem_alloc(room * 2 + 1);

            memcpy(larger, buffer, used);
            mem_free_secret(buffer, used);
            buffer = larger;
            room *= 2;
        }
    }
    if (n != 0) {
        mem_free_secret(buffer, used);
        return n < 0 ? ERR_IO : ERR_LIMIT;
    }
    buffer[used] = '\0';
    *data = buffer;
    *len = used;
    return 0;
}

int file_read(const char *path, size_t max, char **data, size_t *len, char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int code;

    if (fd < 0) {
        snprintf(why, why_size, "cannot be opened: %m");
        return ERR_IO;
    }
    code = read_all(fd, max, data, len);
    if (code == ERR_LIMIT)
        snprintf(why, why_size, "is longer than %zu bytes", max);
    else if (code != 0 && errno == ETIMEDOUT)
        snprintf(why, why_size, "is a pipe or a terminal into which nobody writes");
    else if (code != 0)
        snprintf(why, why_size, "cannot be read: %m");
    close(fd);
    return code;
}

static int make_one(const char *dir, mode_t mode, char *why, size_t why_size)
{
    struct stat st;

    if (mkdir(dir, mode) == 0)
        return 0;
    if (errno == EEXIST && stat(dir, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        errno = ENOTDIR;
    }
    snprintf(why, why_size, "cannot make the directory %s: %m", dir);
    return ERR_IO;
}

int file_make_dir(const char *dir, mode_t mode, char *why, size_t why_size)
{
    char *path = mem_strdup(dir);
    struct stat st;
    int code = 0;

    /* An existing directory may lie on a read-only file system, where mkdir says EROFS. */
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
        mem_free(path);
        return 0;
    }
    for (char *slash = path + 1; *path && code == 0 && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            code = make_one(path, mode, why, why_size);
        *slash = '/';
    }
    if (code == 0)
        code = make_one(path, mode, why, why_size);
    mem_free(path);
    return code;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

/* Left over from a crash or not: a temporary file under our fixed name is ours to replace. */
static int open_new(const char *path)
{
    unlink(path);
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static bool put_in_place(int fd, const char *temporary, const char *path, const char *data,
                         size_t len)
{
    bool written = write_all(fd, data, len);
    int saved = errno;

    close(fd);
    errno = saved;
    return written && rename(temporary, path) == 0;
}

/* So that the new name survives a power cut. A file system that cannot is no reason to fail. */
static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int file_store(const char *dir, const char *name, const char *data, size_t len, char *why,
               size_t why_size)
{
    char *path;
    char *temporary;
    int fd;
    int code = file_make_dir(dir, 0700, why, why_size);

    if (code != 0)
        return code;
    path = mem_printf("%s/%s", dir, name);
    temporary = mem_printf("%s/.%s.new", dir, name);
    fd = open_new(temporary);
    if (fd < 0 || !put_in_place(fd, temporary, path, data, len)) {
        snprintf(why, why_size, "cannot write %s: %m", path);
        code = ERR_IO;
        if (fd >= 0)
            unlink(temporary);
    }
    if (code == 0)
        sync_dir(dir);
    mem_free(path);
    mem_free(temporary);
    return code;
}
