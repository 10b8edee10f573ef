#include "http/head.h"

#include "base/err.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>

static int refuse(struct http_head *head, int code, const char *why)
{
    head->why = why;
    return code;
}

bool http_is_token_byte(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* Bytes up to the next one that is not an ordinary byte of a value. */
static size_t ordinary(const char *data, size_t len)
{
    size_t n = 0;

    while (n < len && http_is_value_byte((unsigned char)data[n]))
        n++;
    return n;
}

/* Looks at every byte once, however the head arrives: finds its end and refuses what no head may
 * hold. data[0..from) was seen before. 0 with *end, ERR_MORE, or a refusal. */
static int scan_bytes(const char *data, size_t len, size_t *from, size_t *end,
                      struct http_head *out)
{
    while (*from < len) {
        size_t i = *from;
        unsigned char c = (unsigned char)data[i];
        bool after_cr = i > 0 && data[i - 1] == '\r';
        bool plain = http_is_value_byte(c);

        if (after_cr != (c == '\n'))
            return refuse(out, ERR_SYNTAX, after_cr ? "CR without LF" : "LF without CR");
        if (c != '\r' && c != '\n' && !plain)
            return refuse(out, ERR_SYNTAX, "control byte in head");
        *from += plain ? ordinary(data + i, len - i) : 1;
        /* i > 2: an empty line that opens a request is not its end */
        if (c == '\n' && i > 2 && data[i - 2] == '\n') {
            *end = i + 1;
            return 0;
        }
    }
    return ERR_MORE;
}

/* Cuts the next line off *rest, which holds whole lines only. */
static struct http_slice take_line(struct http_slice *rest)
{
    const char *cr = memchr(rest->at, '\r', rest->len);
    struct http_slice line = {rest->at, (size_t)(cr - rest->at)};

    rest->at = cr + 2;
    rest->len -= line.len + 2;
    return line;
}

static int parse_version(struct http_slice text, struct http_head *out)
{
    if (text.len != 8 || memcmp(text.at, "HTTP/", 5) != 0 || text.at[6] != '.')
        return refuse(out, ERR_SYNTAX, "malformed version");
    if (text.at[5] < '0' || text.at[5] > '9' || text.at[7] < '0' || text.at[7] > '9')
        return refuse(out, ERR_SYNTAX, "malformed version");
    if (text.at[5] != '1' || text.at[7] > '1')
        return refuse(out, ERR_TYPE, "version is not HTTP/1.0 or HTTP/1.1");
    out->minor = (unsigned)(text.at[7] - '0');
    return 0;
}

/* Methods are case-sensitive and every registered one is capitals and dashes; "get" is somebody
 * probing how two parsers differ. */
static int check_method(struct http_head *out)
{
    struct http_slice method = out->method;

    if (method.len == 0 || method.len > HTTP_METHOD_MAX || method.at[0] == '-')
        return refuse(out, ERR_SYNTAX, "bad method");
    for (size_t i = 0; i < method.len; i++)
        if (method.at[i] != '-' && (method.at[i] < 'A' || method.at[i] > 'Z'))
            return refuse(out, ERR_SYNTAX, "bad method");
    if (http_slice_is(method, "CONNECT"))
        return refuse(out, ERR_TYPE, "CONNECT is not served");
    return 0;
}

static int check_target(struct http_head *out)
{
    struct http_slice target = out->target;

    if (target.len == 0)
        return refuse(out, ERR_SYNTAX, "empty target");
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.at[i];

        /* a fragment is the client's own business; parsers disagree about one that is sent */
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return refuse(out, ERR_SYNTAX, "bad byte in target");
    }
    if (target.at[0] == '/')
        return 0;
    if (http_slice_is(target, "*"))
        return http_slice_is(out->method, "OPTIONS")
                   ? 0
                   : refuse(out, ERR_SYNTAX, "target * is for OPTIONS");
    return refuse(out, ERR_TYPE, "target does not begin with /");
}

