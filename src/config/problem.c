#include "config/problem.h"

#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    VALUE_SHOWN = 64,  /* enough to recognise a value, short enough for one line */
    WHERE_SHOWN = 300, /* a path, a line number and a key */
    RULE_SHOWN = 1024, /* a warning may list keys */
};

void problems_init(struct problems *list)
{
    memset(list, 0, sizeof(*list));
}

static void clear(struct problem *p)
{
    mem_free(p->where);
    mem_free(p->value);
    mem_free(p->rule);
    mem_free(p->example);
    mem_free(p->setting);
}

void problems_free(struct problems *list)
{
    for (size_t i = 0; i < list->count; i++)
        clear(&list->items[i]);
    problems_init(list);
}

void problems_withdraw(struct problems *list, const char *setting)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct problem *p = &list->items[i];

        if (p->warning && p->setting != NULL && strcmp(p->setting, setting) == 0)
            clear(p);
        else
            list->items[kept++] = *p;
    }
    list->count = kept;
}

static char *safe_copy(const char *text, size_t size)
{
    char shown[RULE_SHOWN];

    if (text == NULL)
        return NULL;
    return mem_strdup(log_safe(shown, size, text, strlen(text)));
}

static struct problem *next_slot(struct problems *list)
{
    if (list->count == PROBLEMS_MAX) {
        list->unsaid++;
        return NULL;
    }
    return &list->items[list->count++];
}

void problem_add(struct problems *list, const char *where, const char *value, const char *rule,
                 const char *example)
{
    struct problem *p = next_slot(list);

    list->errors++;
    if (p == NULL)
        return;
    p->where = safe_copy(where, WHERE_SHOWN);
    p->value = safe_copy(value, VALUE_SHOWN);
    p->rule = safe_copy(rule, RULE_SHOWN);
    p->example = safe_copy(example, RULE_SHOWN);
    p->setting = NULL;
    p->warning = false;
}

void problem_addf(struct problems *list, const char *where, const char *format, ...)
{
    char rule[RULE_SHOWN];
    va_list args;

    va_start(args, format);
    vsnprintf(rule, sizeof(rule), format, args);
    va_end(args);
    problem_add(list, where, NULL, rule, NULL);
}

/* The kept warning, or NULL. */
__attribute__((format(printf, 3, 0))) static struct problem *
warn(struct problems *list, const char *where, const char *format, va_list args)
{
    struct problem *p = next_slot(list);
    char rule[RULE_SHOWN];

    if (p == NULL)
        return NULL;
    vsnprintf(rule, sizeof(rule), format, args);
    *p = (struct problem){.where = safe_copy(where, WHERE_SHOWN),
                          .rule = safe_copy(rule, RULE_SHOWN),
                          .warning = true};
    return p;
}

void problem_warn(struct problems *list, const char *where, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    warn(list, where, format, args);
    va_end(args);
}

void problem_advise(struct problems *list, const char *where, const char *setting,
                    const char *example, const char *format, ...)
{
    struct problem *p;
    va_list args;

    va_start(args, format);
    p = warn(list, where, format, args);
    va_end(args);
    if (p == NULL)
        return;
    p->setting = safe_copy(setting, WHERE_SHOWN);
    p->example = safe_copy(example, RULE_SHOWN);
}

const struct problem *problems_find(const struct problems *list, const char *where)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].where, where) == 0)
            return &list->items[i];
    return NULL;
}

static void print_one(const struct problem *p, FILE *out)
{
    fprintf(out, "%s: ", p->where);
    if (p->value)
        fprintf(out, "\"%s\" is refused: ", p->value);
    fputs(p->rule, out);
    if (p->example)
        fprintf(out, " (for example %s)", p->example);
    fputc('\n', out);
}

void problems_print(const struct problems *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->items[i].warning)
            print_one(&list->items[i], out);
    if (list->unsaid > 0)
        fprintf(out, "... and %zu more\n", list->unsaid);
}

void problems_print_warnings(const struct problems *list, FILE *out)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].warning)
            fprintf(out, "warning: %s: %s\n", list->items[i].where, list->items[i].rule);
}

void problems_print_all(const struct problems *list, FILE *out)
{
    problems_print(list, out);
    problems_print_warnings(list, out);
}

void problems_log_warnings(const struct problems *list, struct log *log)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].warning)
            log_warn(log, "%s: %s", list->items[i].where, list->items[i].rule);
}
