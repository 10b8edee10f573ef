#include "net/net.h"

#include "base/mem.h"
#include "net/internal.h"

/* How often drained connections are looked at while there are any. */
enum { LINGER_TICK_MS = 250 };
/* Tasks may ask for tasks; after this many rounds sockets get their turn first. */
enum { TASK_PASSES = 4 };

static void keep_awake(uv_idle_t *handle)
{
    /* an active idle handle is what keeps the loop from sleeping; the work is in run_tasks */
    (void)handle;
}

static void run_batch(struct net *n)
{
    struct list batch;
    struct list *node;

    list_init(&batch);
    while ((node = list_pop(&n->tasks)) != NULL)
        list_push(&batch, node);
    while ((node = list_pop(&batch)) != NULL) {
        struct net_task *t = LIST_ENTRY(node, struct net_task, node);

        t->run(t);
    }
}

static void run_tasks(uv_prepare_t *handle)
{
    struct net *n = handle->data;

    n->turn++;
    for (int pass = 0; pass < TASK_PASSES && !list_empty(&n->tasks); pass++)
        run_batch(n);
    if (list_empty(&n->tasks))
        uv_idle_stop(&n->awake);
    else
        uv_idle_start(&n->awake, keep_awake);
}

static void linger_tick(uv_timer_t *timer)
{
    struct net *n = timer->data;

    conn_linger_tick(n);
    if (list_empty(&n->lingering))
        uv_timer_stop(timer);
}

void net_linger_start(struct net *n)
{
    if (!uv_is_active((uv_handle_t *)&n->linger_timer))
        uv_timer_start(&n->linger_timer, linger_tick, LINGER_TICK_MS, LINGER_TICK_MS);
}

static void gates_due(uv_timer_t *timer)
{
    struct net *n = timer->data;
    uint64_t now = net_now_us();
    uint64_t next = log_gates_tick(&n->gates, now);

    if (next != UINT64_MAX)
        uv_timer_start(timer, gates_due, (next - now) / 1000 + 1, 0);
}

bool net_gate(struct net *n, struct log_gate *g, struct log *log, char more[LOG_HELD_MAX])
{
    bool passes = log_gate(&n->gates, g, log, net_now_us(), more);

    if (!passes && !n->stopped && !uv_is_active((uv_handle_t *)&n->gate_timer))
        gates_due(&n->gate_timer);
    return passes;
}

struct net *net_new(uv_loop_t *loop, struct log *log, size_t memory_limit)
{
    struct net *n = mem_zalloc(sizeof(*n));

    n->loop = loop;
    n->log = log;
    n->turn = 1; /* no connection has read in this one */
    pool_init(&n->pool, memory_limit);
    list_init(&n->tasks);
    list_init(&n->lingering);
    n->read_buffer = mem_alloc(NET_READ_SIZE);
    n->plain_buffer = mem_alloc(NET_PLAIN_SIZE);
    uv_prepare_init(loop, &n->before_sleep);
    n->before_sleep.data = n;
    uv_prepare_start(&n->before_sleep, run_tasks);
    uv_unref((uv_handle_t *)&n->before_sleep);
    uv_timer_init(loop, &n->linger_timer);
    n->linger_timer.data = n;
    uv_unref((uv_handle_t *)&n->linger_timer);
    uv_timer_init(loop, &n->gate_timer);
    n->gate_timer.data = n;
    uv_unref((uv_handle_t *)&n->gate_timer);
    log_gates_init(&n->gates);
    uv_idle_init(loop, &n->awake);
    lookup_open(n);
    return n;
}

void net_stop(struct net *n)
{
    conn_drop_lingering(n);
    run_tasks(&n->before_sleep); /* of a turn after which the loop had nothing left to wait for */
    uv_close((uv_handle_t *)&n->before_sleep, NULL);
    uv_close((uv_handle_t *)&n->linger_timer, NULL);
    uv_close((uv_handle_t *)&n->gate_timer, NULL);
    n->stopped = true;
    uv_close((uv_handle_t *)&n->awake, NULL);
    lookup_close(n);
}

void net_free(struct net *n)
{
    if (n == NULL)
        return;
    log_gates_end(&n->gates);
    pool_clear(&n->pool);
    mem_free(n->read_buffer);
    mem_free(n->plain_buffer);
    mem_free(n);
}

uv_loop_t *net_loop(const struct net *n)
{
    return n->loop;
}

struct pool *net_pool(struct net *n)
{
    return &n->pool;
}

struct log *net_log(const struct net *n)
{
    return n->log;
}

uint64_t net_now_us(void)
{
    return uv_hrtime() / 1000;
}

void net_task_init(struct net_task *t, void (*run)(struct net_task *t))
{
    list_init(&t->node);
    t->run = run;
}

void net_soon(struct net *n, struct net_task *t)
{
    if (list_empty(&t->node))
        list_push(&n->tasks, &t->node);
}

void net_task_cancel(struct net_task *t)
{
    list_remove(&t->node);
}
