/* What is wrong with a configuration, collected so that everything is said at once. An error stops
 * the start; a warning is said and the start goes on. */
#ifndef CONFIG_PROBLEM_H
#define CONFIG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct log;

/* More than anyone reads; what comes after is counted and said as one number. */
enum { PROBLEMS_MAX = 64 };

struct problem {
    char *where; /* a variable, a flag, or file:line: key */
    char *value; /* escaped and shortened; NULL: secret, absent or pointless */
    char *rule;
    char *example; /* NULL: none */
    char *setting; /* that a warning is about; NULL: not said */
    bool warning;
};

struct problems {
    struct problem items[PROBLEMS_MAX];
    size_t count;
    size_t errors; /* every error ever added, kept or not */
    size_t unsaid; /* what no longer fitted */
};

void problems_init(struct problems *list);
void problems_free(struct problems *list);

/* Copies everything. `value` (NULL: do not show one) is escaped with log_safe and cut at about 60
 * characters; secrets must never be passed here. `example` may be NULL. */
void problem_add(struct problems *list, const char *where, const char *value, const char *rule,
                 const char *example);
void problem_addf(struct problems *list, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problem_warn(struct problems *list, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A warning about `setting`, and what to write instead. */
void problem_advise(struct problems *list, const char *where, const char *setting,
                    const char *example, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Takes a warning about `setting` back: something else has settled it. */
void problems_withdraw(struct problems *list, const char *setting);

/* The first kept problem about exactly `where`, or NULL. Valid until the next call on the list. */
const struct problem *problems_find(const struct problems *list, const char *where);

/* Errors only, one line each. */
void problems_print(const struct problems *list, FILE *out);
/* Warnings only: for tools, one line each; for what keeps a log, one log line each. */
void problems_print_warnings(const struct problems *list, FILE *out);
/* Both, the errors first: where nothing is started. */
void problems_print_all(const struct problems *list, FILE *out);
void problems_log_warnings(const struct problems *list, struct log *log);

#endif
