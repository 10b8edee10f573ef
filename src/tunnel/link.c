#include "tunnel/link.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/dial.h"
#include "tunnel/relay.h"

/* frpc's limit for reaching the local service. */
enum { LOCAL_DIAL_MS = 10 * 1000 };

struct link {
    struct relay relay;
    struct list node;
    struct links *links;
    const struct proxy_config *proxy;
    struct dial *dial;   /* NULL once the service answered */
    struct stream *work; /* NULL once the relay has it */
    struct net_task free_task;
    bool exact_ends;
    char *user; /* for the log */
};

void links_init(struct links *l, struct net *n, struct log *log)
{
    *l = (struct links){
        .net = n,
        .log = log,
        .refused_gate = {.what = "local services that cannot be reached", .level = LOG_WARN},
        .memory_gate = {.what = "users reset by the memory limit", .level = LOG_WARN},
    };
    list_init(&l->all);
}

static void free_link(struct net_task *t)
{
    struct link *k = LIST_ENTRY(t, struct link, free_task);

    mem_free(k->user);
    mem_free(k);
}

static void link_over(struct link *k, enum reason why)
{
    struct links *l = k->links;

    l->ended.of[why]++;
    log_debug(l->log, "%s: user %s over: %s, %" PRIu64 " bytes in, %" PRIu64 " out", k->proxy->name,
              k->user, reason_name(why), k->relay.work.received, k->relay.user.received);
    list_remove(&k->node);
    net_soon(l->net, &k->free_task);
}

static void relay_done(struct relay *r)
{
    link_over(r->owner, r->ended);
}

static void local_refused(struct link *k, enum reason why, const char *text)
{
    struct links *l = k->links;
    char more[LOG_HELD_MAX];

    if (net_gate(l->net, &l->refused_gate, l->log, more))
        log_warn(l->log, "%s: the local service %s:%u cannot be reached (%s); user %s was closed%s",
                 k->proxy->name, k->proxy->local_ip, k->proxy->local_port, text, k->user, more);
    stream_reset(k->work);
    k->work = NULL;
    link_over(k, REASON_LOCAL_REFUSED);
}

static void dialled(void *ctx, struct conn *c, enum reason why, const char *text)
{
    struct link *k = ctx;
    struct stream *work = k->work;

    k->dial = NULL;
    if (c == NULL) {
        local_refused(k, why, text);
        return;
    }
    k->work = NULL;
    relay_start(&k->relay, conn_stream(c), work, k->exact_ends, relay_done, k);
}

void link_start(struct links *l, const struct proxy_config *p, struct stream *work, bool exact_ends,
                const char *user)
{
    const struct dial_target to = {
        .host = p->local_ip, .port = p->local_port, .timeout_ms = LOCAL_DIAL_MS};
    struct link *k = mem_zalloc(sizeof(*k));

    k->links = l;
    k->proxy = p;
    k->work = work;
    k->exact_ends = exact_ends;
    k->user = mem_strdup(user);
    net_task_init(&k->free_task, free_link);
    list_push(&l->all, &k->node);
    k->dial = dial_start(l->net, &to, dialled, k);
}

static void end_link(struct link *k, enum reason why)
{
    if (k->dial == NULL) {
        relay_abort(&k->relay, why);
        return;
    }
    dial_cancel(k->dial);
    k->dial = NULL;
    stream_reset(k->work);
    k->work = NULL;
    link_over(k, why);
}

void links_tick(struct links *l, uint64_t now_us)
{
    LIST_FOREACH (it, &l->all) {
        struct link *k = LIST_ENTRY(it, struct link, node);

        if (k->dial == NULL)
            relay_tick(&k->relay, now_us);
    }
}

static size_t held_by(const struct link *k)
{
    return k->work ? stream_held(k->work) : relay_held(&k->relay);
}

void links_offer(struct links *l, struct shed_list *list)
{
    LIST_FOREACH (it, &l->all) {
        struct link *k = LIST_ENTRY(it, struct link, node);

        shed_offer(list, k, held_by(k));
    }
}

void links_shed_one(const struct shed_one *one)
{
    struct link *k = one->who;
    struct links *l = k->links;
    char more[LOG_HELD_MAX];

    if (net_gate(l->net, &l->memory_gate, l->log, more))
        log_warn(l->log,
                 "%s: user %s is reset: %zu bytes wait for a slow reader and the memory limit is "
                 "reached (MEMORY_LIMIT)%s",
                 k->proxy->name, k->user, one->held, more);
    end_link(k, REASON_MEMORY);
}

void links_end(struct links *l, enum reason why)
{
    while (!list_empty(&l->all))
        end_link(LIST_ENTRY(l->all.next, struct link, node), why);
}

void links_free(struct links *l)
{
    log_gate_end(&l->refused_gate);
    log_gate_end(&l->memory_gate);
}
