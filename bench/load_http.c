#include "load_http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"
#include "tool.h"

size_t http_head(char *out, bool post, const char *target, uint64_t body)
{
    char length[96] = "";

    if (post)
        snprintf(length, sizeof(length),
                 "Content-Type: application/json\r\nContent-Length: %llu\r\n",
                 (unsigned long long)body);
    return (size_t)snprintf(out, HTTP_REQUEST_HEAD,
                            "%s %s HTTP/1.1\r\nHost: bench.example:5050\r\nUser-Agent: "
                            "Go-http-client/1.1\r\n%sAccept-Encoding: gzip\r\n\r\n",
                            post ? "POST" : "GET", target, length);
}

size_t http_prompt(char *out, const char *query)
{
    char target[128];
    size_t len;

    snprintf(target, sizeof(target), "/v1/chat/completions?%s", query);
    len = http_head(out, true, target, HTTP_PROMPT);
    memset(out + len, 'p', HTTP_PROMPT);
    return len + HTTP_PROMPT;
}

int http_send(uint16_t port, const char *request, size_t len, int patience_s)
{
    const struct timeval patience = {.tv_sec = patience_s};
    int fd = tool_connect(port);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (send(fd, request, len, 0) == (ssize_t)len)
        return fd;
    close(fd);
    return -1;
}

int http_read(int fd, struct message *m, uint8_t *buffer)
{
    ssize_t n = recv(fd, buffer, HTTP_READ_SIZE, 0);
    struct piece piece;
    size_t used = 0;
    int body = 0;

    if (n == 0) {
        message_end(m);
        errno = ECONNRESET;
    }
    if (n <= 0)
        return -1;
    while (used < (size_t)n && m->state < MESSAGE_DONE) {
        used += message_take(m, buffer + used, (size_t)n - used, &piece);
        body += (int)piece.len;
    }
    return m->state == MESSAGE_BROKEN ? -1 : body;
}

void http_read_all(int fd, uint64_t *body_bytes)
{
    uint8_t *buffer = mem_alloc(HTTP_READ_SIZE);
    struct message m;

    *body_bytes = 0;
    message_begin(&m, MESSAGE_ANSWER);
    while (m.state < MESSAGE_DONE) {
        int n = http_read(fd, &m, buffer);

        if (n < 0)
            break;
        *body_bytes += (uint64_t)n;
    }
    mem_free(buffer);
    errno = 0;
    if (m.state == MESSAGE_DONE && m.status == 200)
        return;
    if (m.status != 0 && m.status != 200)
        fprintf(stderr, "status %d, ", m.status);
    tool_die("the answer is not whole");
}
