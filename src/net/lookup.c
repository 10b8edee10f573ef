#include "net/lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "net/internal.h"

/* What the loop and the threads share. It lives as long as the last of them. */
struct lookup_desk {
    pthread_mutex_t lock; /* of all below */
    uv_async_t *wake;     /* NULL: the loop listens no more */
    struct list answered; /* questions whose thread is over, for the loop */
    unsigned users;       /* the net and each thread */
};

/* One name. The loop's while it is on net->lookups; its thread's until it is answered; afterwards
 * the loop's again, or nobody's when the loop listens no more. */
struct question {
    struct list node;
    struct list answered;
    struct list waiting; /* the loop's */
    struct lookup_desk *desk;
    char *host;
    int code;  /* of getaddrinfo */
    int error; /* errno, with EAI_SYSTEM */
    struct addrinfo *found;
};

struct lookup {
    struct list node; /* of question->waiting */
    void (*done)(void *ctx, const char *why, const struct addrinfo *found);
    void *ctx;
};

static void free_question(struct question *q)
{
    if (q->found != NULL)
        freeaddrinfo(q->found);
    mem_free(q->host);
    mem_free(q);
}

/* Under the lock, which is released. */
static void leave(struct lookup_desk *desk)
{
    bool last = --desk->users == 0;

    pthread_mutex_unlock(&desk->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&desk->lock);
    mem_free(desk);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void *resolve(void *arg)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct question *q = arg;
    struct lookup_desk *desk = q->desk;

    q->code = getaddrinfo(q->host, NULL, &hints, &q->found);
    q->error = errno;
    pthread_mutex_lock(&desk->lock);
    if (desk->wake != NULL) {
        list_push(&desk->answered, &q->answered);
        uv_async_send(desk->wake);
    } else {
        free_question(q);
    }
    leave(desk);
    return NULL;
}

/* Signals are the loop's. */
static bool start_thread(struct question *q)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, &attributes, resolve, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return rc == 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static const char *why_not(const struct question *q)
{
    if (q->code == 0)
        return NULL;
    return q->code == EAI_SYSTEM ? strerror(q->error) : gai_strerror(q->code);
}

static void tell(struct question *q)
{
    struct list *node;

    list_remove(&q->node); /* who asks from now on asks anew */
    while ((node = list_pop(&q->waiting)) != NULL) {
        struct lookup *l = LIST_ENTRY(node, struct lookup, node);

        l->done(l->ctx, why_not(q), q->found);
        mem_free(l);
    }
    free_question(q);
}

static struct question *next_answered(struct lookup_desk *desk)
{
    struct list *node;

    pthread_mutex_lock(&desk->lock);
    node = list_pop(&desk->answered);
    pthread_mutex_unlock(&desk->lock);
    return node != NULL ? LIST_ENTRY(node, struct question, answered) : NULL;
}

static void woken(uv_async_t *wake)
{
    const struct net *n = wake->data;
    struct question *q;

    while ((q = next_answered(n->lookup_desk)) != NULL)
        tell(q);
}

static struct question *under_way(struct net *n, const char *host)
{
    LIST_FOREACH (it, &n->lookups) {
        struct question *q = LIST_ENTRY(it, struct question, node);

        if (strcmp(q->host, host) == 0)
            return q;
    }
    return NULL;
}

static struct question *ask(struct net *n, const char *host)
{
    struct question *q = mem_zalloc(sizeof(*q));

    list_init(&q->node);
    list_init(&q->answered);
    list_init(&q->waiting);
    q->host = mem_strdup(host);
    q->desk = n->lookup_desk;
    pthread_mutex_lock(&q->desk->lock);
    q->desk->users++;
    pthread_mutex_unlock(&q->desk->lock);
    if (start_thread(q)) {
        list_push(&n->lookups, &q->node);
        return q;
    }
    pthread_mutex_lock(&q->desk->lock);
    leave(q->desk);
    free_question(q);
    return NULL;
}

struct lookup *lookup_start(struct net *n, const char *host,
                            void (*done)(void *ctx, const char *why, const struct addrinfo *found),
                            void *ctx)
{
    struct question *q = under_way(n, host);
    struct lookup *l;

    if (q == NULL)
        q = ask(n, host);
    if (q == NULL)
        return NULL;
    l = mem_zalloc(sizeof(*l));
    l->done = done;
    l->ctx = ctx;
    list_push(&q->waiting, &l->node);
    return l;
}

void lookup_cancel(struct lookup *l)
{
    if (l == NULL)
        return;
    list_remove(&l->node);
    mem_free(l);
}

/* ---- with the net ---------------------------------------------------------------------------- */

void lookup_open(struct net *n)
{
    struct lookup_desk *desk = mem_zalloc(sizeof(*desk));

    list_init(&n->lookups);
    list_init(&desk->answered);
    pthread_mutex_init(&desk->lock, NULL);
    desk->users = 1;
    desk->wake = &n->lookup_wake;
    n->lookup_desk = desk;
    uv_async_init(n->loop, &n->lookup_wake, woken);
    n->lookup_wake.data = n;
    uv_unref((uv_handle_t *)&n->lookup_wake); /* who waits for an answer has a timer */
}

static void forget(struct question *q)
{
    while (list_pop(&q->waiting) != NULL)
        ; /* each is still its owner's to cancel */
    list_remove(&q->node);
}

void lookup_close(struct net *n)
{
    struct lookup_desk *desk = n->lookup_desk;
    struct list *node;

    LIST_FOREACH (it, &n->lookups)
        forget(LIST_ENTRY(it, struct question, node));
    pthread_mutex_lock(&desk->lock);
    desk->wake = NULL; /* from here on a thread frees its question itself */
    while ((node = list_pop(&desk->answered)) != NULL)
        free_question(LIST_ENTRY(node, struct question, answered));
    leave(desk);
    uv_close((uv_handle_t *)&n->lookup_wake, NULL);
}
