/* The first byte chooses method and port, the rest is a target. What is accepted has one reading at
 * every depth of decoding that a later hop may apply, and the policies only ever get stricter. */
#include "base/err.h"
#include "base/mem.h"
#include "gateway/policy.h"
#include "gateway/route.h"
#include "http/target.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "broken: %s\n", #condition);                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void must_be_plain(const char *path, size_t len)
{
    MUST(len > 0 && len <= HTTP_PATH_MAX && strlen(path) == len);
    MUST(path[0] == '/' || strcmp(path, "*") == 0);
    MUST(strstr(path, "//") == NULL && strstr(path, "/./") == NULL && strstr(path, "/../") == NULL);
    MUST(len < 2 || strcmp(path + len - 2, "/.") != 0);
    MUST(len < 3 || strcmp(path + len - 3, "/..") != 0);
    for (size_t i = 0; i < len; i++)
        MUST((unsigned char)path[i] >= 0x20 && path[i] != 0x7f && path[i] != '\\');
}

static bool has_escape(const char *path)
{
    for (const char *p = strchr(path, '%'); p != NULL; p = strchr(p + 1, '%'))
        if (p[1] != '\0' && strchr("0123456789abcdefABCDEF", p[1]) && p[2] != '\0' &&
            strchr("0123456789abcdefABCDEF", p[2]))
            return true;
    return false;
}

static void must_be_slices(struct http_slice in, const struct http_target *t)
{
    MUST(t->raw.at >= in.at && t->raw.at + t->raw.len == in.at + in.len);
    MUST(t->raw_path.at == t->raw.at && t->raw_path.len <= t->raw.len);
    MUST(t->versioned == (t->raw.at != in.at));
    MUST(memchr(t->raw_path.at, '?', t->raw_path.len) == NULL);
    MUST(t->raw_path.len == t->raw.len || t->raw.at[t->raw_path.len] == '?');
    MUST(t->length <= t->raw_path.len);
}

/* Decoding ends, and gives the same wherever the outcome is put. */
static void decode_on(const struct http_target *t)
{
    static char path[HTTP_PATH_MAX + 1];
    static char next[HTTP_PATH_MAX + 1];
    size_t len = t->length;
    size_t next_len;

    memcpy(path, t->path, len + 1);
    for (;;) {
        int changed = http_path_again(path, len, next, &next_len);

        if (changed < 0)
            return;
        MUST(changed == has_escape(path));
        MUST(changed ? next_len < len : next_len == len && memcmp(path, next, len) == 0);
        if (!changed)
            return;
        must_be_plain(next, next_len);
        MUST(http_path_again(path, len, path, &len) == 1);
        MUST(len == next_len && memcmp(path, next, len + 1) == 0);
    }
}

static void check_policies(struct http_slice method, const struct http_target *t)
{
    bool strict = policy_allows(POLICY_STRICT, method, t);
    bool guard = policy_allows(POLICY_GUARD, method, t);

    MUST(policy_allows(POLICY_OPEN, method, t));
    MUST(guard || !strict);
    MUST(!strict || strpbrk(t->path, "%?#") == NULL);
    /* words no honest path holds, found without the tables of the policy */
    if (guard)
        MUST(strncmp(t->path, "/api/v1/train/", 14) != 0 && strcmp(t->path, "/sleep") != 0);
}

static void check_route(enum gateway_role role, struct http_slice method,
                        const struct http_target *t)
{
    struct route route = route_of(role, method, t);

    MUST(!route.silent || route.changes);
    MUST(!route.changes || (route.run_to_end && route.to == ROUTE_TO_MANAGEMENT));
    MUST(!route.damped || (route.to == ROUTE_TO_ENGINE && role == ROLE_INFERENCE));
    MUST(!route.run_to_end || route.to == ROUTE_TO_MANAGEMENT);
    MUST(route.to != ROUTE_TO_STATUS || role == ROLE_POC);
    MUST(route.to != ROUTE_TO_INFERENCE || role == ROLE_POC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "POST", "DELETE", "HEAD"};
    static struct http_target target;
    static struct http_target again;
    struct http_slice method;
    struct http_slice in;
    char *text;
    int rc;

    if (size < 1)
        return 0;
    text = mem_alloc(size > 1 ? size - 1 : 1); /* no slack: a sanitizer sees the end */
    memcpy(text, data + 1, size - 1);
    in = (struct http_slice){text, size - 1};
    method.at = methods[data[0] & 3];
    method.len = strlen(method.at);

    memset(&again, 0xa5, sizeof(again));
    rc = http_target_read(in, &target);
    MUST(http_target_read(in, &again) == rc && again.why == target.why);
    MUST((rc == 0) == (target.why == NULL));
    if (rc == 0) {
        MUST(again.length == target.length && strcmp(again.path, target.path) == 0);
        must_be_plain(target.path, target.length);
        must_be_slices(in, &target);
        decode_on(&target);
        check_policies(method, &target);
        check_route(data[0] & 4 ? ROLE_POC : ROLE_INFERENCE, method, &target);
    }
    mem_free(text);
    return 0;
}
