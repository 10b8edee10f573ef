/* What downloads that were killed left behind. Newer versions of the hub's library write each part
 * into a file of its own name, ETAG.XXXXXXXX.incomplete, which no later download takes up; a model
 * has up to eight of them at a time, of several gigabytes each. Older ones resume ETAG.incomplete,
 * which is never touched here. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "container/model_internal.h"

enum { SUFFIX_LEN = 8, LOCK_NONE = -1, LOCK_HELD = -2 };

struct cache {
    int blobs;
    int locks; /* -1: there are none */
};

static bool open_cache(struct cache *c, const char *dir, const char *name)
{
    char path[2 * MLNODE_PATH_MAX];
    char model[MODEL_FOLDER_MAX];

    model_folder(name, model);
    snprintf(path, sizeof(path), "%s/%s/blobs", dir, model);
    c->blobs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%s/.locks/%s", dir, model);
    c->locks = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return c->blobs >= 0;
}

static void close_cache(struct cache *c)
{
    if (c->blobs >= 0)
        close(c->blobs);
    if (c->locks >= 0)
        close(c->locks);
}

/* The length of the ETAG in a name that no later download takes up; 0: it is another name. */
static size_t etag_of(const char *name)
{
    size_t len = strlen(name);
    size_t end = sizeof(MODEL_COMING) - 1 + SUFFIX_LEN + 1;

    if (len <= end || len >= NAME_MAX - 8 ||
        strcmp(name + len - (sizeof(MODEL_COMING) - 1), MODEL_COMING) != 0)
        return 0;
    len -= end;
    if (name[len] != '.')
        return 0;
    for (size_t i = 1; i <= SUFFIX_LEN; i++)
        if (!isxdigit((unsigned char)name[len + i]))
            return 0;
    return len;
}

/* Whoever downloads a file holds its lock. LOCK_HELD: somebody does, or it cannot be told; else to
 * be closed after the deed, unless it is LOCK_NONE. */
static int take_lock(const struct cache *c, const char *name, size_t etag)
{
    char lock[NAME_MAX + 1];
    int fd;

    snprintf(lock, sizeof(lock), "%.*s.lock", (int)etag, name);
    if (c->locks < 0)
        return LOCK_NONE;
    fd = openat(c->locks, lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? LOCK_NONE : LOCK_HELD;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return LOCK_HELD;
}

static bool is_old(const struct stat *st)
{
    return time(NULL) - st->st_mtime > MODEL_STALL_S;
}

static bool is_whole(const struct cache *c, const char *name, size_t etag)
{
    char blob[NAME_MAX + 1];
    struct stat st;

    snprintf(blob, sizeof(blob), "%.*s", (int)etag, name);
    return fstatat(c->blobs, blob, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Removes it when nobody writes it any more; the bytes that are left. */
static uint64_t consider(const struct cache *c, const char *name, size_t etag, bool remove)
{
    struct stat st;
    int lock;

    if (fstatat(c->blobs, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return 0;
    if (remove && (is_old(&st) || is_whole(c, name, etag))) {
        lock = take_lock(c, name, etag);
        if (lock != LOCK_HELD && unlinkat(c->blobs, name, 0) == 0)
            st.st_size = 0;
        if (lock >= 0)
            close(lock);
    }
    return (uint64_t)(st.st_blocks * 512 < st.st_size ? st.st_blocks * 512 : st.st_size);
}

uint64_t model_leftovers(const char *dir, const char *name, bool remove)
{
    struct cache c;
    uint64_t bytes = 0;
    struct dirent *entry;
    DIR *blobs;
    size_t etag;

    if (!open_cache(&c, dir, name)) {
        close_cache(&c);
        return 0;
    }
    blobs = fdopendir(dup(c.blobs));
    while (blobs != NULL && (entry = readdir(blobs)) != NULL) {
        etag = etag_of(entry->d_name);
        if (etag > 0)
            bytes += consider(&c, entry->d_name, etag, remove);
    }
    if (blobs != NULL)
        closedir(blobs);
    close_cache(&c);
    return bytes;
}
