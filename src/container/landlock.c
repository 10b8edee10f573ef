#include "container/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface, as of Linux 6.12. Headers of an older one lack the later parts, and the C
 * library has none of it. */
enum {
    GET_VERSION = 1,
    PATH_BENEATH = 1,
    SCOPED_SINCE = 6,
};

enum {
    FS_READ_FILE = 1 << 2,
    FS_SINCE_1 = (1 << 13) - 1, /* execute, write, read, list, remove, make */
    FS_REFER = 1 << 13,         /* since 2 */
    FS_TRUNCATE = 1 << 14,      /* since 3 */
    FS_IOCTL_DEV = 1 << 15,     /* since 5 */
    SCOPED_ALL = 3,             /* abstract unix sockets, signals */
};

/* An older kernel takes a longer structure when the rest is zero. */
struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net;
    uint64_t scoped;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static long create(const struct ruleset *rules, size_t size, unsigned flags)
{
    return syscall(SYS_landlock_create_ruleset, rules, size, flags);
}

static uint64_t file_rights(long version)
{
    uint64_t rights = FS_SINCE_1;

    if (version >= 2)
        rights |= FS_REFER;
    if (version >= 3)
        rights |= FS_TRUNCATE;
    if (version >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

/* What is not there needs no permission. */
static int allow_reading(int rules, const char *path)
{
    struct path_beneath beneath = {.allowed = FS_READ_FILE,
                                   .parent = open(path, O_PATH | O_CLOEXEC)};
    long rc;

    if (beneath.parent < 0)
        return 0;
    rc = syscall(SYS_landlock_add_rule, rules, PATH_BENEATH, &beneath, 0);
    close(beneath.parent);
    return rc == 0 ? 0 : -errno;
}

/* The directory, because the file is replaced when the network changes; never all of the machine.
 */
static int allow_resolver(int rules)
{
    char path[PATH_MAX];
    char *slash;

    if (realpath("/etc/resolv.conf", path) == NULL)
        return 0;
    slash = strrchr(path, '/');
    if (slash != path)
        *slash = '\0';
    return allow_reading(rules, path);
}

static int enter(int rules)
{
    int rc = allow_reading(rules, "/etc");

    if (rc == 0)
        rc = allow_resolver(rules);
    if (rc == 0) /* libuv's spare descriptor, given up when there are no others */
        rc = allow_reading(rules, "/dev/null");
    if (rc == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        rc = -errno;
    return rc;
}

int landlock_enter(void)
{
    long version = create(NULL, 0, GET_VERSION);
    struct ruleset wanted;
    int rules;
    int rc;

    if (version < 1)
        return version < 0 ? -errno : -ENOSYS;
    wanted = (struct ruleset){.handled_fs = file_rights(version),
                              .scoped = version >= SCOPED_SINCE ? SCOPED_ALL : 0};
    rules = (int)create(&wanted, sizeof(wanted), 0);
    if (rules < 0)
        return -errno;
    rc = enter(rules);
    close(rules);
    return rc == 0 ? (int)version : rc;
}
