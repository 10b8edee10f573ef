#include "container/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

enum {
    READ_SIZE = 16384, /* a line has some 150 bytes */
    PROC_MAX = 256,    /* of a path below /proc */
    STATE_LISTEN = 0x0a,
    /* digits */
    WORD_HEX = 8, /* 32 bits of an address */
    PORT_HEX = 4,
    STATE_HEX = 2,
};

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

/* "  12: " at the beginning of a line. */
static bool skip_number(struct cursor *c)
{
    const char *digits;

    while (c->at < c->end && *c->at == ' ')
        c->at++;
    digits = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > digits && skip(c, ':') && skip(c, ' ');
}

/* 127.0.0.0/8, ::1, and the first seen through the second family. */
static bool is_loopback(enum audit_table table, const uint8_t *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t one[16] = {[15] = 1};

    if (table == AUDIT_TCP4)
        return addr[0] == 127;
    return memcmp(addr, one, sizeof(one)) == 0 ||
           (memcmp(addr, mapped, sizeof(mapped)) == 0 && addr[12] == 127);
}

/* An address and a port; the kernel prints the address 32 bits at a time as host integers. */
static bool read_endpoint(struct cursor *c, enum audit_table table, uint8_t addr[16],
                          uint16_t *port)
{
    size_t words = table == AUDIT_TCP4 ? 1 : 4;
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

static bool is_expected(uint16_t port, const struct audit_span *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (port >= spans[i].first && port <= spans[i].last)
            return true;
    return false;
}

static void add(struct audit *audit, uint16_t port)
{
    size_t i = 0;

    while (i < audit->count && audit->ports[i] < port)
        i++;
    if (i < audit->count && audit->ports[i] == port)
        return;
    if (audit->count == AUDIT_PORTS_MAX) {
        audit->unsaid++;
        return;
    }
    memmove(audit->ports + i + 1, audit->ports + i, (audit->count - i) * sizeof(audit->ports[0]));
    audit->ports[i] = port;
    audit->count++;
}

/* Whether the line tells of a listener that strangers can reach, and on which port. */
static bool read_line(struct cursor c, enum audit_table table, uint16_t *port)
{
    uint8_t local[16] = {0};
    uint8_t remote[16];
    uint16_t remote_port;
    uint32_t state;

    return skip_number(&c) && read_endpoint(&c, table, local, port) &&
           read_endpoint(&c, table, remote, &remote_port) && read_hex(&c, STATE_HEX, &state) &&
           skip(&c, ' ') && state == STATE_LISTEN && !is_loopback(table, local);
}

size_t audit_lines(struct audit *audit, enum audit_table table, const char *text, size_t len,
                   const struct audit_span *expected, size_t n_expected)
{
    const char *at = text;
    const char *newline;

    while ((newline = memchr(at, '\n', len - (size_t)(at - text))) != NULL) {
        struct cursor line = {at, newline};
        uint16_t port;

        if (read_line(line, table, &port) && !is_expected(port, expected, n_expected))
            add(audit, port);
        at = newline + 1;
    }
    return (size_t)(at - text);
}

static bool read_table(struct audit *audit, enum audit_table table, const char *path,
                       const struct audit_span *expected, size_t n_expected)
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
        done = audit_lines(audit, table, text, held, expected, n_expected);
        /* A buffer without a newline is no line of the kernel's. */
        held = done == 0 && held == sizeof(text) ? 0 : held - done;
        memmove(text, text + done, held);
    }
    close(fd);
    return n == 0;
}

int audit_read(struct audit *audit, const char *proc, const struct audit_span *expected,
               size_t n_expected)
{
    static const struct {
        const char *name;
        enum audit_table table;
    } tables[] = {{"net/tcp", AUDIT_TCP4}, {"net/tcp6", AUDIT_TCP6}};
    int code = ERR_NOTFOUND;

    *audit = (struct audit){.count = 0};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char path[PROC_MAX];
        int len = snprintf(path, sizeof(path), "%s/%s", proc, tables[i].name);

        if (len < PROC_MAX && read_table(audit, tables[i].table, path, expected, n_expected))
            code = 0;
    }
    return code;
}

bool audit_same(const struct audit *a, const struct audit *b)
{
    return a->count == b->count && a->unsaid == b->unsaid &&
           memcmp(a->ports, b->ports, a->count * sizeof(a->ports[0])) == 0;
}

char *audit_ports(const struct audit *audit, char *out)
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < audit->count; i++)
        len += (size_t)snprintf(out + len, AUDIT_LINE_MAX - len, "%s%u", i ? ", " : "",
                                audit->ports[i]);
    if (audit->unsaid > 0)
        snprintf(out + len, AUDIT_LINE_MAX - len, " and %zu more", audit->unsaid);
    return out;
}
