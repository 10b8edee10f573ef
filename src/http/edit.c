#include "http/edit.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- writing --------------------------------------------------------------------------------- */

struct writer {
    char *at; /* HTTP_RENDER_MAX bytes */
    size_t len;
    bool full;
};

static void put(struct writer *w, const char *data, size_t len)
{
    if (len > HTTP_RENDER_MAX - w->len) {
        w->full = true;
        return;
    }
    memcpy(w->at + w->len, data, len);
    w->len += len;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_slice(struct writer *w, struct http_slice slice)
{
    put(w, slice.at, slice.len);
}

static void put_header(struct writer *w, const struct http_header *header)
{
    put_slice(w, header->name);
    put_text(w, ": ");
    put_slice(w, header->value);
    put_text(w, "\r\n");
}

static void put_field(struct writer *w, const char *name, const char *value)
{
    put_text(w, name);
    put_text(w, ": ");
    put_text(w, value);
    put_text(w, "\r\n");
}

static void put_framing(struct writer *w, enum http_body body, uint64_t length)
{
    char digits[24];

    if (body == HTTP_BODY_CHUNKED)
        put_field(w, "Transfer-Encoding", "chunked");
    if (body != HTTP_BODY_LENGTH)
        return;
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)length);
    put_field(w, "Content-Length", digits);
}

static int finish(struct writer *w)
{
    put_text(w, "\r\n");
    return w->full ? ERR_LIMIT : (int)w->len;
}

/* ---- what stays ------------------------------------------------------------------------------ */

struct field_name {
    const char *text;
    size_t len;
    bool prefix; /* stands for all that begin so */
};

struct field_names {
    const struct field_name *at;
    size_t count;
};

#define NAME(name)   name, sizeof(name) - 1, false
#define PREFIX(name) name, sizeof(name) - 1, true
#define NAMES(table) table, sizeof(table) / sizeof(table[0])

static bool is_listed(struct http_slice name, const struct field_names *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct field_name *field = &list->at[i];

        if ((field->prefix ? name.len >= field->len : name.len == field->len) &&
            strncasecmp(name.at, field->text, field->len) == 0)
            return true;
    }
    return false;
}

/* Fields of this hop alone, and those that are stated anew. */
static const struct field_name request_hop[] = {
    {NAME("connection")},
    {NAME("keep-alive")},
    {NAME("proxy-connection")},
    {NAME("proxy-authorization")},
    {NAME("te")},
    {NAME("trailer")},
    {NAME("transfer-encoding")},
    {NAME("content-length")},
    {NAME("upgrade")},
    {NAME("http2-settings")},
    {NAME("x-real-ip")},
    {NAME("x-forwarded-proto")},
    {NAME("x-forwarded-for")},
};
/* A client that names these in Connection wants MLNode to see another request than the one that
 * was judged here. */
static const struct field_name request_whole[] = {
    {NAME("host")},           {PREFIX("content-")}, {NAME("authorization")},
    {PREFIX("x-forwarded-")}, {NAME("x-real-ip")},
};
static const struct field_name response_hop[] = {
    {NAME("connection")},        {NAME("keep-alive")}, {NAME("proxy-connection")},
    {NAME("transfer-encoding")}, {NAME("upgrade")},
};
static const struct field_name response_whole[] = {
    {PREFIX("content-")},
    {NAME("date")},
    {NAME("server")},
    {NAME("set-cookie")},
};

/* What a head loses, and what of it Connection cannot take away. */
struct passing {
    struct field_names dropped;
    struct field_names kept;
};

static const struct passing request_passing = {{NAMES(request_hop)}, {NAMES(request_whole)}};
static const struct passing response_passing = {{NAMES(response_hop)}, {NAMES(response_whole)}};

struct connection_names {
    struct http_slice at[HTTP_CONNECTION_NAMES_MAX];
    size_t count;
};

static int add_names(struct connection_names *names, struct http_slice list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.at, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.at) : list.len;
        struct http_slice name = http_slice_trim((struct http_slice){list.at, len});

        if (name.len > 0 && names->count == HTTP_CONNECTION_NAMES_MAX)
            return ERR_LIMIT;
        if (name.len > 0)
            names->at[names->count++] = name;
        len += comma ? 1 : 0;
        list.at += len;
        list.len -= len;
    }
    return 0;
}

