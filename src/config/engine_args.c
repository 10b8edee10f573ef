#include "config/engine_args.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "config/problem.h"
#include "config/value.h"

static const char tensor_size[] = "--tensor-parallel-size";
static const char pipeline_size[] = "--pipeline-parallel-size";
static const char data_size[] = "--data-parallel-size";

/* A shorter beginning of the two could mean another flag. */
enum { ABBREVIATION_MIN = sizeof("--tensor-p") - 1 };

static const struct {
    const char *alias;
    const char *name;
} aliases[] = {{"-tp", tensor_size}, {"-pp", pipeline_size}, {"-dp", data_size}};

/* MLNode puts these before the words of the node object, and vLLM obeys the last of two. */
static const char *const taken[] = {"--model", "--host", "--port"};

struct reading {
    char *const *next; /* the word to be read */
    const struct engine_wish *wish;
    struct engine_args *out;
    struct problems *problems;
    char *seen[ENGINE_ARGS_MAX]; /* the flags, each in its one spelling */
    size_t n_seen;
    int64_t tensor_size; /* 0: the words do not say */
};

static void push(struct engine_args *args, const char *word)
{
    args->words = mem_array(args->words, args->n + 1, sizeof(*args->words));
    args->words[args->n++] = mem_strdup(word);
}

/* "-1" is a value. */
static bool is_flag(const char *word)
{
    return word[0] == '-' && (isalpha((unsigned char)word[1]) || (word[1] == '-' && word[2] != 0));
}

/* The flag without its value, in the spelling that vLLM's help has: it takes underscores too. */
static char *flag_name(const char *word)
{
    char *name = mem_strndup(word, strcspn(word, "="));

    for (char *c = name; *c; c++)
        if (*c == '_')
            *c = '-';
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strcmp(name, aliases[i].alias) == 0) {
            mem_free(name);
            return mem_strdup(aliases[i].name);
        }
    return name;
}

static bool abbreviates(const char *name, const char *whole)
{
    size_t len = strlen(name);

    return len >= ABBREVIATION_MIN && len < strlen(whole) && memcmp(name, whole, len) == 0;
}

/* "-tp4": vLLM takes a value behind '=' or a blank only. */
static bool sticks_to_its_value(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        size_t len = strlen(aliases[i].alias);

        if (strncmp(name, aliases[i].alias, len) == 0 && isdigit((unsigned char)name[len]))
            return true;
    }
    return false;
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool check_words(char *const *words, struct problems *problems)
{
    size_t n = 0;

    for (; words[n] != NULL; n++) {
        if (n == ENGINE_ARGS_MAX) {
            problem_addf(problems, "--", "are more than %d words", ENGINE_ARGS_MAX);
            return false;
        }
        if (strlen(words[n]) > ENGINE_ARG_BYTES_MAX || !value_is_printable(words[n]) ||
            !text_is_utf8(words[n])) {
            problem_add(problems, "--", words[n], "must be printable UTF-8 of at most 8192 bytes",
                        NULL);
            return false;
        }
    }
    return true;
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* false: there is one like it, or it cannot be there. */
static bool may_stand(struct reading *r, const char *name)
{
    for (size_t i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i], name) == 0) {
            problem_addf(r->problems, name,
                         "is given twice: vLLM obeys the last one, MLNode the first");
            return false;
        }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(taken[i], name) == 0) {
            problem_addf(r->problems, name, "is MLNode's to say%s",
                         i == 0 ? ": name the model with MODEL_NAME or --model before the --" : "");
            return false;
        }
    if (abbreviates(name, tensor_size) || abbreviates(name, pipeline_size)) {
        problem_addf(r->problems, name, "is abbreviated, and MLNode does not read that: write %s",
                     abbreviates(name, tensor_size) ? tensor_size : pipeline_size);
        return false;
    }
    if (sticks_to_its_value(name)) {
        problem_addf(r->problems, name, "is no flag of vLLM: put a blank before the number");
        return false;
    }
    return true;
}

