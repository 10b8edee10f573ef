#include "container/variables.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { ITEM_NONE = -1 };

static bool is_named(const char *item, const char *name)
{
    size_t len = strlen(name);

    return strncmp(item, name, len) == 0 && item[len] == '=';
}

static ptrdiff_t find(const struct variables *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_named(list->items[i], name))
            return (ptrdiff_t)i;
    return ITEM_NONE;
}

struct variables variables_copy(char *const *from)
{
    struct variables list = {0};

    while (from[list.count])
        list.count++;
    list.items = mem_array(NULL, list.count + 1, sizeof(*list.items));
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = mem_strdup(from[i]);
    list.items[list.count] = NULL;
    variables_unset(&list, "SECRET_FRP_TOKEN");
    variables_unset(&list, "SECRET_FRP_TOKEN_FILE");
    return list;
}

void variables_free(struct variables *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct variables){0};
}

const char *variables_get(const struct variables *list, const char *name)
{
    ptrdiff_t at = find(list, name);

    return at == ITEM_NONE ? NULL : strchr(list->items[at], '=') + 1;
}

void variables_unset(struct variables *list, const char *name)
{
    ptrdiff_t at;

    /* An environment may have a name twice; programs differ in which one counts. */
    while ((at = find(list, name)) != ITEM_NONE) {
        mem_free_secret(list->items[at], strlen(list->items[at]));
        memmove(list->items + at, list->items + at + 1,
                (list->count - (size_t)at) * sizeof(*list->items));
        list->count--;
    }
}

void variables_set(struct variables *list, const char *name, const char *format, ...)
{
    char value[8];
    char *item;
    size_t head = strlen(name) + 1;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    item = mem_alloc(head + (size_t)len + 1);
    memcpy(item, name, head - 1);
    item[head - 1] = '=';
    va_start(args, format);
    vsnprintf(item + head, (size_t)len + 1, format, args);
    va_end(args);
    /* Only now: an argument may be the old value. */
    variables_unset(list, name);
    list->items = mem_array(list->items, list->count + 2, sizeof(*list->items));
    list->items[list->count++] = item;
    list->items[list->count] = NULL;
}

/* Where in `value` the item stands, or NULL. */
static const char *item_at(const char *value, const char *item, char separator)
{
    size_t len = strlen(item);

    for (const char *at = value;; at++) {
        if (strncmp(at, item, len) == 0 && (at[len] == separator || at[len] == '\0'))
            return at;
        at = strchr(at, separator);
        if (at == NULL)
            return NULL;
    }
}

static bool is_empty(const char *value)
{
    return value == NULL || *value == '\0';
}

void variables_prepend(struct variables *list, const char *name, const char *item, char separator)
{
    const char *value = variables_get(list, name);

    if (is_empty(value))
        variables_set(list, name, "%s", item);
    else if (item_at(value, item, separator) != value)
        variables_set(list, name, "%s%c%s", item, separator, value);
}

void variables_append(struct variables *list, const char *name, const char *item, char separator)
{
    const char *value = variables_get(list, name);

    if (is_empty(value))
        variables_set(list, name, "%s", item);
    else if (item_at(value, item, separator) == NULL)
        variables_set(list, name, "%s%c%s", value, separator, item);
}
