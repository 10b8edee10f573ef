#include "check/look_ports.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "container/sockets.h"

struct search {
    uint16_t port;
    bool any;         /* every address of the machine is wanted */
    uint8_t addr[16]; /* else this one */
    size_t addr_len;
    struct listening found;
    bool held;
};

static void compare(void *ctx, const struct listening *l)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct search *s = ctx;
    const uint8_t *addr = l->addr;
    size_t len = l->table == SOCKETS_TCP4 ? 4 : 16;

    if (l->port != s->port || s->held)
        return;
    if (len == 16 && memcmp(addr, mapped, sizeof(mapped)) == 0) {
        addr += sizeof(mapped);
        len = 4;
    }
    if (!s->any && !sockets_is_any(l) && (len != s->addr_len || memcmp(addr, s->addr, len) != 0))
        return;
    s->held = true;
    s->found = *l;
}

static void aim(struct search *s, const char *host)
{
    s->any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    if (inet_pton(AF_INET, host, s->addr) == 1)
        s->addr_len = 4;
    else if (inet_pton(AF_INET6, host, s->addr) == 1)
        s->addr_len = 16;
    else
        s->any = true; /* a name: rather too many than too few */
}

void look_holder(const char *proc, const char *host, uint16_t port, struct holder_facts *f)
{
    struct search s = {.port = port};
    char name[SOCKETS_NAME_MAX];

    aim(&s, host);
    f->unreadable = sockets_read(proc, compare, &s) != 0;
    f->held = s.held;
    if (!s.held || s.found.inode == 0)
        return;
    f->pid = (int)sockets_owner(proc, s.found.inode, name);
    f->ours = strncmp(name, "mlgate", strlen("mlgate")) == 0;
    log_safe(f->name, sizeof(f->name), name, strlen(name));
}

/* ---- who listens for strangers --------------------------------------------------------------- */

enum { NAMED_MAX = 16 }; /* each name costs a walk through /proc */

struct naming {
    const struct audit *audit;
    uint64_t inodes[NAMED_MAX]; /* of audit->ports; 0: not found */
};

static void note_inode(void *ctx, const struct listening *l)
{
    struct naming *n = ctx;

    for (size_t i = 0; i < n->audit->count && i < NAMED_MAX; i++)
        if (n->audit->ports[i] == l->port && !sockets_is_loopback(l))
            n->inodes[i] = l->inode;
}

char *look_listeners(const char *proc, const struct audit *audit, char out[LOOK_LISTENERS_MAX])
{
    struct naming n = {.audit = audit};
    size_t said = audit->count < NAMED_MAX ? audit->count : NAMED_MAX;
    size_t unsaid = audit->count - said + audit->unsaid;
    size_t len = 0;

    out[0] = '\0';
    if (sockets_read(proc, note_inode, &n) != 0)
        return out;
    for (size_t i = 0; i < said; i++) {
        char name[SOCKETS_NAME_MAX];
        bool known = n.inodes[i] != 0 && sockets_owner(proc, n.inodes[i], name) > 0;

        len += (size_t)snprintf(out + len, LOOK_LISTENERS_MAX - len, "%s%u%s%s%s", i ? ", " : "",
                                audit->ports[i], known ? " (" : "", known ? name : "",
                                known ? ")" : "");
    }
    if (unsaid > 0)
        snprintf(out + len, LOOK_LISTENERS_MAX - len, " and %zu more", unsaid);
    return out;
}
