#include "container/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

enum {
    READ_SIZE = 16384, /* a line has some 150 bytes */
    PROC_MAX = 300,    /* of a path below /proc */
    STATE_LISTEN = 0x0a,
    FIELDS_TO_INODE = 5, /* queues, timer, retransmissions, uid, timeout */
    /* digits */
    WORD_HEX = 8, /* 32 bits of an address */
    PORT_HEX = 4,
    STATE_HEX = 2,
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

struct cursor {
    const char *at;
    const char *end;
};

/* Exactly `digits` of them. */
static bool read_hex(struct cursor *c, size_t digits, uint32_t *out)
{
    uint32_t value = 0;

    if ((size_t)(c->end - c->at) < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = text_hex_digit(c->at[i]);

        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    c->at += digits;
    *out = value;
    return true;
}

static bool skip(struct cursor *c, char expected)
{
    if (c->at == c->end || *c->at != expected)
        return false;
    c->at++;
    return true;
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && *c->at == ' ')
        c->at++;
}

/* "  12: " at the beginning of a line. */
static bool skip_number(struct cursor *c)
{
    const char *digits;

    skip_blanks(c);
    digits = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > digits && skip(c, ':') && skip(c, ' ');
}

/* An address and a port; the kernel prints the address 32 bits at a time as host integers. */
static bool read_endpoint(struct cursor *c, enum socket_table table, uint8_t addr[16],
                          uint16_t *port)
{
    size_t words = table == SOCKETS_TCP4 ? 1 : 4;
    uint32_t value;

    for (size_t i = 0; i < words; i++) {
        if (!read_hex(c, WORD_HEX, &value))
            return false;
        memcpy(addr + i * sizeof(value), &value, sizeof(value));
    }
    if (!skip(c, ':') || !read_hex(c, PORT_HEX, &value) || !skip(c, ' '))
        return false;
    *port = (uint16_t)value;
    return true;
}

static uint64_t read_inode(struct cursor *c)
{
    uint64_t inode = 0;
    const char *word;

    for (int i = 0; i < FIELDS_TO_INODE; i++) {
        skip_blanks(c);
        while (c->at < c->end && *c->at != ' ')
            c->at++;
    }
    skip_blanks(c);
    word = c->at;
    while (c->at < c->end && *c->at != ' ')
        c->at++;
    return text_uint(word, (size_t)(c->at - word), UINT64_MAX, &inode) ? inode : 0;
}

/* Whether the line tells of a listener. */
static bool read_line(struct cursor c, struct listening *out)
{
    uint8_t remote[16];
    uint16_t remote_port;
    uint32_t state;

    if (!skip_number(&c) || !read_endpoint(&c, out->table, out->addr, &out->port) ||
        !read_endpoint(&c, out->table, remote, &remote_port) || !read_hex(&c, STATE_HEX, &state) ||
        !skip(&c, ' ') || state != STATE_LISTEN)
        return false;
    out->inode = read_inode(&c);
    return true;
}

size_t sockets_lines(enum socket_table table, const char *text, size_t len, sockets_each *each,
                     void *ctx)
{
    const char *at = text;
    const char *newline;

    while ((newline = memchr(at, '\n', len - (size_t)(at - text))) != NULL) {
        struct listening l = {.table = table};

        if (read_line((struct cursor){at, newline}, &l))
            each(ctx, &l);
        at = newline + 1;
    }
    return (size_t)(at - text);
}

static bool read_table(enum socket_table table, const char *path, sockets_each *each, void *ctx)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[READ_SIZE];
    size_t held = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    while ((n = read(fd, text + held, sizeof(text) - held)) > 0 || (n < 0 && errno == EINTR)) {
        size_t done;

        held += n > 0 ? (size_t)n : 0;
        done = sockets_lines(table, text, held, each, ctx);
        /* A buffer without a newline is no line of the kernel's. */
        held = done == 0 && held == sizeof(text) ? 0 : held - done;
        memmove(text, text + done, held);
    }
    close(fd);
    return n == 0;
}

int sockets_read(const char *proc, sockets_each *each, void *ctx)
{
    static const struct {
        const char *name;
        enum socket_table table;
    } tables[] = {{"net/tcp", SOCKETS_TCP4}, {"net/tcp6", SOCKETS_TCP6}};
    int code = ERR_NOTFOUND;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char path[PROC_MAX];
        int len = snprintf(path, sizeof(path), "%s/%s", proc, tables[i].name);

        if (len < PROC_MAX && read_table(tables[i].table, path, each, ctx))
            code = 0;
    }
    return code;
}

bool sockets_is_loopback(const struct listening *l)
{
    static const uint8_t one[16] = {[15] = 1};

    if (l->table == SOCKETS_TCP4)
        return l->addr[0] == 127;
    return memcmp(l->addr, one, sizeof(one)) == 0 ||
           (memcmp(l->addr, mapped, sizeof(mapped)) == 0 && l->addr[12] == 127);
}

bool sockets_is_any(const struct listening *l)
{
    static const uint8_t zero[16] = {0};

    if (l->table == SOCKETS_TCP4)
        return memcmp(l->addr, zero, 4) == 0;
    return memcmp(l->addr, zero, sizeof(zero)) == 0 ||
           (memcmp(l->addr, mapped, sizeof(mapped)) == 0 && memcmp(l->addr + 12, zero, 4) == 0);
}

/* ---- owners ---------------------------------------------------------------------------------- */

static bool has_socket(const char *proc, const char *pid, const char *wanted)
{
    char path[PROC_MAX];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%.32s/fd", proc, pid);
    dir = opendir(path);
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        char target[64];
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        target[len > 0 ? len : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

static void read_name(const char *proc, const char *pid, char name[SOCKETS_NAME_MAX])
{
    char path[PROC_MAX];
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof(path), "%s/%.32s/comm", proc, pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, name, SOCKETS_NAME_MAX - 1);
        close(fd);
    }
    name[len > 0 ? len : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

pid_t sockets_owner(const char *proc, uint64_t inode, char name[SOCKETS_NAME_MAX])
{
    char wanted[64];
    struct dirent *entry;
    pid_t owner = 0;
    DIR *dir = opendir(proc);

    name[0] = '\0';
    snprintf(wanted, sizeof(wanted), "socket:[%llu]", (unsigned long long)inode);
    while (dir != NULL && owner == 0 && (entry = readdir(dir)) != NULL) {
        uint64_t pid;

        if (!text_uint(entry->d_name, strlen(entry->d_name), INT32_MAX, &pid) ||
            !has_socket(proc, entry->d_name, wanted))
            continue;
        owner = (pid_t)pid;
        read_name(proc, entry->d_name, name);
    }
    if (dir != NULL)
        closedir(dir);
    return owner;
}