static int read_connection(const struct http_head *head, struct connection_names *names)
{
    int rc = 0;

    names->count = 0;
    for (size_t i = 0; i < head->n_headers && rc == 0; i++)
        if (http_slice_is(head->headers[i].name, "connection"))
            rc = add_names(names, head->headers[i].value);
    return rc;
}

static bool is_named(struct http_slice name, const struct connection_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i].len == name.len && strncasecmp(names->at[i].at, name.at, name.len) == 0)
            return true;
    return false;
}

/* Copies the fields that pass. `unwanted` (may be NULL) names one more that does not. */
static void put_passing(struct writer *w, const struct http_head *head,
                        const struct passing *passing, const struct connection_names *names,
                        const char *unwanted)
{
    for (size_t i = 0; i < head->n_headers; i++) {
        struct http_slice name = head->headers[i].name;

        if (is_listed(name, &passing->dropped) || (unwanted && http_slice_is(name, unwanted)))
            continue;
        if (!is_named(name, names) || is_listed(name, &passing->kept))
            put_header(w, &head->headers[i]);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static void put_request_line(struct writer *w, const struct http_head *head,
                             struct http_slice target)
{
    put_slice(w, head->method);
    put_text(w, " ");
    if (target.len > 0)
        put_slice(w, target);
    else
        put_text(w, "/");
    put_text(w, " HTTP/1.1\r\n");
}

static void put_forwarded(struct writer *w, const struct http_head *head, const char *peer)
{
    put_text(w, "X-Forwarded-For: ");
    for (size_t i = 0; i < head->n_headers; i++) {
        if (!http_slice_is(head->headers[i].name, "x-forwarded-for") ||
            head->headers[i].value.len == 0)
            continue;
        put_slice(w, head->headers[i].value);
        put_text(w, ", ");
    }
    put_text(w, peer);
    put_text(w, "\r\n");
    put_field(w, "X-Real-IP", peer);
    put_field(w, "X-Forwarded-Proto", "http");
}

int http_request_render(const struct http_head *head, const struct http_request_edit *edit,
                        char *out)
{
    struct writer w = {.at = out};
    struct connection_names names;
    int rc = read_connection(head, &names);

    if (rc)
        return rc;
    if (edit->body == HTTP_BODY_CLOSE)
        return ERR_TYPE;
    put_request_line(&w, head, edit->target);
    put_passing(&w, head, &request_passing, &names, edit->drop_expect ? "expect" : NULL);
    if (http_header_find(head, "host", 0) == NULL)
        put_field(&w, "Host", "");
    put_forwarded(&w, head, edit->peer);
    if (http_slice_is(head->method, "POST") && http_header_find(head, "content-type", 0) == NULL)
        put_field(&w, "Content-Type", "application/json");
    put_framing(&w, edit->body, edit->length);
    return finish(&w);
}

/* ---- responses ------------------------------------------------------------------------------- */

static void put_status_line(struct writer *w, const struct http_head *head)
{
    char status[24];

    snprintf(status, sizeof(status), "HTTP/1.1 %03u ", head->status);
    put_text(w, status);
    put_slice(w, head->reason);
    put_text(w, "\r\n");
}

static void put_connection(struct writer *w, bool keep_alive, unsigned minor)
{
    if (!keep_alive)
        put_field(w, "Connection", "close");
    else if (minor == 0)
        put_field(w, "Connection", "keep-alive");
}

int http_response_render(const struct http_head *head, const struct http_response_edit *edit,
                         char *out)
{
    struct writer w = {.at = out};
    struct connection_names names;
    bool interim = head->status < 200;
    bool tells_length = edit->body == HTTP_BODY_NONE && !interim && head->status != 204;
    int rc = read_connection(head, &names);

    if (rc)
        return rc;
    if (edit->body == HTTP_BODY_CHUNKED && edit->minor == 0)
        return ERR_TYPE;
    if (edit->body == HTTP_BODY_CLOSE && edit->keep_alive)
        return ERR_TYPE;
    put_status_line(&w, head);
    put_passing(&w, head, &response_passing, &names, tells_length ? NULL : "content-length");
    if (!interim)
        put_connection(&w, edit->keep_alive, edit->minor);
    put_framing(&w, edit->body, edit->length);
    return finish(&w);
}
