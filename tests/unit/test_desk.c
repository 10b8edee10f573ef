/* Who answers at a door: everybody gets all of the text, the slow ones keep nobody waiting. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "observe/desk.h"
#include "observe/door.h"

enum {
    ENOUGH = 60, /* seconds: only against hanging */
    PATIENCE_MS = 20000,
    LARGE = 4 * 1024 * 1024, /* more than any socket holds */
    FILES = 256,             /* the limit where all descriptors are taken */
};

struct world {
    uv_loop_t loop;
    struct door door;
    struct desk *desk;
    char name[64];
    size_t size; /* of the text */
    unsigned asked;
    uv_async_t done;
};

static char *text(void *ctx)
{
    struct world *w = ctx;
    char *out = mem_zalloc(w->size + 1);

    memset(out, 'x', w->size);
    w->asked++;
    return out;
}

static void over(uv_async_t *done)
{
    struct world *w = done->data;

    desk_close(w->desk);
    uv_close((uv_handle_t *)done, NULL);
}

static int world_new(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    alarm(ENOUGH);
    snprintf(w->name, sizeof(w->name), "@desk-%d", (int)getpid());
    signal(SIGPIPE, SIG_IGN); /* as the verbs do */
    uv_loop_init(&w->loop);
    uv_async_init(&w->loop, &w->done, over);
    w->done.data = w;
    assert_int_equal(door_open(&w->door, w->name), 0);
    w->desk = desk_new(&w->loop, w->door.fd, w->door.owner, text, w);
    *state = w;
    return 0;
}

static int world_free(void **state)
{
    struct world *w = *state;

    alarm(0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    desk_free(w->desk);
    door_close(&w->door);
    mem_free(w);
    return 0;
}

/* The asker's side runs in a thread of its own, the desk in this one, until the asker is done. */
static void play(struct world *w, void *(*asker)(void *))
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, asker, w), 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
}

static ssize_t hear(int fd, size_t max)
{
    char *said;
    ssize_t n = door_hear(fd, max, PATIENCE_MS, &said);

    mem_free(said);
    close(fd);
    return n;
}

static void *ask_often(void *ctx)
{
    struct world *w = ctx;

    for (int i = 0; i < 3 * DESK_ASKERS_MAX; i++)
        if (hear(door_knock(w->name, PATIENCE_MS), LARGE) != (ssize_t)w->size)
            abort();
    uv_async_send(&w->done);
    return NULL;
}

static void one_after_the_other(void **state)
{
    struct world *w = *state;

    w->size = 1000;
    play(w, ask_often);
    assert_int_equal(w->asked, 3 * DESK_ASKERS_MAX);
}

/* All places but one are taken by those who read nothing. */
static void *beside_the_slow(void *ctx)
{
    struct world *w = ctx;
    int slow[DESK_ASKERS_MAX - 1];

    for (int i = 0; i < DESK_ASKERS_MAX - 1; i++)
        slow[i] = door_knock(w->name, PATIENCE_MS);
    for (int i = 0; i < 3; i++)
        if (hear(door_knock(w->name, PATIENCE_MS), LARGE) != LARGE)
            abort();
    for (int i = 0; i < DESK_ASKERS_MAX - 1; i++)
        close(slow[i]);
    uv_async_send(&w->done);
    return NULL;
}

static void the_slow_keep_nobody_waiting(void **state)
{
    struct world *w = *state;

    w->size = LARGE;
    play(w, beside_the_slow);
}

/* Every place is taken; who comes then is answered when the patience with them is over. */
static void *behind_the_slow(void *ctx)
{
    struct world *w = ctx;
    int slow[DESK_ASKERS_MAX];

    for (int i = 0; i < DESK_ASKERS_MAX; i++)
        slow[i] = door_knock(w->name, PATIENCE_MS);
    if (hear(door_knock(w->name, PATIENCE_MS), LARGE) != LARGE)
        abort();
    if (hear(slow[0], LARGE) == LARGE)
        abort(); /* it was the first one to be sent away, in the middle */
    for (int i = 1; i < DESK_ASKERS_MAX; i++)
        close(slow[i]);
    uv_async_send(&w->done);
    return NULL;
}

