#include "testnode/answer.h"

#include <endian.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* What MLNode calls itself; the newest release whose answers were watched. */
static const char node_version[] = "0.2.14";

enum { VOCABULARY = 32000, CONTEXT_MAX = 32768 };

static void add_string(struct blob *out, const char *text)
{
    json_t *value = json_string_nocheck(text);

    blob_json(out, value);
    json_decref(value);
}

static void add_model_field(struct blob *out, const char *model)
{
    blob_printf(out, "\"model\":");
    add_string(out, model);
}

void answer_init(struct answer *a, const struct ask *ask, const char *model, uint64_t serial,
                 uint64_t created)
{
    *a = (struct answer){.ask = ask};
    snprintf(a->id, sizeof(a->id), "%s-%016llx", ask->chat ? "chatcmpl" : "cmpl",
             (unsigned long long)serial);
    blob_printf(&a->open, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%llu,", a->id,
                !ask->chat    ? "text_completion"
                : ask->stream ? "chat.completion.chunk"
                              : "chat.completion",
                (unsigned long long)created);
    add_model_field(&a->open, model);
}

void answer_clear(struct answer *a)
{
    blob_clear(&a->open);
}

static size_t first_token_step(const struct answer *a)
{
    return a->ask->chat ? 1 : 0;
}

size_t answer_steps(const struct answer *a)
{
    return first_token_step(a) + a->ask->tokens + 1 + a->ask->include_usage + 1;
}

bool answer_step_token(const struct answer *a, size_t step, size_t *token)
{
    size_t first = first_token_step(a);

    if (step < first || step - first >= a->ask->tokens)
        return false;
    *token = step - first;
    return true;
}

void answer_token(const struct ask *ask, size_t index, struct blob *out)
{
    const char *word = ask->n_words ? ask->words[index % ask->n_words] : "token";

    blob_printf(out, "%s-%zu ", word, index);
}

static const char *finish_reason(const struct answer *a)
{
    return a->ask->cut ? "length" : "stop";
}

static void add_usage(const struct answer *a, struct blob *out)
{
    size_t prompt = a->ask->prompt_tokens;

    blob_printf(out,
                ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu,\"completion_tokens\":%zu}",
                prompt, prompt + a->ask->tokens, a->ask->tokens);
}

static void add_choice(const struct answer *a, size_t step, struct blob *out)
{
    bool chat = a->ask->chat;
    size_t token;

    blob_printf(out, ",\"choices\":[{\"index\":0,");
    if (answer_step_token(a, step, &token)) {
        blob_printf(out, chat ? "\"delta\":{\"content\":\"" : "\"text\":\"");
        answer_token(a->ask, token, out);
        blob_printf(out, chat ? "\"}," : "\",");
    } else if (!chat) {
        blob_printf(out, "\"text\":\"\",");
    } else {
        blob_printf(out, step == 0 ? "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                                   : "\"delta\":{},");
    }
    blob_printf(out, "\"logprobs\":null,\"finish_reason\":");
    if (step == first_token_step(a) + a->ask->tokens)
        blob_printf(out, "\"%s\"}]", finish_reason(a));
    else
        blob_printf(out, "null}]");
}

/* The vendor field: a stamp, and a pad that brings the event to the wanted length. */
static void add_vendor(const struct ask *ask, uint64_t stamp_ns, size_t start, struct blob *out)
{
    static const char after[] = "\"}}\n\n";
    size_t used;

    if (!ask->stamp && ask->event_bytes == 0)
        return;
    blob_printf(out, ",\"mlgate_test\":{");
    if (ask->stamp)
        blob_printf(out, "\"stamp\":%llu", (unsigned long long)stamp_ns);
    if (ask->event_bytes) {
        blob_printf(out, "%s\"pad\":\"", ask->stamp ? "," : "");
        used = out->len - start + sizeof(after) - 1;
        if (used < ask->event_bytes)
            blob_fill(out, 'x', ask->event_bytes - used);
        blob_printf(out, "\"");
    }
    blob_printf(out, "}");
}

void answer_event(const struct answer *a, size_t step, uint64_t stamp_ns, struct blob *out)
{
    size_t start = out->len;

    if (step + 1 >= answer_steps(a)) {
        blob_printf(out, "data: [DONE]\n\n");
        return;
    }
    blob_printf(out, "data: ");
    blob_add(out, a->open.data, a->open.len);
    if (step > first_token_step(a) + a->ask->tokens) {
        blob_printf(out, ",\"choices\":[]");
        add_usage(a, out);
    } else {
        add_choice(a, step, out);
    }
    add_vendor(a->ask, stamp_ns, start, out);
    blob_printf(out, "}\n\n");
}

