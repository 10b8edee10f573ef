#include "cli/demo_chat.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"

static const char data_field[] = "data:";

void chat_init(struct chat *c, void (*token)(void *ctx, const char *text), void *ctx)
{
    *c = (struct chat){.token = token, .ctx = ctx};
}

static void blank_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

/* choices[0].<part>.content, the caller's, or NULL. */
static char *content_of(const json_t *answer, const char *part)
{
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const char *text = json_string_value(json_object_get(json_object_get(choice, part), "content"));
    char *copy;

    if (text == NULL)
        return NULL;
    copy = mem_strdup(text);
    blank_controls(copy);
    return copy;
}

static void count_token(struct chat *c, uint64_t now_us, unsigned read)
{
    if (c->tokens > 0 && read == c->last_read)
        c->glued++;
    c->last_read = read;
    if (c->tokens++ == 0)
        c->first_us = now_us;
    else if (now_us - c->last_us > c->longest_gap_us)
        c->longest_gap_us = now_us - c->last_us;
    c->last_us = now_us;
}

static void take_event(struct chat *c, const char *json, size_t len, uint64_t now_us, unsigned read)
{
    json_t *chunk = json_loadb(json, len, 0, NULL);
    char *text;

    if (chunk == NULL) {
        c->why = "an event of the stream is not JSON";
        return;
    }
    text = content_of(chunk, "delta");
    /* the opening chunk carries the role and an empty text, the closing one none */
    if (text != NULL && text[0] != '\0') {
        count_token(c, now_us, read);
        c->token(c->ctx, text);
    }
    mem_free(text);
    json_decref(chunk);
}

static void take_line(struct chat *c, uint64_t now_us, unsigned read)
{
    size_t skip = sizeof(data_field) - 1;

    if (c->len > 0 && c->line[c->len - 1] == '\r')
        c->len--;
    if (c->len < skip || memcmp(c->line, data_field, skip) != 0)
        return; /* the empty line between events, or a field that we do not use */
    while (skip < c->len && c->line[skip] == ' ')
        skip++;
    if (c->len - skip == strlen("[DONE]") && memcmp(c->line + skip, "[DONE]", c->len - skip) == 0)
        c->done = true;
    else
        take_event(c, c->line + skip, c->len - skip, now_us, read);
}

void chat_feed(struct chat *c, const char *data, size_t len, uint64_t now_us, unsigned read)
{
    for (size_t i = 0; i < len && c->why == NULL; i++) {
        if (data[i] == '\n') {
            take_line(c, now_us, read);
            c->len = 0;
        } else if (c->len < sizeof(c->line)) {
            c->line[c->len++] = data[i];
        } else {
            c->why = "an event of the stream is too long";
        }
    }
}

double chat_rate(const struct chat *c)
{
    if (c->last_us == c->first_us)
        return 0;
    return (double)(c->tokens - 1) * 1e6 / (double)(c->last_us - c->first_us);
}

char *chat_whole(const char *json, size_t len, size_t *tokens)
{
    json_t *answer = json_loadb(json, len, 0, NULL);
    const json_t *usage = json_object_get(answer, "usage");
    char *text = content_of(answer, "message");

    *tokens = (size_t)json_integer_value(json_object_get(usage, "completion_tokens"));
    json_decref(answer);
    return text;
}
