#include "net/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/internal.h"

/* libuv's own number, of which its resolver takes half, rounded up. */
enum { USUAL_THREADS = 4 };

/* One name under way, and who waits for it. */
struct question {
    struct list node; /* of net->questions; alone once nobody may join it */
    uv_getaddrinfo_t req;
    struct list waiting;
    char *host;
};

struct lookup {
    struct list node; /* of question->waiting */
    struct question *question;
    void (*done)(void *ctx, int status, const struct addrinfo *found);
    void *ctx;
};

static void free_question(struct question *q)
{
    list_remove(&q->node);
    mem_free(q->host);
    mem_free(q);
}

static void answered(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct question *q = req->data;
    struct list *node;

    list_remove(&q->node); /* who asks from now on asks anew */
    while ((node = list_pop(&q->waiting)) != NULL) {
        struct lookup *l = LIST_ENTRY(node, struct lookup, node);

        l->done(l->ctx, status, status == 0 ? found : NULL);
        mem_free(l);
    }
    uv_freeaddrinfo(found);
    free_question(q);
}

static struct question *under_way(struct net *n, const char *host)
{
    LIST_FOREACH (it, &n->questions) {
        struct question *q = LIST_ENTRY(it, struct question, node);

        if (strcmp(q->host, host) == 0)
            return q;
    }
    return NULL;
}

static struct question *ask(struct net *n, const char *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct question *q = mem_zalloc(sizeof(*q));

    list_init(&q->node);
    list_init(&q->waiting);
    q->host = mem_strdup(host);
    q->req.data = q;
    if (uv_getaddrinfo(n->loop, &q->req, answered, host, NULL, &hints) != 0) {
        free_question(q);
        return NULL;
    }
    list_push(&n->questions, &q->node);
    return q;
}

struct lookup *lookup_start(struct net *n, const char *host,
                            void (*done)(void *ctx, int status, const struct addrinfo *found),
                            void *ctx)
{
    struct question *q = under_way(n, host);
    struct lookup *l;

    if (q == NULL)
        q = ask(n, host);
    if (q == NULL)
        return NULL;
    l = mem_zalloc(sizeof(*l));
    l->question = q;
    l->done = done;
    l->ctx = ctx;
    list_push(&q->waiting, &l->node);
    return l;
}

void lookup_cancel(struct lookup *l)
{
    struct question *q;

    if (l == NULL)
        return;
    q = l->question;
    list_remove(&l->node);
    mem_free(l);
    /* One that no thread has begun comes back at once, without an answer. */
    if (list_empty(&q->waiting) && uv_cancel((uv_req_t *)&q->req) == 0)
        list_remove(&q->node);
}

void lookup_allow(unsigned names)
{
    unsigned threads = 2 * names - 1;
    char text[16];

    snprintf(text, sizeof(text), "%u", threads > USUAL_THREADS ? threads : USUAL_THREADS);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}