void answer_full(const struct answer *a, struct blob *out)
{
    bool chat = a->ask->chat;

    blob_add(out, a->open.data, a->open.len);
    blob_printf(out, ",\"choices\":[{\"index\":0,%s",
                chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
    for (size_t i = 0; i < a->ask->tokens; i++)
        answer_token(a->ask, i, out);
    blob_printf(out, "\"%s,\"logprobs\":null,\"finish_reason\":\"%s\"}]", chat ? "}" : "",
                finish_reason(a));
    add_usage(a, out);
    blob_printf(out, "}");
}

static void add_permission(uint64_t created, uint64_t serial, struct blob *out)
{
    blob_printf(out,
                "{\"id\":\"modelperm-%016llx\",\"object\":\"model_permission\","
                "\"created\":%llu,\"allow_create_engine\":false,\"allow_sampling\":true,"
                "\"allow_logprobs\":true,\"allow_search_indices\":false,\"allow_view\":true,"
                "\"allow_fine_tuning\":false,\"organization\":\"*\",\"group\":null,"
                "\"is_blocking\":false}",
                (unsigned long long)serial, (unsigned long long)created);
}

void answer_models(const char *model, uint64_t created, uint64_t serial, struct blob *out)
{
    blob_printf(out, "{\"object\":\"list\",\"data\":[{\"id\":");
    add_string(out, model);
    blob_printf(out, ",\"object\":\"model\",\"created\":%llu,\"owned_by\":\"vllm\",\"root\":",
                (unsigned long long)created);
    add_string(out, model);
    blob_printf(out, ",\"parent\":null,\"max_model_len\":%d,\"permission\":[", CONTEXT_MAX);
    if (serial)
        add_permission(created, serial, out);
    blob_printf(out, "]}]}");
}

struct tokenizing {
    struct blob list;
    size_t count;
};

/* FNV-1a: any fixed function of the word will do for a token id. */
static void add_token_id(void *arg, const char *word, size_t len)
{
    struct tokenizing *t = arg;
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)word[i]) * 16777619u;
    blob_printf(&t->list, "%s%u", t->count++ ? "," : "", (unsigned)(hash % VOCABULARY));
}

int answer_tokenize(const char *json, size_t len, struct blob *out, const char **why)
{
    struct tokenizing t = {0};
    int rc = ask_each_word(json, len, add_token_id, &t, why);

    if (rc == 0) {
        blob_printf(out, "{\"count\":%zu,\"max_model_len\":%d,\"tokens\":[", t.count, CONTEXT_MAX);
        blob_add(out, t.list.data, t.list.len);
        blob_printf(out, "],\"token_strs\":null}");
    }
    blob_clear(&t.list);
    return rc;
}

void answer_error(int status, const char *message, struct blob *out)
{
    const char *type = status == 404   ? "NotFoundError"
                       : status == 503 ? "ServiceUnavailableError"
                                       : "BadRequestError";

    blob_printf(out, "{\"error\":{\"message\":");
    add_string(out, message);
    blob_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":%d}}", type, status);
}

void answer_detail(const char *message, struct blob *out)
{
    blob_printf(out, "{\"detail\":");
    add_string(out, message);
    blob_printf(out, "}");
}

static const char *json_bool(bool value)
{
    return value ? "true" : "false";
}

void answer_state(const struct model *m, struct blob *out)
{
    blob_printf(out,
                "{\"state\":\"%s\",\"version\":\"%s\",\"poc_status\":\"%s\","
                "\"inference_healthy\":%s,\"loaded_model\":",
                model_state(m), node_version, model_poc(m), json_bool(m->running));
    if (m->running)
        add_string(out, m->name);
    else
        blob_printf(out, "null");
    blob_printf(out, "}");
}

void answer_health(const struct model *m, struct blob *out)
{
    const char *running = json_bool(m->running);

    blob_printf(out,
                "{\"status\":\"healthy\",\"service_state\":\"%s\","
                "\"gpu\":{\"available\":true,\"count\":1,\"devices\":[]},\"managers\":{"
                "\"pow\":{\"running\":false,\"healthy\":false},"
                "\"inference\":{\"running\":%s,\"healthy\":%s},"
                "\"train\":{\"running\":false,\"healthy\":false}}}",
                model_state(m), running, running);
}

void answer_poc_begun(size_t backends, struct blob *out)
{
    blob_printf(
        out, "{\"status\":\"OK\",\"backends\":%zu,\"n_groups\":%zu,\"results\":[],\"errors\":[]}",
        backends, backends);
}

void answer_poc_status(const struct model *m, struct blob *out)
{
    blob_printf(out, "{\"status\":\"%s\",\"backends\":[]}", model_poc(m));
}

void answer_up_status(const struct model *m, uint64_t now_ms, struct blob *out)
{
    blob_printf(out,
                "{\"status\":\"%s\",\"is_starting\":%s,\"is_running\":%s,\"elapsed_seconds\":%.3f,"
                "\"error\":%s}",
                model_load_name(m->load), json_bool(m->load == MODEL_IN_PROGRESS),
                json_bool(m->running), model_elapsed_s(m, now_ms),
                m->load == MODEL_FAILED ? "\"engine did not start\"" : "null");
}

void answer_pattern(uint64_t from, char *out, size_t len)
{
    while (len > 0) {
        uint64_t word = htobe64(from - from % 8);
        size_t skip = (size_t)(from % 8);
        size_t n = len < 8 - skip ? len : 8 - skip;

        memcpy(out, (const char *)&word + skip, n);
        from += n;
        out += n;
        len -= n;
    }
}
