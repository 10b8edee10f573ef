#include "container/listeners.h"

static void say(struct listeners *l, const struct audit *now)
{
    char ports[AUDIT_LINE_MAX];

    if (audit_same(now, &l->said))
        return;
    if (now->count > 0)
        log_warn(l->log,
                 "TCP listeners that are not on loopback: %s; where the platform publishes these "
                 "ports, strangers reach them",
                 audit_ports(now, ports));
    else
        log_info(l->log, "all TCP listeners are on loopback now");
    l->said = *now;
}

void listeners_tick(struct listeners *l, uint64_t now_us)
{
    struct audit now = {0};

    if (l->next_us == 0)
        l->next_us = now_us + LISTENERS_FIRST_US;
    if (now_us < l->next_us)
        return;
    l->next_us = now_us + LISTENERS_EVERY_US;
    if (audit_read(&now, l->proc, l->expected, l->n_expected) == 0) {
        l->looked = true;
        say(l, &now);
    } else if (!l->unreadable_said) {
        log_warn(l->log,
                 "%s/net/tcp cannot be read: nobody looks for listeners that strangers "
                 "could reach",
                 l->proc);
        l->unreadable_said = true;
    }
}
