/* Reads heads from stdin, each behind its length in decimal and a newline, and tells of each in one
 * line of JSON what http_request_parse and http_framing_decide make of it. Bytes are hexadecimal.
 * For tests that compare the verdicts with another parser's. */
#include <stdio.h>

#include "base/err.h"
#include "http/head.h"

enum { INPUT_MAX = 2 * HTTP_HEAD_MAX };

static void print_slice(struct http_slice slice)
{
    putchar('"');
    for (size_t i = 0; i < slice.len; i++)
        printf("%02x", (unsigned char)slice.at[i]);
    putchar('"');
}

static void print_refusal(int rc, const struct http_head *head)
{
    printf("{\"refused\": \"%s\", \"why\": \"%s\"}\n", err_name(rc), head->why ? head->why : "");
}

static void print_accepted(const struct http_head *head, const struct http_framing *framing)
{
    static const char *const kinds[] = {"none", "length", "chunked", "close"};

    printf("{\"method\": ");
    print_slice(head->method);
    printf(", \"target\": ");
    print_slice(head->target);
    printf(", \"minor\": %u, \"length\": %zu, \"fields\": [", head->minor, head->length);
    for (size_t i = 0; i < head->n_headers; i++) {
        printf("%s[", i ? ", " : "");
        print_slice(head->headers[i].name);
        printf(", ");
        print_slice(head->headers[i].value);
        printf("]");
    }
    printf("], \"body\": \"%s\", \"body_length\": %llu, \"keep_alive\": %s}\n",
           kinds[framing->kind], (unsigned long long)framing->length,
           framing->keep_alive ? "true" : "false");
}

static void judge(const char *data, size_t len)
{
    struct http_header slots[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = slots, .max_headers = HTTP_HEADERS_MAX};
    struct http_framing framing;
    size_t scan = 0;
    int rc = http_request_parse(data, len, &scan, &head);

    if (rc == 0)
        rc = http_framing_decide(&head, false, &framing);
    if (rc == 0)
        print_accepted(&head, &framing);
    else
        print_refusal(rc, &head);
}

int main(void)
{
    static char data[INPUT_MAX];
    size_t len;

    while (scanf("%zu", &len) == 1) {
        if (len > sizeof(data) || getchar() != '\n' || fread(data, 1, len, stdin) != len)
            return 1;
        judge(data, len);
    }
    return 0;
}