static int parse_request_line(struct http_slice line, struct http_head *out)
{
    const char *end = line.at + line.len;
    const char *first = memchr(line.at, ' ', line.len);
    const char *second = first ? memchr(first + 1, ' ', (size_t)(end - first - 1)) : NULL;
    int rc;

    if (second == NULL)
        return refuse(out, ERR_SYNTAX, "malformed request line");
    out->method = (struct http_slice){line.at, (size_t)(first - line.at)};
    out->target = (struct http_slice){first + 1, (size_t)(second - first - 1)};
    rc = parse_version((struct http_slice){second + 1, (size_t)(end - second - 1)}, out);
    if (rc == 0)
        rc = check_method(out);
    return rc ? rc : check_target(out);
}

/* "HTTP/1.1 200 OK". The blank after the status may be missing when the reason is: servers do that,
 * and nobody reads it in two ways. */
static int parse_status_line(struct http_slice line, struct http_head *out)
{
    uint64_t status;
    int rc;

    if (line.len < 12 || line.at[8] != ' ' || (line.len > 12 && line.at[12] != ' '))
        return refuse(out, ERR_SYNTAX, "malformed status line");
    rc = parse_version((struct http_slice){line.at, 8}, out);
    if (rc)
        return rc;
    if (!text_uint(line.at + 9, 3, 599, &status) || status < 100)
        return refuse(out, ERR_SYNTAX, "bad status");
    out->status = (unsigned)status;
    out->reason = (struct http_slice){line.at + line.len, 0};
    if (line.len > 13)
        out->reason = (struct http_slice){line.at + 13, line.len - 13};
    return 0;
}

static int parse_header(struct http_slice line, struct http_head *out)
{
    const char *colon = memchr(line.at, ':', line.len);
    struct http_header *slot;

    if (http_is_blank(line.at[0]))
        return refuse(out, ERR_SYNTAX, "folded field");
    if (colon == NULL || colon == line.at)
        return refuse(out, ERR_SYNTAX, colon ? "empty field name" : "field without colon");
    for (const char *p = line.at; p < colon; p++)
        if (!http_is_token_byte((unsigned char)*p))
            return refuse(out, ERR_SYNTAX,
                          http_is_blank(*p) ? "blank in field name" : "bad byte in field name");
    if (out->n_headers == out->max_headers)
        return refuse(out, ERR_LIMIT, "too many fields");
    slot = &out->headers[out->n_headers++];
    slot->name = (struct http_slice){line.at, (size_t)(colon - line.at)};
    slot->value =
        http_slice_trim((struct http_slice){colon + 1, (size_t)(line.at + line.len - colon - 1)});
    return 0;
}

/* A name or address and a port, as far as bytes tell. MLNode's framework pastes the Host in front
 * of the path and reads the outcome as a URL: "Host: a/v1/sleep?" would be another path than the
 * one that was judged here. */
static bool is_host(struct http_slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!letter && (c == '\0' || strchr("-._~%:[]", c) == NULL))
            return false;
    }
    return true;
}

static int check_host(struct http_head *out)
{
    const struct http_header *host = http_header_find(out, "host", 0);

    if (host == NULL)
        return out->minor == 0 ? 0 : refuse(out, ERR_SYNTAX, "no Host");
    if (!is_host(host->value))
        return refuse(out, ERR_SYNTAX, "bad Host");
    if (http_header_find(out, "host", (size_t)(host - out->headers) + 1) != NULL)
        return refuse(out, ERR_SYNTAX, "more than one Host");
    return 0;
}

static int parse_lines(struct http_slice rest, bool request, struct http_head *out)
{
    struct http_slice line = take_line(&rest);
    int rc = request ? parse_request_line(line, out) : parse_status_line(line, out);

    while (rc == 0) {
        line = take_line(&rest);
        if (line.len == 0)
            return request ? check_host(out) : 0;
        rc = parse_header(line, out);
    }
    return rc;
}

/* Whoever begins otherwise would be waited for until HTTP_HEAD_MAX bytes have come: a program that
 * speaks first and something else, or HTTP/0.9. */
static bool begins_answer(const char *data, size_t len)
{
    static const char begin[] = "HTTP/";
    size_t known = sizeof(begin) - 1;

    return memcmp(data, begin, len < known ? len : known) == 0;
}

