/* One line of a report at a time: a label, and words that wrap under themselves. Shared by the
 * files of the report, and nobody else's. */
#ifndef OBSERVE_REPORT_LINE_H
#define OBSERVE_REPORT_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    LINE_WIDTH = 80,
    LINE_INDENT = 10,  /* labels are shorter */
    LINE_ROOM = 2048,  /* what does not fit is cut: a sentence of the document has half of it */
    STRING_ROOM = 400, /* the same for one string */
};

struct report {
    FILE *out;
    bool colour;
    size_t len; /* of `text` */
    char text[LINE_ROOM];
};

enum line_kind { LINE_PLAIN = 0, LINE_TITLE = 1, LINE_BROKEN = 2 };

/* Collects words; the line is written by line_end. */
void line_add(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, with ", " before it when the line has words already. */
void line_item(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "1 session", "2 sessions" as one more item. */
void line_count(struct report *r, uint64_t n, const char *noun);
/* " for 3 m 12 s" of the seconds in `key`; nothing where they are not known. */
void line_since(struct report *r, const json_t *object, const char *key);
/* Nothing is written when there are no words. */
void line_end(struct report *r, enum line_kind kind, const char *label);

/* Members of the document; NULL, 0 or "" where they are absent or of another kind. `key` may be
 * "a.b". The string is the caller's room and escaped. */
const json_t *member(const json_t *object, const char *key);
/* The same where it is an object. */
const json_t *section(const json_t *object, const char *key);
bool has(const json_t *object, const char *key);
uint64_t number(const json_t *object, const char *key);
double real(const json_t *object, const char *key);
const char *string(const json_t *object, const char *key, char out[STRING_ROOM]);
/* It is there and not empty. */
bool says(const json_t *object, const char *key);
/* The part of `text` behind "prefix: "; all of it where that is not what it begins with. */
const char *behind(const char *text, const char *prefix);
bool string_is(const json_t *object, const char *key, const char *word);

#endif
