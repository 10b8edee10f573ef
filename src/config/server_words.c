/* All that `mlgate server` is told: a file, the environment, the words of its command line. */
#include <string.h>

#include "base/err.h"
#include "config/env.h"
#include "config/frps.h"
#include "config/problem.h"
#include "config/typo.h"

/* How many words the flag at *words takes, 0 when it is none or its value is missing. */
static size_t take_flag(struct server_config *cfg, char *const *words, struct problems *problems)
{
    const char *word = words[0];
    const struct server_option *o;
    const char *equals;
    char name[64];
    size_t len;

    if (strncmp(word, "--", 2) != 0)
        return 0;
    equals = strchr(word, '=');
    len = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
    if (len >= sizeof(name))
        return 0;
    memcpy(name, word + 2, len);
    name[len] = '\0';
    o = server_option_find(name);
    if (o == NULL || (o->value_name == NULL && equals != NULL))
        return 0;
    if (o->value_name == NULL || equals != NULL) {
        server_config_set(cfg, name, equals ? equals + 1 : NULL, problems);
        return 1;
    }
    if (words[1] == NULL)
        return 0;
    server_config_set(cfg, name, words[1], problems);
    return 2;
}

static bool is_config(const char *word)
{
    return strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
}

const char *server_config_file(char *const *words)
{
    for (; *words != NULL && words[1] != NULL; words++)
        if (is_config(words[0]))
            return words[1];
    return NULL;
}

/* The first word that is no flag, or NULL. */
static const char *take_flags(struct server_config *cfg, char *const *words,
                              struct problems *problems)
{
    while (*words != NULL) {
        size_t took = is_config(words[0]) && words[1] != NULL ? 2 : take_flag(cfg, words, problems);

        if (took == 0)
            return *words;
        words += took;
    }
    return NULL;
}

/* What a file left open, and a variable or a flag has settled since. */
static void withdraw_settled(const struct server_config *cfg, struct problems *problems)
{
    if (cfg->proxy_bind != NULL)
        problems_withdraw(problems, "proxy_bind_addr");
    if (cfg->n_allow_ports > 0)
        problems_withdraw(problems, "allow_ports");
}

int server_config_load(char *const *environ_list, char *const *words, struct server_config *out,
                       const char **stray, struct problems *problems)
{
    const char *file = server_config_file(words);

    *stray = NULL;
    if (file == NULL)
        server_config_defaults(out);
    else if (frps_load(file, env_lookup, (void *)(uintptr_t)environ_list, out, problems) != 0)
        return ERR_SYNTAX;
    server_config_env(out, environ_list, problems);
    *stray = take_flags(out, words, problems);
    withdraw_settled(out, problems);
    if (*stray == NULL)
        server_config_check(out, file != NULL, problems);
    typo_warn_server(environ_list, problems);
    if (*stray == NULL && problems->errors == 0)
        return 0;
    server_config_free(out);
    return ERR_SYNTAX;
}
