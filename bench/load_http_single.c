/* Streams one after the other: how soon the first event is there, how soon the engine sees that the
 * reader has left. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "load.h"
#include "load_http.h"
#include "tool.h"

enum {
    MAX_COUNT = 100000,
    PATIENCE_S = 5,
    PAUSE_US =
        3000, /* between two, so that the end of one does not meet the beginning of the next */
};

/* Sends the request and waits for the first bytes of the body. The open connection, or negative. */
static int first_event(uint16_t port, const char *query, uint8_t *buffer)
{
    char request[HTTP_REQUEST_HEAD + HTTP_PROMPT];
    size_t len = http_prompt(request, query);
    int fd = http_send(port, request, len, PATIENCE_S);
    struct message m;
    int n = 0;

    message_begin(&m, MESSAGE_ANSWER);
    while (fd >= 0 && n == 0)
        n = http_read(fd, &m, buffer);
    if (fd >= 0 && (n < 0 || m.status != 200)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void print(const struct load_args *a, struct samples *took, uint64_t failed)
{
    printf("{\"wanted\": %llu, \"count\": %zu, \"failed\": %llu, ", (unsigned long long)a->n[0],
           took->count, (unsigned long long)failed);
    samples_print(took);
    puts("}");
    samples_clear(took);
}

void load_http_first(const struct load_args *a)
{
    uint8_t *buffer = mem_alloc(HTTP_READ_SIZE);
    uint64_t limit = tool_now_ns() + a->n[1] * 1000 * 1000;
    uint64_t failed = 0;
    struct samples took;

    samples_init(&took, a->n[0] < MAX_COUNT ? (size_t)a->n[0] : MAX_COUNT);
    for (uint64_t i = 0; i < a->n[0] && tool_now_ns() < limit; i++) {
        uint64_t begun = tool_now_ns();
        int fd = first_event(a->port, "e=1000&i=25000", buffer);

        if (fd < 0) {
            failed++;
            continue;
        }
        samples_add(&took, tool_now_ns() - begun);
        close(fd);
        usleep(PAUSE_US);
    }
    print(a, &took, failed);
    mem_free(buffer);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* The engine tells of each stream whose connection ended: its number and when. */
static FILE *open_watch(uint16_t engine)
{
    char request[HTTP_REQUEST_HEAD];
    size_t len = http_head(request, false, "/bench/watch", 0);
    int fd = http_send(engine, request, len, PATIENCE_S);
    FILE *lines = fd < 0 ? NULL : fdopen(fd, "r");
    char line[256] = "";

    if (lines == NULL)
        tool_die("no engine to watch");
    while (line[0] != '\r')
        if (fgets(line, sizeof(line), lines) == NULL)
            tool_die("no engine to watch");
    return lines;
}

/* When the engine saw that stream `number` was left; 0 when it did not. */
static uint64_t seen_at(FILE *lines, uint64_t number)
{
    char line[256];
    char *end;

    clearerr(lines);
    while (fgets(line, sizeof(line), lines) != NULL)
        if (strtoull(line, &end, 10) == number)
            return strtoull(end, NULL, 10);
    return 0;
}

void load_http_leave(const struct load_args *a)
{
    uint8_t *buffer = mem_alloc(HTTP_READ_SIZE);
    uint64_t limit = tool_now_ns() + a->n[1] * 1000 * 1000;
    FILE *lines = open_watch((uint16_t)a->n[2]);
    uint64_t failed = 0;
    struct samples took;

    samples_init(&took, a->n[0] < MAX_COUNT ? (size_t)a->n[0] : MAX_COUNT);
    for (uint64_t i = 0; i < a->n[0] && tool_now_ns() < limit; i++) {
        char query[64];
        uint64_t left;
        uint64_t seen;
        int fd;

        snprintf(query, sizeof(query), "e=10000&i=20000&n=%llu", (unsigned long long)i);
        fd = first_event(a->port, query, buffer);
        usleep(PAUSE_US);
        left = tool_now_ns();
        if (fd >= 0)
            close(fd);
        seen = fd < 0 ? 0 : seen_at(lines, i);
        if (seen == 0)
            failed++;
        else
            samples_add(&took, seen > left ? seen - left : 0);
    }
    print(a, &took, failed);
    fclose(lines);
    mem_free(buffer);
}
