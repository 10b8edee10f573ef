/* Many streams of events at the same time. They begin one after the other on a schedule that waits
 * for nobody; each event tells when it was written. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "load.h"
#include "load_http.h"
#include "token.h"
#include "tool.h"

enum {
    MAX_STREAMS = 15000,
    MAX_EVENTS = 20 * 1000 * 1000,
    GRACE_S = 5,           /* beyond the planned duration, for events that are late */
    HOLD_LIMIT_S = 20,     /* for all silent streams to be open */
    HOLD_RAMP_NS = 500000, /* between two of them */
    LOOK_NS = 100 * 1000 * 1000,
};

struct reader {
    int fd; /* -1 before and after */
    bool asked;
    uint64_t begin_ns; /* on the schedule */
    uint32_t next;     /* the number of the event that must come */
    uint32_t got;      /* of the event under way */
    char head[TOKEN_HEAD];
    struct message answer;
};

struct hall {
    int set;
    uint16_t port;
    struct reader *readers;
    uint32_t streams;
    uint32_t begun;
    uint32_t open;
    uint32_t opened; /* streams whose first event came */
    uint32_t failed;
    uint32_t events; /* of each stream */
    uint32_t size;
    bool hold;         /* a stream is good once some of its event is there, and stays open */
    uint64_t disorder; /* events that were not the next of their stream */
    uint64_t glued;    /* events that came in one read with the one before */
    uint64_t expected;
    char why[80]; /* what the first failed stream died of */
    char request[HTTP_REQUEST_HEAD + HTTP_PROMPT];
    size_t request_len;
    uint8_t *buffer;
    uint64_t steady_ns; /* since when all streams that will ever be open are open */
    struct samples transit;
    struct samples steady; /* of those that were due since then */
    struct samples first;
    struct samples begin_late;  /* of the generator: connections begun behind the schedule */
    struct samples source_late; /* of the engine: events written behind the schedule */
    struct samples turn; /* of the generator: how long what came together waited for its turn */
};

static void fail(struct hall *h, struct reader *r, const char *why)
{
    if (h->failed++ == 0)
        snprintf(h->why, sizeof(h->why), "%s (status %d)", why, r->answer.status);
    if (r->fd >= 0) {
        close(r->fd);
        r->fd = -1;
        h->open--;
    }
}

static void heard(struct hall *h, struct reader *r, uint64_t now, bool behind_another)
{
    struct token t;

    if (!token_read(&t, r->head)) {
        fail(h, r, "altered event");
        return;
    }
    h->disorder += t.number != r->next;
    r->next = t.number + 1;
    if (t.number == 0) {
        h->opened++;
        samples_add(&h->first, now - r->begin_ns);
    }
    h->glued += behind_another && !t.together;
    samples_add(&h->transit, now - t.sent_ns);
    samples_add(&h->source_late, t.sent_ns - t.due_ns);
    if (h->steady_ns == 0 && h->opened + h->failed == h->streams)
        h->steady_ns = now;
    if (h->steady_ns != 0 && t.due_ns >= h->steady_ns)
        samples_add(&h->steady, now - t.sent_ns);
}

/* An event counts as arrived when its last byte is there; `*whole` counts those of one read. */
static void split(struct hall *h, struct reader *r, const struct piece *p, uint64_t now,
                  uint32_t *whole)
{
    const uint8_t *data = p->data;
    size_t len = p->len;

    while (len > 0 && r->fd >= 0) {
        size_t n = h->size - r->got < len ? h->size - r->got : len;

        if (r->got < TOKEN_HEAD) {
            size_t head = TOKEN_HEAD - r->got;

            memcpy(r->head + r->got, data, n < head ? n : head);
        }
        r->got += (uint32_t)n;
        data += n;
        len -= n;
        if (r->got == h->size) {
            r->got = 0;
            heard(h, r, now, (*whole)++ > 0);
        }
    }
}

