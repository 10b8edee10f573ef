#include "observe/desk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "observe/door.h"

enum {
    /* Until a place is looked for again where none could be had: no descriptor was free. */
    REST_MS = 250,
};

struct asker {
    struct desk *desk; /* NULL: a free place */
    uv_pipe_t pipe;
    uv_timer_t patience;
    uv_write_t write;
    char *text;
    int handles; /* not closed yet */
};

struct desk {
    uv_loop_t *loop;
    uv_poll_t door;
    uv_timer_t rest;
    int fd;
    int spare; /* given up for somebody when no other descriptor is free; -1: it was */
    uid_t owner;
    char *(*text)(void *ctx);
    void *ctx;
    struct asker askers[DESK_ASKERS_MAX];
    bool closed;
};

static void came(uv_poll_t *door, int status, int events);

static void keep_spare(struct desk *d)
{
    if (d->spare < 0)
        d->spare = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
}

static void listen_again(struct desk *d)
{
    if (d->closed)
        return;
    keep_spare(d);
    uv_poll_start(&d->door, UV_READABLE, came);
}

static void handle_closed(uv_handle_t *handle)
{
    struct asker *a = handle->data;
    struct desk *d = a->desk;

    if (--a->handles > 0)
        return;
    mem_free(a->text);
    *a = (struct asker){0};
    listen_again(d);
}

static void send_away(struct asker *a)
{
    if (uv_is_closing((uv_handle_t *)&a->pipe))
        return;
    uv_close((uv_handle_t *)&a->pipe, handle_closed);
    uv_close((uv_handle_t *)&a->patience, handle_closed);
}

static void written(uv_write_t *write, int status)
{
    send_away(write->data);
}

static void too_slow(uv_timer_t *timer)
{
    send_away(timer->data);
}

static void answer(struct desk *d, struct asker *a, int fd)
{
    uv_buf_t buf;

    a->desk = d;
    a->handles = 2;
    uv_pipe_init(d->loop, &a->pipe, 0);
    uv_timer_init(d->loop, &a->patience);
    a->pipe.data = a->patience.data = a->write.data = a;
    if (uv_pipe_open(&a->pipe, fd) != 0) {
        close(fd);
        send_away(a);
        return;
    }
    a->text = d->text(d->ctx);
    buf = uv_buf_init(a->text, (unsigned)strlen(a->text));
    uv_timer_start(&a->patience, too_slow, DESK_PATIENCE_MS, 0);
    if (uv_write(&a->write, (uv_stream_t *)&a->pipe, &buf, 1, written) != 0)
        send_away(a);
}

static struct asker *free_place(struct desk *d)
{
    for (int i = 0; i < DESK_ASKERS_MAX; i++)
        if (d->askers[i].desk == NULL)
            return &d->askers[i];
    return NULL;
}

static void rested(uv_timer_t *timer)
{
    listen_again(timer->data);
}

/* Who cannot be taken in stays before the door, which would wake this loop again and again. */
static void take_a_rest(struct desk *d)
{
    uv_poll_stop(&d->door);
    uv_timer_start(&d->rest, rested, REST_MS, 0);
}

/* How it goes is asked most when all descriptors are taken: then there is one more. */
static int take_in(struct desk *d)
{
    int fd = door_accept(d->fd, d->owner);

    if (fd >= 0 || errno != EMFILE || d->spare < 0)
        return fd;
    close(d->spare);
    d->spare = -1;
    return door_accept(d->fd, d->owner);
}

/* One a turn: others on this loop do not wait for a crowd of askers. */
static void came(uv_poll_t *door, int status, int events)
{
    struct desk *d = door->data;
    struct asker *a = free_place(d);
    int fd;

    if (a == NULL) {
        uv_poll_stop(&d->door);
        return;
    }
    fd = take_in(d);
    if (fd >= 0)
        answer(d, a, fd);
    else if (errno != EAGAIN)
        take_a_rest(d);
}

struct desk *desk_new(uv_loop_t *loop, int fd, uid_t owner, char *(*text)(void *ctx), void *ctx)
{
    struct desk *d = mem_zalloc(sizeof(*d));

    d->loop = loop;
    d->fd = fd;
    d->spare = -1;
    d->owner = owner;
    d->text = text;
    d->ctx = ctx;
    uv_poll_init(loop, &d->door, fd);
    uv_timer_init(loop, &d->rest);
    d->door.data = d->rest.data = d;
    listen_again(d);
    return d;
}

void desk_close(struct desk *d)
{
    if (d == NULL || d->closed)
        return;
    d->closed = true;
    if (d->spare >= 0)
        close(d->spare);
    uv_close((uv_handle_t *)&d->door, NULL);
    uv_close((uv_handle_t *)&d->rest, NULL);
    for (int i = 0; i < DESK_ASKERS_MAX; i++)
        if (d->askers[i].desk != NULL)
            send_away(&d->askers[i]);
}

void desk_free(struct desk *d)
{
    mem_free(d);
}
