#include "tunnel/run_id.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

static void make(char text[RUN_ID_LEN + 1])
{
    uint8_t bits[RUN_ID_LEN / 2];

    RAND_bytes(bits, sizeof(bits));
    text_hex(text, bits, sizeof(bits));
}

static bool well_formed(const char *text, size_t len)
{
    return len == RUN_ID_LEN && strspn(text, "0123456789abcdef") == RUN_ID_LEN;
}

static bool read_kept(struct run_id *r)
{
    char text[RUN_ID_LEN + 2] = "";
    ssize_t n = pread(r->fd, text, RUN_ID_LEN + 1, 0);

    if (n <= 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    if (!well_formed(text, strlen(text)))
        return false;
    memcpy(r->text, text, RUN_ID_LEN + 1);
    return true;
}

static bool write_new(struct run_id *r)
{
    make(r->text);
    return ftruncate(r->fd, 0) == 0 && pwrite(r->fd, r->text, RUN_ID_LEN, 0) == RUN_ID_LEN &&
           fsync(r->fd) == 0;
}

static void give_up(struct run_id *r, const char *path, const char *why, struct log *log)
{
    log_warn(log,
             "%s: %s; using a fresh run_id, so after a crash of this machine the ports come back "
             "only when the server notices",
             path, why);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    make(r->text);
}

void run_id_load(struct run_id *r, const char *path, struct log *log)
{
    r->fd = -1;
    make(r->text);
    if (path == NULL)
        return;
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0)
        give_up(r, path, strerror(errno), log);
    else if (flock(r->fd, LOCK_EX | LOCK_NB) != 0)
        give_up(r, path, "another process uses it", log);
    else if (fchmod(r->fd, 0600) != 0 || (!read_kept(r) && !write_new(r)))
        give_up(r, path, strerror(errno), log);
}

void run_id_release(struct run_id *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}
