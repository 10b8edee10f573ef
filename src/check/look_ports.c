#include "check/look_ports.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct search {
    bool any;         /* every address of the machine is wanted */
    uint8_t addr[16]; /* else this one */
    size_t addr_len;
};

/* Whether the listener keeps the search's own one from its place. */
static bool collides(const struct search *s, const struct listening *l)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *addr = l->addr;
    size_t len = l->table == SOCKETS_TCP4 ? 4 : 16;

    if (len == 16 && memcmp(addr, mapped, sizeof(mapped)) == 0) {
        addr += sizeof(mapped);
        len = 4;
    }
    return s->any || sockets_is_any(l) || (len == s->addr_len && memcmp(addr, s->addr, len) == 0);
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

static void collect(void *ctx, const struct listening *l)
{
    struct port_table *t = ctx;

    if (t->count == PORT_TABLE_MAX)
        return;
    t->items = mem_array(t->items, t->count + 1, sizeof(*t->items));
    t->items[t->count++] = *l;
}

void port_table_read(struct port_table *t, const char *proc)
{
    *t = (struct port_table){.proc = proc};
    t->unreadable = sockets_read(proc, collect, t) != 0;
}

void port_table_free(struct port_table *t)
{
    mem_free(t->items);
    *t = (struct port_table){.unreadable = true};
}

static void name_holder(const struct port_table *t, const struct listening *l,
                        struct holder_facts *f)
{
    char name[SOCKETS_NAME_MAX] = "";

    if (l->inode != 0)
        f->pid = (int)sockets_owner(t->proc, l->inode, name);
    f->ours = strncmp(name, "mlgate", strlen("mlgate")) == 0;
    log_safe(f->name, sizeof(f->name), name, strlen(name));
}

void look_holder(const struct port_table *t, const char *host, uint16_t port,
                 struct holder_facts *f)
{
    struct search s = {.any = false};

    aim(&s, host);
    f->unreadable = t->unreadable;
    for (size_t i = 0; i < t->count && !f->held; i++) {
        f->held = t->items[i].port == port && collides(&s, &t->items[i]);
        if (f->held)
            name_holder(t, &t->items[i], f);
    }
}

/* ---- who listens for strangers --------------------------------------------------------------- */

enum { NAMED_MAX = 16 }; /* each name costs a walk through /proc */

static uint64_t inode_of(const struct port_table *t, uint16_t port)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].port == port && !sockets_is_loopback(&t->items[i]))
            return t->items[i].inode;
    return 0;
}

char *look_listeners(const struct port_table *t, const struct audit *audit,
                     char out[LOOK_LISTENERS_MAX])
{
    size_t said = audit->count < NAMED_MAX ? audit->count : NAMED_MAX;
    size_t unsaid = audit->count - said + audit->unsaid;
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < said; i++) {
        uint64_t inode = inode_of(t, audit->ports[i]);
        char name[SOCKETS_NAME_MAX];
        bool known = inode != 0 && sockets_owner(t->proc, inode, name) > 0;

        len += (size_t)snprintf(out + len, LOOK_LISTENERS_MAX - len, "%s%u%s%s%s", i ? ", " : "",
                                audit->ports[i], known ? " (" : "", known ? name : "",
                                known ? ")" : "");
    }
    if (unsaid > 0)
        snprintf(out + len, LOOK_LISTENERS_MAX - len, " and %zu more", unsaid);
    return out;
}
