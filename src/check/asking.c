#include "check/asking.h"

enum {
    REDRAW_MS = 250,
    LAST_WORDS_MS = 300, /* what was said on a connection leaves, its end is answered */
};

static void stop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void draw(uv_timer_t *timer)
{
    struct asking *a = timer->data;
    uint64_t now_ms = uv_now(&a->loop);

    fprintf(a->terminal, "\r\033[K%u of %u answers, %u s", a->answered, a->asked,
            (unsigned)((now_ms - a->since_ms) / 1000));
    fflush(a->terminal);
}

void asking_open(struct asking *a, FILE *terminal)
{
    *a = (struct asking){.terminal = terminal};
    uv_loop_init(&a->loop);
    a->net = net_new(&a->loop, NULL, 0);
    uv_timer_init(&a->loop, &a->deadline);
    uv_timer_init(&a->loop, &a->redraw);
    a->redraw.data = a;
    a->since_ms = uv_now(&a->loop);
}

void asking_add(struct asking *a)
{
    a->asked++;
}

void asking_answered(void *ctx)
{
    struct asking *a = ctx;

    if (++a->answered == a->asked)
        uv_stop(&a->loop);
}

void asking_wait(struct asking *a)
{
    if (a->answered == a->asked)
        return;
    uv_timer_start(&a->deadline, stop, CHECK_DEADLINE_MS, 0);
    if (a->terminal != NULL)
        uv_timer_start(&a->redraw, draw, 0, REDRAW_MS);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&a->redraw);
    if (a->terminal != NULL) {
        fputs("\r\033[K", a->terminal);
        fflush(a->terminal);
    }
}

static void run_for_a_moment(struct asking *a)
{
    uv_timer_start(&a->deadline, stop, LAST_WORDS_MS, 0);
    uv_unref((uv_handle_t *)&a->deadline);
    uv_run(&a->loop, UV_RUN_DEFAULT);
}

void asking_close(struct asking *a)
{
    uv_close((uv_handle_t *)&a->redraw, NULL);
    run_for_a_moment(a);
    net_stop(a->net);
    run_for_a_moment(a);
    uv_close((uv_handle_t *)&a->deadline, NULL);
    uv_run(&a->loop, UV_RUN_NOWAIT);
    net_free(a->net);
    uv_loop_close(&a->loop);
}
