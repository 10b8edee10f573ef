/* The target of a request as routing and policy see it: a decoded copy of its path. What is
 * forwarded stays the raw target, byte for byte. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "http/head.h"

/* MLNode's longest own path has about 100 bytes; nginx takes 8 KiB for a whole line. */
enum { HTTP_PATH_MAX = 4096 };

struct http_target {
    char path[HTTP_PATH_MAX + 1]; /* decoded once, without version prefix and query; terminated */
    size_t length;                /* of path */
    struct http_slice raw;        /* what to forward: begins behind the version prefix */
    struct http_slice raw_path;   /* its part before the query */
    bool versioned;               /* a prefix was removed */
    const char *why;              /* static text after a refusal, else NULL */
};

/* Reads head->target (of http_request_parse). One leading element `v` digits `.` digits with more
 * letters, digits, '.', '-', '_' or '+' after it (v3.0.8, v0.2.13-post2), followed by '/', is the
 * version prefix and is removed once. "*" is left as it is. `out->raw` points into the input; after
 * a refusal only out->why means anything.
 *   0
 *   ERR_LIMIT   the raw path is longer than HTTP_PATH_MAX (answer 414)
 *   ERR_SYNTAX  a broken escape, or, raw or decoded: an empty segment (a '/' at the end is none), a
 *               dot segment, a backslash, a control byte; or a version prefix that is one only
 *               after decoding (answer 400) */
int http_target_read(struct http_slice target, struct http_target *out);

/* Decodes `path`, at most HTTP_PATH_MAX bytes, once more into `out` (HTTP_PATH_MAX + 1 bytes, may
 * be `path` itself): MLNode's port 5000 decodes before the engine does. 1 when that changed
 * anything, 0 when not, ERR_SYNTAX when http_target_read would refuse the outcome. A '%' without
 * two hex digits stays as it is here, as in Python's unquote. */
int http_path_again(const char *path, size_t len, char *out, size_t *out_len);

/* Bytes of the version prefix that a path begins with, its '/' in front included, the one behind it
 * not; 0 when there is none. */
size_t http_version_prefix(const char *path, size_t len);

/* Comparisons of decoded paths, letters as they are; inline, so that the length of a literal is
 * known. Is: the same path, one '/' at its end aside, because Starlette redirects such a request to
 * the same handler. Under: that path or one below it, by whole segments: "/v1x" is not under
 * "/v1". */
static inline bool http_path_is(const char *path, size_t len, const char *text)
{
    size_t n = strlen(text);

    return (len == n || (len == n + 1 && path[n] == '/')) && memcmp(path, text, n) == 0;
}

static inline bool http_path_under(const char *path, size_t len, const char *text)
{
    size_t n = strlen(text);

    return (len == n || (len > n && path[n] == '/')) && memcmp(path, text, n) == 0;
}

#endif
