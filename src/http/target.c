#include "http/target.h"

#include "base/err.h"
#include "base/text.h"

#include <string.h>

/* The byte that an escape at the start of `text` stands for, -1 when there is no whole escape. */
static int escaped_byte(const char *text, size_t len)
{
    int high;
    int low;

    if (len < 3 || text[0] != '%')
        return -1;
    high = text_hex_digit(text[1]);
    low = text_hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* `out` may be `path`: the decoded form never gets ahead of what is read. *broken tells that a '%'
 * had to stay. */
static size_t decode(const char *path, size_t len, char *out, bool *broken)
{
    size_t n = 0;

    *broken = false;
    for (size_t i = 0; i < len; i++) {
        int byte = escaped_byte(path + i, len - i);

        *broken = *broken || (path[i] == '%' && byte < 0);
        out[n++] = byte < 0 ? path[i] : (char)byte;
        i += byte < 0 ? 0 : 2;
    }
    out[n] = '\0';
    return n;
}

static bool is_dots(const char *segment, size_t len)
{
    return (len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0);
}

/* Looks at the decoded form only: a bad byte or segment of the raw form is still one in it. NULL
 * when there is nothing to object to. */
static const char *objection(const char *path, size_t len)
{
    size_t start = 1;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];

        if (c < 0x20 || c == 0x7f)
            return "control byte in path";
        if (c == '\\')
            return "backslash in path";
    }
    while (start < len) {
        const char *slash = memchr(path + start, '/', len - start);
        size_t n = slash ? (size_t)(slash - path) - start : len - start;

        if (n == 0)
            return "empty segment in path";
        if (is_dots(path + start, n))
            return "dot segment in path";
        start += n + 1;
    }
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_version_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == '+';
}

size_t http_version_prefix(const char *path, size_t len)
{
    size_t i = 2;

    if (len < 2 || path[0] != '/' || path[1] != 'v')
        return 0;
    while (i < len && is_digit(path[i]))
        i++;
    if (i == 2 || i + 1 >= len || path[i] != '.' || !is_digit(path[i + 1]))
        return 0;
    while (i < len && is_version_byte(path[i]))
        i++;
    return i < len && path[i] == '/' ? i : 0;
}

static int refuse(struct http_target *out, int code, const char *why)
{
    out->why = why;
    return code;
}

/* Splits off version prefix and query. */
static void split(struct http_slice target, struct http_target *out)
{
    const char *query = memchr(target.at, '?', target.len);
    size_t path_len = query ? (size_t)(query - target.at) : target.len;
    size_t prefix = http_version_prefix(target.at, path_len);

    out->versioned = prefix > 0;
    out->raw = (struct http_slice){target.at + prefix, target.len - prefix};
    out->raw_path = (struct http_slice){target.at + prefix, path_len - prefix};
}

int http_target_read(struct http_slice target, struct http_target *out)
{
    bool asterisk = target.len == 1 && target.at[0] == '*';
    bool broken;

    out->why = NULL;
    out->length = 0;
    out->path[0] = '\0';
    if (target.len == 0 || (target.at[0] != '/' && !asterisk))
        return refuse(out, ERR_SYNTAX, "target does not begin with /");
    split(target, out);
    if (out->raw_path.len > HTTP_PATH_MAX)
        return refuse(out, ERR_LIMIT, "path too long");
    out->length = decode(out->raw_path.at, out->raw_path.len, out->path, &broken);
    if (broken)
        return refuse(out, ERR_SYNTAX, "broken escape in path");
    out->why = objection(out->path, out->length);
    if (out->why == NULL && !out->versioned && http_version_prefix(out->path, out->length) > 0)
        out->why = "encoded version prefix";
    return out->why ? ERR_SYNTAX : 0;
}

int http_path_again(const char *path, size_t len, char *out, size_t *out_len)
{
    bool broken;

    *out_len = decode(path, len, out, &broken);
    if (objection(out, *out_len) != NULL)
        return ERR_SYNTAX;
    return *out_len != len;
}