static void patience_has_an_end(void **state)
{
    struct world *w = *state;

    w->size = LARGE;
    play(w, behind_the_slow);
}

static void *leave_at_once(void *ctx)
{
    struct world *w = ctx;

    for (int i = 0; i < 100; i++)
        close(door_knock(w->name, PATIENCE_MS));
    if (hear(door_knock(w->name, PATIENCE_MS), LARGE) != LARGE)
        abort();
    uv_async_send(&w->done);
    return NULL;
}

static void who_leaves_is_forgotten(void **state)
{
    struct world *w = *state;

    w->size = LARGE;
    play(w, leave_at_once);
}

/* The end comes while somebody is being answered. */
static void *in_the_middle(void *ctx)
{
    struct world *w = ctx;
    int fd = door_knock(w->name, PATIENCE_MS);
    char byte;

    if (read(fd, &byte, 1) != 1)
        abort();
    uv_async_send(&w->done);
    hear(fd, LARGE);
    return NULL;
}

static void all_are_sent_away_at_the_end(void **state)
{
    struct world *w = *state;

    w->size = LARGE;
    play(w, in_the_middle);
}

static bool is_woken(const struct world *w)
{
    struct pollfd loop = {.fd = uv_backend_fd(&w->loop), .events = POLLIN};

    return poll(&loop, 1, 0) > 0;
}

struct fillers {
    struct rlimit before;
    int fds[FILES];
    int n;
};

static void take_all_descriptors(struct fillers *f)
{
    struct rlimit now;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &f->before), 0);
    now = f->before;
    now.rlim_cur = FILES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    for (f->n = 0; f->n < FILES; f->n++)
        if ((f->fds[f->n] = dup(STDERR_FILENO)) < 0)
            break;
}

static void give_all_back(const struct fillers *f)
{
    for (int i = 0; i < f->n; i++)
        close(f->fds[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &f->before), 0);
}

static void turn(struct world *w)
{
    for (int i = 0; i < 5; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* One asker is answered, and when he keeps his place the next one waits, without the loop being
 * woken for him again and again. */
static void no_descriptor_is_free(void **state)
{
    struct world *w = *state;
    struct fillers fillers;
    int slow, asker;

    w->size = LARGE;
    slow = door_knock(w->name, PATIENCE_MS);
    asker = door_knock(w->name, PATIENCE_MS);
    take_all_descriptors(&fillers);
    turn(w);
    assert_int_equal(w->asked, 1);
    assert_false(is_woken(w));
    give_all_back(&fillers);
    while (w->asked < 2)
        uv_run(&w->loop, UV_RUN_ONCE);
    close(slow);
    close(asker);
    uv_async_send(&w->done);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* The descriptor that was kept is kept again afterwards. */
static void one_is_kept_each_time(void **state)
{
    struct world *w = *state;
    struct fillers fillers;
    int askers[3];

    w->size = 1000;
    for (int i = 0; i < 3; i++)
        askers[i] = door_knock(w->name, PATIENCE_MS);
    take_all_descriptors(&fillers);
    while (w->asked < 3)
        uv_run(&w->loop, UV_RUN_ONCE);
    turn(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hear(askers[i], LARGE), w->size);
    give_all_back(&fillers);
    uv_async_send(&w->done);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_after_the_other, world_new, world_free),
        cmocka_unit_test_setup_teardown(the_slow_keep_nobody_waiting, world_new, world_free),
        cmocka_unit_test_setup_teardown(patience_has_an_end, world_new, world_free),
        cmocka_unit_test_setup_teardown(who_leaves_is_forgotten, world_new, world_free),
        cmocka_unit_test_setup_teardown(all_are_sent_away_at_the_end, world_new, world_free),
        cmocka_unit_test_setup_teardown(no_descriptor_is_free, world_new, world_free),
        cmocka_unit_test_setup_teardown(one_is_kept_each_time, world_new, world_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
