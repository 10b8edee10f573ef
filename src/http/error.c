#include "http/edit.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the answer's parts once they are escaped; with the fields around them they fit into
 * HTTP_ERROR_MAX. */
enum { WORD_MAX = 64, MESSAGE_MAX = 800, BODY_MAX = 2 * WORD_MAX + MESSAGE_MAX + 96 };

const char *http_status_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } known[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].phrase;
    return "";
}

/* JSON's escapes for what is not plain ASCII, a byte above it as the Latin-1 letter: the answer is
 * valid JSON whatever a peer put into the text. Cuts between escapes. */
static void escape(const char *text, char *out, size_t max)
{
    size_t n = 0;

    out[0] = '\0';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char piece[8] = {(char)c, '\0'};
        size_t len;

        if (c == '"' || c == '\\')
            snprintf(piece, sizeof(piece), "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            snprintf(piece, sizeof(piece), "\\u%04x", c);
        len = strlen(piece);
        if (n + len > max)
            return;
        memcpy(out + n, piece, len + 1);
        n += len;
    }
}

static size_t render_body(const struct http_error *e, char out[BODY_MAX])
{
    char message[MESSAGE_MAX + 1];
    char type[WORD_MAX + 1];
    char code[WORD_MAX + 1];

    escape(e->message, message, MESSAGE_MAX);
    escape(e->type, type, WORD_MAX);
    escape(e->code, code, WORD_MAX);
    return (size_t)snprintf(
        out, BODY_MAX,
        "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}\n",
        message, type, code);
}

size_t http_error_render(const struct http_error *e, bool keep_alive, unsigned minor, bool to_head,
                         char out[HTTP_ERROR_MAX])
{
    char body[BODY_MAX];
    char retry[48] = "";
    size_t body_len = render_body(e, body);
    const char *connection = "";

    if (!keep_alive)
        connection = "Connection: close\r\n";
    else if (minor == 0)
        connection = "Connection: keep-alive\r\n";
    if (e->retry_after_s > 0)
        snprintf(retry, sizeof(retry), "Retry-After: %u\r\n", e->retry_after_s);
    return (size_t)snprintf(out, HTTP_ERROR_MAX,
                            "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
                            "Content-Length: %zu\r\n%s%s\r\n%s",
                            e->status, http_status_phrase(e->status), body_len, retry, connection,
                            to_head ? "" : body);
}