static int parse(const char *data, size_t len, size_t *scan, bool request, struct http_head *out)
{
    struct http_header *slots = out->headers;
    size_t max = out->max_headers;
    size_t bounded = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
    size_t skip;
    size_t end;
    int rc;

    *out = (struct http_head){.headers = slots, .max_headers = max};
    if (!request && !begins_answer(data, len))
        return refuse(out, ERR_SYNTAX, "malformed status line");
    rc = scan_bytes(data, bounded, scan, &end, out);
    if (rc == ERR_MORE && bounded == HTTP_HEAD_MAX)
        return refuse(out, ERR_LIMIT, "head too long");
    if (rc)
        return rc;
    skip = request && data[0] == '\r' ? 2 : 0;
    rc = parse_lines((struct http_slice){data + skip, end - skip}, request, out);
    if (rc == 0)
        out->length = end;
    return rc;
}

int http_request_parse(const char *data, size_t len, size_t *scan, struct http_head *out)
{
    return parse(data, len, scan, true, out);
}

int http_response_parse(const char *data, size_t len, size_t *scan, struct http_head *out)
{
    return parse(data, len, scan, false, out);
}

const struct http_header *http_header_find(const struct http_head *head, const char *name,
                                           size_t from)
{
    for (size_t i = from; i < head->n_headers; i++)
        if (http_slice_is(head->headers[i].name, name))
            return &head->headers[i];
    return NULL;
}

static bool list_has(struct http_slice list, const char *token)
{
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.at) : list.len;
        size_t step = comma ? len + 1 : len;

        if (http_slice_is(http_slice_trim((struct http_slice){list.at, len}), token))
            return true;
        list.at += step;
        list.len -= step;
    }
    return false;
}

bool http_header_has_token(const struct http_head *head, const char *name, const char *token)
{
    const struct http_header *field = http_header_find(head, name, 0);

    while (field != NULL) {
        if (list_has(field->value, token))
            return true;
        field = http_header_find(head, name, (size_t)(field - head->headers) + 1);
    }
    return false;
}

/* The only field of that name; NULL with 0 when there is none. */
static int single(struct http_head *head, const char *name, const struct http_header **out)
{
    *out = http_header_find(head, name, 0);
    if (*out && http_header_find(head, name, (size_t)(*out - head->headers) + 1))
        return refuse(head, ERR_SYNTAX, "repeated framing field");
    return 0;
}

static int check_coding(struct http_head *head, const struct http_header *coding)
{
    if (head->minor == 0)
        return refuse(head, ERR_SYNTAX, "transfer coding in HTTP/1.0");
    if (!http_slice_is(coding->value, "chunked"))
        return refuse(head, ERR_SYNTAX, "transfer coding is not chunked");
    return 0;
}

static int parse_length(struct http_head *head, struct http_slice text, uint64_t *out)
{
    if (text.len > 1 && text.at[0] == '0')
        return refuse(head, ERR_SYNTAX, "padded Content-Length");
    if (!text_uint(text.at, text.len, HTTP_LENGTH_MAX, out))
        return refuse(head, ERR_SYNTAX, "bad Content-Length");
    return 0;
}

static bool has_no_body(const struct http_head *head, bool to_head)
{
    return head->status != 0 &&
           (to_head || head->status < 200 || head->status == 204 || head->status == 304);
}

static bool wants_keep_alive(const struct http_head *head)
{
    if (http_header_has_token(head, "connection", "close"))
        return false;
    return head->minor == 1 || http_header_has_token(head, "connection", "keep-alive");
}

int http_framing_decide(struct http_head *head, bool to_head, struct http_framing *out)
{
    const struct http_header *coding = NULL;
    const struct http_header *length = NULL;
    int rc = single(head, "transfer-encoding", &coding);

    *out = (struct http_framing){.kind = HTTP_BODY_NONE, .keep_alive = wants_keep_alive(head)};
    if (rc == 0)
        rc = single(head, "content-length", &length);
    if (rc == 0 && coding && length)
        rc = refuse(head, ERR_SYNTAX, "both Content-Length and Transfer-Encoding");
    if (rc == 0 && coding)
        rc = check_coding(head, coding);
    if (rc == 0 && length)
        rc = parse_length(head, length->value, &out->length);
    if (rc)
        return rc;

    if (has_no_body(head, to_head)) {
        out->length = 0;
    } else if (coding) {
        out->kind = HTTP_BODY_CHUNKED;
    } else if (length) {
        out->kind = HTTP_BODY_LENGTH;
    } else if (head->status != 0) {
        out->kind = HTTP_BODY_CLOSE;
        out->keep_alive = false;
    }
    return 0;
}
