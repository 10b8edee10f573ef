#include "observe/report_line.h"

#include <stdarg.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"

/* ---- lines ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void add(struct report *r, const char *format,
                                                      va_list list)
{
    size_t room = sizeof(r->text) - r->len;
    int n = vsnprintf(r->text + r->len, room, format, list);

    if (n > 0)
        r->len += (size_t)n < room ? (size_t)n : room - 1;
}

void line_add(struct report *r, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    add(r, format, list);
    va_end(list);
}

void line_item(struct report *r, const char *format, ...)
{
    va_list list;

    if (r->len > 0)
        line_add(r, ", ");
    va_start(list, format);
    add(r, format, list);
    va_end(list);
}

void line_count(struct report *r, uint64_t n, const char *noun)
{
    char text[HUMAN_MAX];

    line_item(r, "%s %s%s", human_count(text, n), noun, n == 1 ? "" : "s");
}

void line_since(struct report *r, const json_t *object, const char *key)
{
    char age[HUMAN_MAX];

    if (has(object, key))
        line_add(r, " for %s", human_age(age, number(object, key)));
}

/* How much of `text` goes into a line of `width`: up to a blank, or a whole word that is longer. */
static size_t fitting(const char *text, size_t width)
{
    size_t len = strlen(text);
    size_t at = width;

    if (len <= width)
        return len;
    while (at > 0 && text[at] != ' ')
        at--;
    return at > 0 ? at : strcspn(text, " ");
}

static void put_label(struct report *r, enum line_kind kind, const char *label)
{
    static const char *const colours[] = {
        [LINE_PLAIN] = "\x1b[1m", [LINE_TITLE] = "\x1b[1m", [LINE_BROKEN] = "\x1b[1;31m"};

    if (r->colour)
        fputs(colours[kind], r->out);
    if (kind != LINE_TITLE)
        fprintf(r->out, "%-*s", LINE_INDENT, label);
    if (r->colour && kind == LINE_PLAIN)
        fputs("\x1b[0m", r->out);
}

void line_end(struct report *r, enum line_kind kind, const char *label)
{
    int indent = kind == LINE_TITLE ? 0 : LINE_INDENT;
    const char *text = r->text;

    if (r->len == 0)
        return;
    put_label(r, kind, label);
    while (*text != '\0') {
        size_t n = fitting(text, (size_t)(LINE_WIDTH - indent));

        fprintf(r->out, "%.*s\n", (int)n, text);
        text += n;
        text += strspn(text, " ");
        if (*text != '\0')
            fprintf(r->out, "%*s", indent, "");
    }
    if (r->colour && kind != LINE_PLAIN)
        fputs("\x1b[0m", r->out);
    r->len = 0;
    r->text[0] = '\0';
}

/* ---- members --------------------------------------------------------------------------------- */

const json_t *member(const json_t *object, const char *key)
{
    size_t len = strcspn(key, ".");
    char first[64];

    if (key[len] == '\0')
        return json_object_get(object, key);
    snprintf(first, sizeof(first), "%.*s", (int)len, key);
    return member(json_object_get(object, first), key + len + 1);
}

const json_t *section(const json_t *object, const char *key)
{
    const json_t *value = member(object, key);

    return json_is_object(value) ? value : NULL;
}

bool has(const json_t *object, const char *key)
{
    return member(object, key) != NULL;
}

double real(const json_t *object, const char *key)
{
    return json_number_value(member(object, key));
}

uint64_t number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(member(object, key));

    return n > 0 ? (uint64_t)n : 0;
}

const char *string(const json_t *object, const char *key, char out[STRING_ROOM])
{
    const json_t *value = member(object, key);

    return log_safe(out, STRING_ROOM, json_is_string(value) ? json_string_value(value) : "",
                    json_string_length(value));
}

bool says(const json_t *object, const char *key)
{
    return json_string_length(member(object, key)) > 0;
}

bool string_is(const json_t *object, const char *key, const char *word)
{
    const char *text = json_string_value(member(object, key));

    return text != NULL && strcmp(text, word) == 0;
}

const char *behind(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return len > 0 && strncmp(text, prefix, len) == 0 && strncmp(text + len, ": ", 2) == 0
               ? text + len + 2
               : text;
}
