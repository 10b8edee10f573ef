/* The answer to a streamed chat completion, read as it arrives: server-sent events with OpenAI's
 * chunks in them. Bytes and the time go in, tokens come out. */
#ifndef CLI_DEMO_CHAT_H
#define CLI_DEMO_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAT_EVENT_MAX = 16 * 1024 }; /* bytes of one event line; a token's has some 200 */

struct chat {
    /* `text` is UTF-8 without control bytes, valid during the call. */
    void (*token)(void *ctx, const char *text);
    void *ctx;
    const char *why; /* static text: what is wrong with the stream; NULL: nothing */
    bool done;       /* [DONE] has come */
    size_t tokens;
    uint64_t first_us; /* when the first token came */
    uint64_t last_us;
    uint64_t longest_gap_us; /* between two tokens */
    size_t glued;            /* tokens that came in one read with the one before */
    unsigned last_read;
    size_t len;
    char line[CHAT_EVENT_MAX];
};

void chat_init(struct chat *c, void (*token)(void *ctx, const char *text), void *ctx);
/* `read` numbers the reads of the connection: what comes with the same number came together. */
void chat_feed(struct chat *c, const char *data, size_t len, uint64_t now_us, unsigned read);
/* Tokens a second between the first and the last; 0 when they are one moment. */
double chat_rate(const struct chat *c);
/* The text of an answer that was not streamed, for the caller to release with mem_free, and how
 * many tokens it reports; NULL when it is none. */
char *chat_whole(const char *json, size_t len, size_t *tokens);

#endif