static void heard_some(struct hall *h, struct reader *r)
{
    h->opened += r->next == 0;
    r->next = 1;
}

static void finish(struct hall *h, struct reader *r)
{
    message_end(&r->answer);
    if (r->answer.status != 200 || r->answer.state != MESSAGE_DONE || r->next != h->events) {
        fail(h, r, r->answer.status == 0 ? "no answer" : "ended early");
        return;
    }
    close(r->fd);
    r->fd = -1;
    h->open--;
}

static void hear(struct hall *h, struct reader *r)
{
    ssize_t n = recv(r->fd, h->buffer, HTTP_READ_SIZE, 0);
    uint64_t now = tool_now_ns();
    struct piece piece;
    uint32_t whole = 0;
    size_t used = 0;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        fail(h, r, r->answer.status == 0 ? "reset without an answer" : "reset");
        return;
    }
    while (used < (size_t)n && r->fd >= 0 && r->answer.state < MESSAGE_DONE) {
        used += message_take(&r->answer, h->buffer + used, (size_t)n - used, &piece);
        if (r->answer.status == 200 && !h->hold)
            split(h, r, &piece, now, &whole);
        else if (r->answer.status == 200 && piece.len > 0)
            heard_some(h, r);
    }
    if (r->fd >= 0 && (n == 0 || r->answer.state >= MESSAGE_DONE))
        finish(h, r);
}

static void begin(struct hall *h)
{
    struct reader *r = &h->readers[h->begun++];
    uint64_t now = tool_now_ns();

    samples_add(&h->begin_late, now - r->begin_ns);
    message_begin(&r->answer, MESSAGE_ANSWER);
    h->open++;
    r->fd = tool_connect_start(h->port);
    if (r->fd >= 0) {
        tool_poll_set(h->set, r->fd, EPOLLOUT, r);
        return;
    }
    h->open--;
    fail(h, r, "connect");
}

static void ready(struct hall *h, struct reader *r)
{
    if (r->fd < 0)
        return;
    if (r->asked) {
        hear(h, r);
        return;
    }
    r->asked = true;
    if (send(r->fd, h->request, h->request_len, 0) != (ssize_t)h->request_len)
        fail(h, r, "connect");
    else
        tool_poll_set(h->set, r->fd, EPOLLIN, r);
}

/* Begins what is due; returns how long to sleep. */
static int64_t run_due(struct hall *h)
{
    uint64_t now = tool_now_ns();

    while (h->begun < h->streams) {
        if (h->readers[h->begun].begin_ns > now)
            return (int64_t)(h->readers[h->begun].begin_ns - now);
        begin(h);
    }
    return LOOK_NS;
}

static bool over(const struct hall *h)
{
    if (h->begun < h->streams)
        return false;
    return h->hold ? h->opened + h->failed >= h->streams : h->open == 0;
}

static void run(struct hall *h, uint64_t limit_ns)
{
    struct epoll_event events[256];

    while (!over(h) && tool_now_ns() < limit_ns) {
        int n = tool_poll_wait(h->set, events, 256, run_due(h));
        uint64_t woken = tool_now_ns();

        for (int i = 0; i < n; i++)
            ready(h, events[i].data.ptr);
        if (n > 0)
            samples_add(&h->turn, tool_now_ns() - woken);
    }
}

static void prepare(struct hall *h, uint16_t port, uint32_t streams, const char *query,
                    uint64_t ramp_ns)
{
    uint64_t now = tool_now_ns();

    h->set = tool_poll_new();
    h->port = port;
    h->streams = streams;
    h->request_len = http_prompt(h->request, query);
    h->readers = mem_zalloc(streams * sizeof(*h->readers));
    h->buffer = mem_alloc(HTTP_READ_SIZE);
    h->expected = (uint64_t)streams * h->events;
    for (uint32_t i = 0; i < streams; i++) {
        h->readers[i].fd = -1;
        h->readers[i].begin_ns = now + i * ramp_ns;
    }
    samples_init(&h->transit, h->expected);
    samples_init(&h->steady, h->expected);
    samples_init(&h->source_late, h->expected);
    samples_init(&h->turn, h->expected);
    samples_init(&h->first, streams);
    samples_init(&h->begin_late, streams);
}

