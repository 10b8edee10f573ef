#include "engine_ask.h"

#include <stdlib.h>
#include <string.h>

#include "token.h"

/* As vLLM answers; MLNode's gateway looks at these. */
static const char models[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,"
    "\"owned_by\":\"vllm\",\"root\":\"bench\",\"parent\":null,\"max_model_len\":240000,"
    "\"permission\":[]}]}";
static const char state[] =
    "{\"state\":\"INFERENCE\",\"version\":\"bench\",\"poc_status\":\"IDLE\","
    "\"inference_healthy\":true,\"loaded_model\":\"bench\"}";
static const char chat[] =
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"bench\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The quick brown "
    "fox jumps over the lazy dog, and then it does so again because nobody was looking the first "
    "time.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":500,"
    "\"total_tokens\":524,\"completion_tokens\":24}}";

struct place {
    const char *path;
    enum ask_kind kind;
    const char *text;
};

static const struct place places[] = {
    {"/v1/ping", ASK_PROXIED, NULL},     {"/v1/chat/completions", ASK_FIXED, chat},
    {"/v1/source", ASK_SOURCE, NULL},    {"/v1/sink", ASK_SINK, NULL},
    {"/v1/models", ASK_FIXED, models},   {"/health", ASK_FIXED, ""},
    {"/api/v1/state", ASK_FIXED, state}, {"/api/v1/health", ASK_FIXED, state},
    {"/api/v1/ping", ASK_PROXIED, NULL}, {"/api/v1/source", ASK_SOURCE, NULL},
    {"/api/v1/sink", ASK_SINK, NULL},    {"/bench/watch", ASK_WATCH, NULL},
};

/* `at` is behind the `?` or a `&`; returns what is behind the number. */
static const char *read_number(struct ask *a, const char *at)
{
    char *end;
    uint64_t n;

    if (at[0] == '\0' || at[1] != '=')
        return NULL;
    n = strtoull(at + 2, &end, 10);
    switch (at[0]) {
    case 'b':
        a->bytes = n;
        break;
    case 'e':
        a->events = (uint32_t)n;
        break;
    case 's':
        a->size = (uint32_t)n;
        break;
    case 'i':
        a->interval_ns = n * 1000;
        break;
    case 'n':
        a->id = (uint32_t)n;
        break;
    case 'h':
        a->hold = n != 0;
        break;
    default:
        return NULL;
    }
    return *end == '&' ? end + 1 : NULL;
}

static void read_target(struct ask *a, const char *path, size_t len)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strlen(places[i].path) != len || memcmp(places[i].path, path, len) != 0)
            continue;
        a->kind = places[i].kind;
        a->text = places[i].text;
        return;
    }
}

void ask_read(struct ask *a, const struct message *m)
{
    const char *target = strchr(m->head, ' ') + 1;
    size_t len = strcspn(target, "? \r");

    *a = (struct ask){.kind = ASK_NOTHING, .size = 200, .interval_ns = 25 * 1000 * 1000};
    read_target(a, target, len);
    if (target[len] == '?')
        for (const char *at = target + len + 1; at != NULL;)
            at = read_number(a, at);
    if (a->text == chat && a->events > 0)
        a->kind = ASK_TOKENS;
    if (a->size < TOKEN_MIN || a->size > TOKEN_MAX || a->interval_ns == 0)
        a->kind = ASK_NOTHING;
}
