/* Flags that stand for variables of the contract, or for settings of one verb. */
#include <string.h>

#include "config/env_internal.h"
#include "config/problem.h"

const struct field *env_field(const char *variable)
{
    const struct field *f = env_fields;

    while (strcmp(f->name, variable) != 0)
        f++;
    return f;
}

/* The flag that `word` is, with *value at what follows its '=', or NULL; `n`: none of them. */
static size_t flag_of(const struct env_flag *flags, size_t n, const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);

    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; len > 2 && strncmp(word, "--", 2) == 0 && i < n; i++)
        if (strlen(flags[i].name) == len - 2 && memcmp(flags[i].name, word + 2, len - 2) == 0)
            return i;
    return n;
}

const char *env_flags_read(const struct env_flag *flags, size_t n, char *const *words,
                           const char **values)
{
    for (; *words != NULL; words++) {
        const char *value;
        size_t i = flag_of(flags, n, *words, &value);

        if (i == n || (flags[i].alone && value != NULL) ||
            (!flags[i].alone && value == NULL && words[1] == NULL))
            return *words;
        if (flags[i].alone)
            values[i] = "";
        else
            values[i] = value != NULL ? value : *++words;
    }
    return NULL;
}

void env_flag_load(const struct env_flag *flag, const char *value, char *const *environ_list,
                   void *base, struct problems *problems)
{
    const struct field *f = env_field(flag->variable);
    char where[32];

    if (value == NULL) {
        env_check_field(f, env_given(environ_list, f->name), base, problems);
        return;
    }
    snprintf(where, sizeof(where), "--%s", flag->name);
    if (strlen(value) > ENV_VALUE_MAX)
        problem_addf(problems, where, "is longer than %d bytes", ENV_VALUE_MAX);
    else
        field_set(f, base, value, where, problems);
}

void env_flag_help(const struct env_flag *flag, const struct field *f, FILE *out, bool colour)
{
    fprintf(out, "%s--%s%s VALUE", colour ? "\033[1m" : "", flag->name, colour ? "\033[0m" : "");
    if (f->fallback != NULL)
        fprintf(out, "  (default %s)", f->fallback);
    fprintf(out, "\n    %s\n    Rule: %s.", f->help, field_rule(f));
    if (flag->variable != NULL)
        fprintf(out, " Variable: %s.", flag->variable);
    fputs("\n\n", out);
}
