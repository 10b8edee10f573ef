/* A strict JSON scanner (RFC 8259) that hands out a value's pieces in order, without allocating and
 * without building a tree. Made for bodies of at most a few KiB whose shape is known: a tree would
 * lose what Go's rules need (every duplicate key in its order, integers apart from reals). */
#ifndef PROTO_JSCAN_H
#define PROTO_JSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JSCAN_DEPTH_MAX = 64, /* nesting of skipped values; frp's own messages need 4 */
};

/* Fields are private. */
struct jscan {
    const uint8_t *at;
    const uint8_t *end;
    bool fresh; /* right behind a '{': the next member has no comma before it */
};

/* A token as it stands in the input: a string without its quotes, escapes unresolved; a number. */
struct jscan_text {
    const uint8_t *at;
    size_t len;
};

enum jscan_step {
    JSCAN_END = 0,
    JSCAN_MEMBER = 1,
    JSCAN_BROKEN = 2,
};

/* `data` must outlive the scan. All functions skip white space before what they take, and return
 * false (JSCAN_BROKEN), leaving the position undefined, when something else stands there. */
void jscan_init(struct jscan *s, const uint8_t *data, size_t len);

/* Takes `null` if it is what comes next; otherwise false, and nothing is taken. */
bool jscan_null(struct jscan *s);
bool jscan_bool(struct jscan *s, bool *value);
bool jscan_number(struct jscan *s, struct jscan_text *raw);
/* Checks the escapes' form; what they stand for is jscan_unescape's business. */
bool jscan_string(struct jscan *s, struct jscan_text *raw);
/* Takes the '{' of an object; then jscan_member takes key and colon until JSCAN_END, the caller
 * taking each value in between. */
bool jscan_enter(struct jscan *s);
enum jscan_step jscan_member(struct jscan *s, struct jscan_text *key);
/* Takes one whole value of any kind, nested at most JSCAN_DEPTH_MAX deep. */
bool jscan_skip(struct jscan *s);
/* True when only white space is left. */
bool jscan_at_end(struct jscan *s);

/* Resolves the escapes of what jscan_string took into out[0 .. *len-1], without terminator; the
 * result is never longer than the raw text. False for \u0000, invalid UTF-8, unpaired surrogates,
 * or a result above `size` bytes. */
bool jscan_unescape(struct jscan_text raw, char *out, size_t size, size_t *len);

#endif
