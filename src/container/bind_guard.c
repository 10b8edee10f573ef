#include "container/bind_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "container/bind_guard_image.h"

#define NAME "mlgate-bind.so"

const char *const bind_guard_dirs[] = {"/usr/local/lib/mlgate", "/run/mlgate-lib",
                                       "/tmp/mlgate-lib", NULL};

/* Nobody else can change it: what is loaded into root's processes must come from root or from us.
 */
static bool is_ours(const struct stat *st)
{
    return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool dir_is_ours(const char *dir)
{
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && is_ours(&st);
}

/* The dynamic loader maps the file as program text, which a file system may not allow. */
static bool holds_image(int fd)
{
    void *map = mmap(NULL, bind_guard_image_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    bool same;

    if (map == MAP_FAILED)
        return false;
    same = memcmp(map, bind_guard_image, bind_guard_image_size) == 0;
    munmap(map, bind_guard_image_size);
    return same;
}

static bool usable(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    bool good;

    if (fd < 0)
        return false;
    good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_ours(&st) &&
           (st.st_mode & S_IROTH) != 0 && (size_t)st.st_size == bind_guard_image_size &&
           holds_image(fd);
    close(fd);
    return good;
}

/* Whether dir/NAME can be loaded; its path in any case. */
static bool look(const char *dir, char path[BIND_GUARD_PATH_MAX])
{
    int len = snprintf(path, BIND_GUARD_PATH_MAX, "%s/" NAME, dir);

    return len < BIND_GUARD_PATH_MAX && dir_is_ours(dir) && usable(path);
}

static bool make(const char *dir, char path[BIND_GUARD_PATH_MAX], char *why, size_t why_size)
{
    if (mkdir(dir, 0755) == 0)
        chmod(dir, 0755); /* whatever the umask says: MLNode may run as somebody else */
    else if (errno != EEXIST) {
        snprintf(why, why_size, "cannot make the directory %s: %m", dir);
        return false;
    }
    if (!dir_is_ours(dir)) {
        snprintf(why, why_size, "%s is no directory that only root may write", dir);
        return false;
    }
    if (file_store(dir, NAME, (const char *)bind_guard_image, bind_guard_image_size, why,
                   why_size) != 0)
        return false;
    snprintf(path, BIND_GUARD_PATH_MAX, "%s/" NAME, dir);
    if (chmod(path, 0644) == 0 && look(dir, path))
        return true;
    snprintf(why, why_size, "nothing can be executed from %s (noexec?)", dir);
    unlink(path);
    return false;
}

/* The directory, or where it is missing the one above it. */
static bool could_make(const char *dir, char *why, size_t why_size)
{
    char above[BIND_GUARD_PATH_MAX];
    const char *place = dir;
    struct statvfs fs;
    char *slash;

    snprintf(above, sizeof(above), "%s", dir);
    slash = strrchr(above, '/');
    if (access(dir, F_OK) != 0 && slash != NULL) {
        slash[slash == above ? 1 : 0] = '\0';
        place = above;
    } else if (!dir_is_ours(dir)) {
        snprintf(why, why_size, "%s is no directory that only root may write", dir);
        return false;
    }
    if (faccessat(AT_FDCWD, place, W_OK | X_OK, AT_EACCESS) != 0) {
        snprintf(why, why_size, "%s cannot be written: %m", place);
        return false;
    }
    if (statvfs(place, &fs) != 0 || (fs.f_flag & ST_NOEXEC) == 0)
        return true;
    snprintf(why, why_size, "nothing can be executed from %s (noexec)", place);
    return false;
}

/* Only looked at: the path is what `make` would use. */
static bool could_be_made(const char *dir, char path[BIND_GUARD_PATH_MAX], char *why,
                          size_t why_size)
{
    snprintf(path, BIND_GUARD_PATH_MAX, "%s/" NAME, dir);
    return could_make(dir, why, why_size);
}

/* 0 where it is already; ERR_NOTFOUND when it is not and `use` takes a directory; ERR_IO. The first
 * directory is the image's own, and only looked into. */
static int
choose(const char *const *dirs, char path[BIND_GUARD_PATH_MAX], char *why, size_t why_size,
       bool (*use)(const char *dir, char path[BIND_GUARD_PATH_MAX], char *why, size_t why_size))
{
    snprintf(why, why_size, "no directory for it");
    for (size_t i = 0; dirs[i]; i++)
        if (look(dirs[i], path))
            return 0;
    for (size_t i = 1; dirs[0] && dirs[i]; i++)
        if (strlen(dirs[i]) + sizeof("/" NAME) <= BIND_GUARD_PATH_MAX &&
            use(dirs[i], path, why, why_size))
            return ERR_NOTFOUND;
    path[0] = '\0';
    return ERR_IO;
}

int bind_guard_place(const char *const *dirs, char path[BIND_GUARD_PATH_MAX], char *why,
                     size_t why_size)
{
    int rc = choose(dirs, path, why, why_size, make);

    return rc == ERR_NOTFOUND ? 0 : rc;
}

int bind_guard_look(const char *const *dirs, char path[BIND_GUARD_PATH_MAX], char *why,
                    size_t why_size)
{
    return choose(dirs, path, why, why_size, could_be_made);
}

char *bind_guard_ports(const struct port_range *ranges, size_t count)
{
    char *text = mem_strdup("");

    for (size_t i = 0; i < count; i++) {
        char *longer = mem_printf("%s%s%u-%u", text, i ? "," : "", ranges[i].first, ranges[i].last);

        mem_free(text);
        text = longer;
    }
    return text;
}
