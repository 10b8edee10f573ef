#include <stdarg.h>
#include <string.h>

#include "cli/demo_internal.h"

enum { DOUBT_MS = 300 };

void demo_fail(struct demo *d, enum demo_child concerns, const char *format, ...)
{
    va_list args;

    if (d->why[0] != '\0')
        return;
    d->concerns = concerns;
    va_start(args, format);
    vsnprintf(d->why, sizeof(d->why), format, args);
    va_end(args);
}

static void settle(uv_timer_t *timer)
{
    struct demo *d = timer->data;

    demo_fail(d, d->concerns, "%s", d->doubtful);
}

void demo_doubt(struct demo *d, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(d->doubtful, sizeof(d->doubtful), format, args);
    va_end(args);
    uv_timer_start(&d->doubt, settle, DOUBT_MS, 0);
}

bool demo_going_on(const struct demo *d)
{
    return d->why[0] == '\0' && !d->interrupted;
}

void demo_begin(struct demo *d, const char *step, enum demo_child concerns)
{
    d->step = step;
    d->concerns = concerns;
    d->reached = false;
}

bool demo_wait(struct demo *d)
{
    while (!d->reached && demo_going_on(d))
        uv_run(&d->loop, UV_RUN_ONCE);
    return demo_going_on(d);
}

void demo_flush(struct demo *d)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        demo_fail(d, CHILDREN, "standard output cannot be written");
}

void demo_say(struct demo *d, const char *text)
{
    if (d->json)
        return;
    fputs(text, stdout);
    demo_flush(d);
}

void demo_explain(const struct demo *d)
{
    if (d->why[0] == '\0') {
        fprintf(stderr, "mlgate demo: interrupted while %s\n", d->step);
        return;
    }
    fprintf(stderr, "mlgate demo: failed while %s: %s\n", d->step, d->why);
    if (d->concerns != CHILDREN)
        stage_print_lines(d->stage, d->concerns, stderr);
}
