/* Names under way: the resolver's place is taken by one that answers when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/lookup.h"

/* ---- the resolver ---------------------------------------------------------------------------- */

/* A name answers once it is here; "nowhere" has no address. */
static struct {
    uv_mutex_t lock;
    uv_cond_t changed;
    const char *answering; /* a character for each name: its first */
    unsigned begun;
    unsigned over;
} resolver;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    struct addrinfo *a;

    uv_mutex_lock(&resolver.lock);
    resolver.begun++;
    uv_cond_broadcast(&resolver.changed);
    while (strchr(resolver.answering, host[0]) == NULL)
        uv_cond_wait(&resolver.changed, &resolver.lock);
    resolver.over++;
    uv_cond_broadcast(&resolver.changed);
    uv_mutex_unlock(&resolver.lock);
    if (strcmp(host, "nowhere") == 0)
        return EAI_NONAME;
    a = mem_zalloc(sizeof(*a));
    a->ai_family = AF_INET;
    *found = a;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    mem_free(list);
}

static void let_answer(const char *names)
{
    uv_mutex_lock(&resolver.lock);
    resolver.answering = names;
    uv_cond_broadcast(&resolver.changed);
    uv_mutex_unlock(&resolver.lock);
}

static void wait_for(const unsigned *count, unsigned wanted)
{
    uv_mutex_lock(&resolver.lock);
    while (*count < wanted)
        uv_cond_wait(&resolver.changed, &resolver.lock);
    uv_mutex_unlock(&resolver.lock);
}

/* ---- who asks -------------------------------------------------------------------------------- */

enum { PATIENCE_MS = 60 * 1000 };

struct place {
    uv_loop_t loop;
    struct net *net;
    uv_timer_t patience; /* a lookup alone does not keep a loop running */
};

struct asker {
    unsigned told;
    bool found;
    const char *why;
};

static void told(void *ctx, const char *why, const struct addrinfo *found)
{
    struct asker *a = ctx;

    a->told++;
    a->found = found != NULL;
    a->why = why;
}

static void too_late(uv_timer_t *timer)
{
    fail_msg("no answer within %d s", PATIENCE_MS / 1000);
}

static void enter(struct place *p)
{
    memset(&resolver, 0, sizeof(resolver));
    resolver.answering = "";
    uv_mutex_init(&resolver.lock);
    uv_cond_init(&resolver.changed);
    uv_loop_init(&p->loop);
    p->net = net_new(&p->loop, NULL, 0);
    uv_timer_init(&p->loop, &p->patience);
    uv_timer_start(&p->patience, too_late, PATIENCE_MS, 0);
}

static void leave(struct place *p)
{
    uv_close((uv_handle_t *)&p->patience, NULL);
    net_stop(p->net);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    net_free(p->net);
    assert_int_equal(uv_loop_close(&p->loop), 0);
}

/* The last answer is on its way from its thread. */
static void run_until_told(struct place *p, const struct asker *a)
{
    while (a->told == 0)
        uv_run(&p->loop, UV_RUN_ONCE);
}

static void many_ask_one_answers(void **state)
{
    struct place p;
    struct asker a[3] = {0};
    struct lookup *second;

    enter(&p);
    assert_non_null(lookup_start(p.net, "here", told, &a[0]));
    second = lookup_start(p.net, "here", told, &a[1]);
    assert_non_null(lookup_start(p.net, "here", told, &a[2]));
    wait_for(&resolver.begun, 1);
    lookup_cancel(second);
    let_answer("h");
    run_until_told(&p, &a[2]);
    assert_int_equal(resolver.begun, 1);
    assert_true(a[0].found && a[0].why == NULL && a[0].told == 1);
    assert_true(a[2].found && a[2].told == 1);
    assert_int_equal(a[1].told, 0);

    assert_non_null(lookup_start(p.net, "here", told, &a[1])); /* and the next one asks anew */
    run_until_told(&p, &a[1]);
    assert_int_equal(resolver.begun, 2);
    leave(&p);
}

/* However often it is tried and given up; and no other name waits for it. */
static void a_name_that_hangs_has_one_thread(void **state)
{
    enum { TRIES = 50, NAMES = 20 };
    struct place p;
    struct asker hung = {0};
    struct asker other = {0};
    char name[NAMES][16];

    enter(&p);
    let_answer("n");
    for (int i = 0; i < TRIES; i++)
        for (int k = 0; k < NAMES; k++) {
            snprintf(name[k], sizeof(name[k]), "silent-%d", k);
            lookup_cancel(lookup_start(p.net, name[k], told, &hung));
        }
    wait_for(&resolver.begun, NAMES);
    assert_non_null(lookup_start(p.net, "nowhere", told, &other));
    run_until_told(&p, &other);
    assert_false(other.found);
    assert_non_null(other.why);
    assert_int_equal(resolver.begun, NAMES + 1);
    assert_int_equal(hung.told, 0);

    /* the last of those who gave up is served by what the first had asked */
    assert_non_null(lookup_start(p.net, "silent-0", told, &hung));
    let_answer("s");
    run_until_told(&p, &hung);
    assert_true(hung.found);
    assert_int_equal(resolver.begun, NAMES + 1);
    wait_for(&resolver.over, NAMES + 1);
    leave(&p);
}

/* The loop ends at once; what the thread finds later is released, and nobody is told. */
static void the_end_waits_for_nobody(void **state)
{
    struct place p;
    struct asker a = {0};
    struct lookup *asked;
    struct lookup *answered;

    enter(&p);
    asked = lookup_start(p.net, "here", told, &a);
    answered = lookup_start(p.net, "answered", told, &a);
    wait_for(&resolver.begun, 2);
    let_answer("a");
    wait_for(&resolver.over, 1);
    leave(&p);
    let_answer("h");
    wait_for(&resolver.over, 2);
    lookup_cancel(asked);
    lookup_cancel(answered);
    assert_int_equal(a.told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_ask_one_answers),
        cmocka_unit_test(a_name_that_hangs_has_one_thread),
        cmocka_unit_test(the_end_waits_for_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