static void clear(struct hall *h)
{
    for (uint32_t i = 0; i < h->streams; i++)
        if (h->readers[i].fd >= 0)
            close(h->readers[i].fd);
    samples_clear(&h->transit);
    samples_clear(&h->steady);
    samples_clear(&h->source_late);
    samples_clear(&h->turn);
    samples_clear(&h->first);
    samples_clear(&h->begin_late);
    mem_free(h->buffer);
    mem_free(h->readers);
    close(h->set);
}

static double own_cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(struct hall *h, double seconds)
{
    size_t got = h->transit.count;

    printf("{\"expected\": %llu, \"missing\": %llu, \"disorder\": %llu, \"failed_streams\": %u, "
           "\"why\": \"%s\", \"glued_share\": %.6f, \"seconds\": %.3f, \"own_cpu_share\": %.3f, ",
           (unsigned long long)h->expected, (unsigned long long)(h->expected - got),
           (unsigned long long)h->disorder, h->failed + h->open,
           h->failed ? h->why
           : h->open ? "still open at the end"
                     : "",
           got ? (double)h->glued / (double)got : 0.0, seconds, own_cpu_seconds() / seconds);
    samples_print_as(&h->first, "first_");
    printf(", ");
    samples_print_as(&h->begin_late, "begin_late_");
    printf(", ");
    samples_print_as(&h->source_late, "source_late_");
    printf(", ");
    samples_print_as(&h->turn, "turn_");
    printf(", \"steady\": %zu, ", h->steady.count);
    samples_print_as(&h->steady, "steady_");
    printf(", ");
    samples_print(&h->transit);
    puts("}");
}

void load_http_streams(const struct load_args *a)
{
    struct hall h = {.events = (uint32_t)a->n[1], .size = (uint32_t)a->n[3]};
    uint64_t planned_ns = (a->n[1] * a->n[2] + a->n[0] * a->n[4]) * 1000;
    uint64_t begun = tool_now_ns();
    char query[80];

    if (a->n[0] == 0 || a->n[0] > MAX_STREAMS || a->n[1] == 0 || a->n[1] > MAX_EVENTS / a->n[0] ||
        a->n[3] < TOKEN_MIN || a->n[3] > TOKEN_MAX)
        tool_die("streams, size or events");
    snprintf(query, sizeof(query), "e=%u&i=%llu&s=%u", h.events, (unsigned long long)a->n[2],
             h.size);
    prepare(&h, a->port, (uint32_t)a->n[0], query, a->n[4] * 1000);
    run(&h, begun + planned_ns + GRACE_S * (uint64_t)TOOL_SECOND_NS);
    report(&h, (double)(tool_now_ns() - begun) / TOOL_SECOND_NS);
    clear(&h);
}

void load_http_hold(const struct load_args *a)
{
    struct hall h = {.events = 1, .size = (uint32_t)a->n[1], .hold = true};
    char query[80];
    char line[160];

    if (a->n[0] == 0 || a->n[0] > MAX_STREAMS || a->n[1] < TOKEN_MIN || a->n[1] > TOKEN_MAX)
        tool_die("streams or size");
    snprintf(query, sizeof(query), "e=1&h=1&s=%u", h.size);
    prepare(&h, a->port, (uint32_t)a->n[0], query, HOLD_RAMP_NS);
    run(&h, tool_now_ns() + HOLD_LIMIT_S * (uint64_t)TOOL_SECOND_NS);
    snprintf(line, sizeof(line), "{\"open\": %u, \"failed\": %u, \"why\": \"%s\"}", h.opened,
             h.streams - h.opened, h.failed ? h.why : "no event");
    load_hold(line);
    clear(&h);
}
