/* The environment of a child, as a list that is changed before it is handed to execve. */
#ifndef CONTAINER_VARIABLES_H
#define CONTAINER_VARIABLES_H

#include <stddef.h>

struct variables {
    char **items; /* "NAME=value", ended by NULL */
    size_t count;
};

/* A copy of `from` (ends with NULL) without what a child must not have: the tunnel's token, which
 * any program that MLNode starts could read. Released by variables_free. */
struct variables variables_copy(char *const *from);
void variables_free(struct variables *list);

/* The value, valid until the list is changed; NULL when it is not set. */
const char *variables_get(const struct variables *list, const char *name);
/* Sets NAME to what the format yields, once, in the place of what was there. */
void variables_set(struct variables *list, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void variables_unset(struct variables *list, const char *name);
/* Puts `item` before (behind) what the variable has, with `separator` in between; an empty variable
 * gets the item alone. Changes nothing when it is the first one already (is among them already). */
void variables_prepend(struct variables *list, const char *name, const char *item, char separator);
void variables_append(struct variables *list, const char *name, const char *item, char separator);

#endif
