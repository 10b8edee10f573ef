#include "check/look_ports.h"

#include <arpa/inet.h>
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