/* The word after a flag, or behind its '='; NULL: there is none. */
static const char *value_of(struct reading *r, const char *word)
{
    const char *equals = strchr(word, '=');

    if (equals != NULL)
        return equals + 1;
    if (*r->next == NULL || is_flag(*r->next))
        return NULL;
    return *r->next++;
}

static void read_size(struct reading *r, const char *word, const char *name)
{
    const char *value = value_of(r, word);
    int64_t size;

    if (value == NULL || !value_int(value, 1, ENGINE_PARALLEL_MAX, &size)) {
        problem_add(r->problems, name, value, "must be a whole number from 1 to 128", NULL);
        return;
    }
    if (strcmp(name, tensor_size) == 0) {
        r->tensor_size = size;
        return;
    }
    push(r->out, name);
    push(r->out, value);
}

/* The API node compares the first model that the engine names with the one it asked for. */
static void check_served_name(struct reading *r, const char *word)
{
    const char *equals = strchr(word, '=');
    const char *served = equals ? equals + 1 : *r->next;

    if (served != NULL && strcmp(served, r->wish->model) != 0)
        problem_warn(r->problems, "--served-model-name",
                     "is another name than the model's: the API node's check of the model will "
                     "fail, and the node with it");
}

static void read_flag(struct reading *r, const char *word)
{
    char *name = flag_name(word);

    if (may_stand(r, name)) {
        if (strcmp(name, tensor_size) == 0 || strcmp(name, pipeline_size) == 0) {
            read_size(r, word, name);
        } else {
            if (strcmp(name, "--served-model-name") == 0)
                check_served_name(r, word);
            if (strcmp(name, data_size) == 0)
                problem_warn(r->problems, data_size,
                             "is not counted by MLNode, which starts an engine for each group of "
                             "GPUs by the two other sizes: too many");
            push(r->out, word);
        }
    }
    r->seen[r->n_seen++] = name;
}

static void read_words(struct reading *r)
{
    while (*r->next != NULL) {
        const char *word = *r->next++;

        if (is_flag(word))
            read_flag(r, word);
        else if (r->n_seen > 0)
            push(r->out, word); /* a value of the flag before it, perhaps one of several */
        else
            problem_add(r->problems, "--", word, "must be a flag of vLLM first",
                        "-- --max-model-len 240000");
    }
}

/* ---- together -------------------------------------------------------------------------------- */

static int64_t agreed_size(const struct reading *r)
{
    const struct engine_wish *wish = r->wish;

    if (r->tensor_size == 0)
        return wish->tensor_parallel_size;
    /* 0: that was refused already */
    if (wish->size_given && wish->tensor_parallel_size != 0 &&
        r->tensor_size != wish->tensor_parallel_size)
        problem_addf(r->problems, tensor_size, "is %d in the arguments, TENSOR_PARALLEL_SIZE is %d",
                     (int)r->tensor_size, wish->tensor_parallel_size);
    return r->tensor_size;
}

void engine_args_read(char *const *words, const struct engine_wish *wish, struct engine_args *out,
                      struct problems *problems)
{
    struct reading r = {.next = words, .wish = wish, .out = out, .problems = problems};
    char size[TEXT_UINT_MAX + 1];

    *out = (struct engine_args){0};
    push(out, tensor_size);
    push(out, ""); /* known at the end */
    if (check_words(words, problems))
        read_words(&r);
    size[text_put_uint(size, (uint64_t)agreed_size(&r))] = '\0';
    mem_free(out->words[1]);
    out->words[1] = mem_strdup(size);
    for (size_t i = 0; i < r.n_seen; i++)
        mem_free(r.seen[i]);
}

void engine_args_free(struct engine_args *args)
{
    for (size_t i = 0; i < args->n; i++)
        mem_free(args->words[i]);
    mem_free(args->words);
    *args = (struct engine_args){0};
}
