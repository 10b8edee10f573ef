#include "base/shed.h"

void shed_offer(struct shed_list *list, void *who, size_t held)
{
    struct shed_one *most = list->most;
    size_t i = list->n;

    if (held == 0 || (i == SHED_AT_ONCE && held <= most[i - 1].held))
        return;
    if (i == SHED_AT_ONCE)
        i--;
    else
        list->n++;
    for (; i > 0 && most[i - 1].held < held; i--)
        most[i] = most[i - 1];
    most[i] = (struct shed_one){.who = who, .held = held};
}

void shed(size_t excess, const struct shed_events *events, void *ctx)
{
    while (excess > 0) {
        struct shed_list list = {0};

        events->look(ctx, &list);
        if (list.n == 0)
            return;
        for (size_t i = 0; i < list.n && excess > 0; i++) {
            const struct shed_one *one = &list.most[i];

            excess -= one->held < excess ? one->held : excess;
            events->pay(ctx, one);
        }
    }
}
