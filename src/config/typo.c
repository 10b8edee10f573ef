#include "config/typo.h"

#include <string.h>

#include "config/env_internal.h"
#include "config/frps.h"
#include "config/problem.h"

enum {
    SHORT_NAME = 8,       /* letters; in so few, two slips lead to other words */
    VARIABLE_LETTERS = 6, /* shorter names are too near to everything */
    VARIABLES_MAX = 4096, /* looked at; platforms set some hundred */
    WARNINGS_MAX = 8,     /* who misspells more does so the same way */
};

/* ---- names ----------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of letters that are inserted, left out, replaced, or swapped with their neighbour. Neither word
 * is longer than TYPO_NAME_MAX. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][TYPO_NAME_MAX + 1];

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        const size_t *two_above = rows[(i + 1) % 3];
        const size_t *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

bool typo_is_near(const char *text, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    size_t slips = name_len > SHORT_NAME ? 2 : 1;

    return len > 0 && len <= TYPO_NAME_MAX && name_len <= TYPO_NAME_MAX &&
           len <= name_len + slips && name_len <= len + slips && text[0] == name[0] &&
           distance(text, len, name, name_len) <= slips;
}

/* ---- variables ------------------------------------------------------------------------------- */

/* Near to ours, and read by others: the first three are common in clusters. */
static const char *const of_others[] = {"NODE_IP", "HOST_ID", "CLIENT_IP", "HOST_PID", "LOGLEVEL"};

static const char *contract_name(size_t i)
{
    return i < env_n_fields ? env_fields[i].name : NULL;
}

static const char *server_name(size_t i)
{
    if (i == server_n_options)
        return "SECRET_FRP_TOKEN";
    return i < server_n_options ? server_options[i].env : NULL;
}

static const char *others_name(size_t i)
{
    return i < sizeof(of_others) / sizeof(of_others[0]) ? of_others[i] : NULL;
}

/* A list of names; NULL behind the last. */
typedef const char *name_list(size_t i);

static bool is_among(name_list *names, const char *text, size_t len)
{
    for (size_t i = 0; names(i) != NULL; i++)
        if (strlen(names(i)) == len && memcmp(names(i), text, len) == 0)
            return true;
    return false;
}

/* The name that is not set and that `text` is near to, or NULL. */
static const char *meant(name_list *names, char *const *environ_list, const char *text, size_t len)
{
    for (size_t i = 0; names(i) != NULL; i++)
        if (strlen(names(i)) >= VARIABLE_LETTERS && typo_is_near(text, len, names(i)) &&
            env_given(environ_list, names(i)) == NULL)
            return names(i);
    return NULL;
}

static void warn(name_list *names, char *const *environ_list, struct problems *problems)
{
    size_t said = 0;

    for (size_t i = 0; i < VARIABLES_MAX && environ_list[i] != NULL && said < WARNINGS_MAX; i++) {
        const char *text = environ_list[i];
        const char *equals = memchr(text, '=', strnlen(text, TYPO_NAME_MAX + 1));
        size_t len = equals != NULL ? (size_t)(equals - text) : 0;
        const char *name;
        char where[TYPO_NAME_MAX + 1];

        if (len < VARIABLE_LETTERS - 1 || is_among(contract_name, text, len) ||
            is_among(server_name, text, len) || is_among(others_name, text, len))
            continue;
        name = meant(names, environ_list, text, len);
        if (name == NULL)
            continue;
        memcpy(where, text, len);
        where[len] = '\0';
        problem_warn(problems, where, "is no variable of mlgate: did you mean %s?", name);
        said++;
    }
}

void typo_warn_contract(char *const *environ_list, struct problems *problems)
{
    warn(contract_name, environ_list, problems);
}

void typo_warn_server(char *const *environ_list, struct problems *problems)
{
    warn(server_name, environ_list, problems);
}
