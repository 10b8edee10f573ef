#include "testnode/ask.h"

#include "base/err.h"

#include <jansson.h>
#include <string.h>

struct words {
    void (*each)(void *arg, const char *word, size_t len);
    void *arg;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void split_words(const char *text, const struct words *to)
{
    while (*text) {
        size_t len = 0;

        while (is_blank(*text))
            text++;
        while (text[len] && !is_blank(text[len]))
            len++;
        if (len > 0)
            to->each(to->arg, text, len);
        text += len;
    }
}

/* A string, or an array of strings (a batch of prompts) or of parts with a "text" (OpenAI's content
 * parts); everything else holds no words. */
static void split_value(const json_t *value, const struct words *to)
{
    size_t i;
    json_t *part;

    if (json_is_string(value))
        split_words(json_string_value(value), to);
    json_array_foreach (value, i, part) {
        const json_t *text = json_is_object(part) ? json_object_get(part, "text") : part;

        if (json_is_string(text))
            split_words(json_string_value(text), to);
    }
}

static int split_prompt(const json_t *root, bool chat, const struct words *to, const char **why)
{
    const json_t *messages = json_object_get(root, "messages");
    const json_t *prompt = json_object_get(root, "prompt");

    if (chat) {
        size_t count = json_array_size(messages);

        *why = "messages must be a non-empty array of objects";
        if (count == 0 || !json_is_object(json_array_get(messages, count - 1)))
            return ERR_TYPE;
        prompt = json_object_get(json_array_get(messages, count - 1), "content");
    } else if (!json_is_string(prompt) && !json_is_array(prompt)) {
        *why = "prompt must be a string or an array";
        return ERR_TYPE;
    }
    split_value(prompt, to);
    return 0;
}

static json_t *load(const char *json, size_t len, const char **why)
{
    json_t *root = json_loadb(json ? json : "", len, 0, NULL);

    *why = "body is not JSON";
    return root;
}

/* Letters, digits and whole UTF-8 characters, so that the word needs no escapes in JSON. */
static void keep_word(void *arg, const char *word, size_t len)
{
    struct ask *ask = arg;
    char *out = ask->words[ask->n_words];
    size_t used = 0;

    ask->prompt_tokens++;
    if (ask->n_words == ASK_WORDS_MAX)
        return;
    for (size_t i = 0; i < len && used < ASK_WORD_MAX; i++) {
        unsigned char c = (unsigned char)word[i];

        if (c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            out[used++] = word[i];
    }
    if (used == ASK_WORD_MAX) { /* do not end inside a character */
        while (used > 0 && (out[used - 1] & 0xc0) == 0x80)
            used--;
        if (used > 0 && (out[used - 1] & 0x80))
            used--;
    }
    out[used] = '\0';
    if (used > 0)
        ask->n_words++;
}

/* An optional integer between `low` and `high`; absent and null leave *out alone. */
static int get_uint(const json_t *root, const char *name, json_int_t low, json_int_t high,
                    size_t *out, const char **why)
{
    const json_t *value = json_object_get(root, name);

    if (value == NULL || json_is_null(value))
        return 0;
    *why = "a number is out of range";
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high)
        return ERR_TYPE;
    *out = (size_t)json_integer_value(value);
    return 0;
}

bool ask_rate_ok(double rate)
{
    return rate == 0 || (rate >= 1.0 / ASK_PERIOD_MAX_S && rate <= ASK_RATE_MAX);
}

static int get_vendor(struct ask *ask, const json_t *vendor, const char **why)
{
    const json_t *rate = json_object_get(vendor, "rate");
    size_t delay = 0;
    int rc = get_uint(vendor, "tokens", 1, ASK_TOKENS_MAX, &ask->tokens, why);

    if (rc == 0)
        rc = get_uint(vendor, "event_bytes", 0, ASK_EVENT_BYTES_MAX, &ask->event_bytes, why);
    if (rc == 0)
        rc = get_uint(vendor, "delay_ms", 0, ASK_DELAY_MAX_MS, &delay, why);
    if (rc)
        return rc;
    ask->delay_ms = (unsigned)delay;
    ask->stamp = json_is_true(json_object_get(vendor, "stamp"));
    if (rate == NULL)
        return 0;
    *why = "rate is out of range";
    if (!json_is_number(rate) || !ask_rate_ok(json_number_value(rate)))
        return ERR_TYPE;
    ask->rate = json_number_value(rate);
    return 0;
}

static int get_limits(struct ask *ask, const json_t *root, const char **why)
{
    size_t max = SIZE_MAX;
    int rc = get_uint(root, "max_tokens", 1, INT32_MAX, &max, why);

    if (rc == 0)
        rc = get_uint(root, "max_completion_tokens", 1, INT32_MAX, &max, why);
    if (rc == 0 && max < ask->tokens) {
        ask->tokens = max;
        ask->cut = true;
    }
    return rc;
}

static int read_root(struct ask *ask, const json_t *root, const char **why)
{
    const struct words keep = {keep_word, ask};
    const json_t *options = json_object_get(root, "stream_options");
    int rc;

    *why = "body must be an object";
    if (!json_is_object(root))
        return ERR_TYPE;
    ask->stream = json_is_true(json_object_get(root, "stream"));
    ask->include_usage = json_is_true(json_object_get(options, "include_usage"));
    rc = split_prompt(root, ask->chat, &keep, why);
    if (rc == 0)
        rc = get_vendor(ask, json_object_get(root, "mlgate_test"), why);
    return rc ? rc : get_limits(ask, root, why);
}

int ask_parse(struct ask *ask, bool chat, const char *json, size_t len,
              const struct ask_defaults *defaults, const char **why)
{
    json_t *root = load(json, len, why);
    int rc;

    *ask = (struct ask){.chat = chat, .rate = defaults->rate, .tokens = defaults->tokens};
    if (root == NULL)
        return ERR_SYNTAX;
    rc = read_root(ask, root, why);
    json_decref(root);
    return rc;
}

int ask_each_word(const char *json, size_t len,
                  void (*each)(void *arg, const char *word, size_t len), void *arg,
                  const char **why)
{
    const struct words to = {each, arg};
    json_t *root = load(json, len, why);
    int rc;

    if (root == NULL)
        return ERR_SYNTAX;
    rc = split_prompt(root, json_object_get(root, "messages") != NULL, &to, why);
    json_decref(root);
    return rc;
}
