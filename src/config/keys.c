#include "config/keys.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/problem.h"
#include "config/value.h"

enum { NAME_SHOWN = 40 };

void keys_set(struct keys *keys, const struct ini_section *section, const struct field *fields,
              size_t n, void *base)
{
    for (size_t i = 0; i < n; i++) {
        const struct ini_key *key = ini_key(keys->ini, section, fields[i].name);
        char *where;

        if (key == NULL || key->value[0] == '\0')
            continue;
        where = ini_where(keys->ini, key->line, key->name);
        field_set(&fields[i], base, key->value, where, keys->problems);
        mem_free(where);
    }
}

static bool asks_nothing(const struct foreign_key *f, const char *value)
{
    const char *neutral = f->neutral ? f->neutral : "false";
    bool neutral_word;
    bool word;

    if (*value == '\0' || strcmp(value, neutral) == 0)
        return true;
    return value_ini_bool(neutral, &neutral_word) && value_ini_bool(value, &word) &&
           word == neutral_word;
}

bool keys_refuse(struct keys *keys, const struct ini_section *section,
                 const struct foreign_key *table, size_t n)
{
    bool none = true;

    for (size_t i = 0; i < n; i++) {
        const struct ini_key *key = ini_key(keys->ini, section, table[i].name);
        char *where;

        if (key == NULL || asks_nothing(&table[i], key->value))
            continue;
        where = ini_where(keys->ini, key->line, key->name);
        problem_addf(keys->problems, where, "is not served yet, and without it %s",
                     table[i].without);
        mem_free(where);
        none = false;
    }
    return none;
}

bool keys_in_fields(const struct field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

bool keys_in_foreign(const struct foreign_key *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return true;
    return false;
}

void keys_ignore(struct keys *keys, const char *name)
{
    char *place = keys->ignored + keys->ignored_len;
    size_t room = sizeof(keys->ignored) - keys->ignored_len;
    int n;

    keys->n_ignored++;
    n = snprintf(place, room, "%s%.*s", keys->ignored_len ? ", " : "", NAME_SHOWN, name);
    if (n > 0 && (size_t)n < room)
        keys->ignored_len += (size_t)n;
    else
        *place = '\0';
}

void keys_problem(struct keys *keys, const struct ini_key *key, const char *value, const char *rule)
{
    char *where = ini_where(keys->ini, key->line, key->name);

    problem_add(keys->problems, where, value, rule, NULL);
    mem_free(where);
}

void keys_report_ignored(struct keys *keys)
{
    if (keys->n_ignored > 0)
        problem_warn(keys->problems, keys->ini->file, "%zu not served and ignored: %s",
                     keys->n_ignored, keys->ignored);
}

const struct ini_section *keys_common(struct keys *keys)
{
    const struct ini_section *common = ini_section(keys->ini, "common");

    if (common == NULL)
        problem_addf(keys->problems, keys->ini->file,
                     "has no section [common]: is it in frp's INI format (TOML, YAML and JSON are "
                     "not read)?");
    return common;
}
