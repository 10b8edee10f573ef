/* Who pays when the memory limit is reached: those that hold most. One look at all finds many of
 * them, because a search for each would take seconds where many pay and many more look on. */
#ifndef BASE_SHED_H
#define BASE_SHED_H

#include <stddef.h>

enum { SHED_AT_ONCE = 64 /* found by one look; more of them are another look away */ };

struct shed_one {
    void *who;
    size_t held;
};

/* Those that hold most, the first one most of all. Zeroed is empty. */
struct shed_list {
    size_t n;
    struct shed_one most[SHED_AT_ONCE];
};

struct shed_events {
    /* Offers everybody there is. */
    void (*look)(void *ctx, struct shed_list *list);
    /* Ends this one, who is not offered again; nobody else's memory goes meanwhile. */
    void (*pay)(void *ctx, const struct shed_one *one);
};

/* Nobody pays who holds nothing. */
void shed_offer(struct shed_list *list, void *who, size_t held);
/* Has one after the other pay until what they held makes up for `excess`, as it was offered: what
 * they held may leave the pool a little later. */
void shed(size_t excess, const struct shed_events *events, void *ctx);

#endif
