/* frp's INI files, read as frp reads them. frp uses the Go library ini.v1 with inline comments off
 * and boolean keys on, after it has rendered the whole file as a Go text template. Its rules, where
 * they differ from what other INI readers do:
 *  - a comment is a whole line that begins with # or ; (after blanks); never the end of a line;
 *  - '=' or ':' ends a key, whichever comes first; a line without either is a key with value
 * "true";
 *  - '…' and "…" around a value are removed when the same quote is not inside; a value that begins
 *    with ` or """ ends at the last such quote of the line or of a later one, and what follows it
 * is dropped;
 *  - a backslash at the end of a line joins the next line, which is then not unquoted;
 *  - names are case-sensitive, the last value of a key wins, sections of one name are one section;
 *  - a key that section [a.b] lacks is looked for in [a].
 * Deviations, all towards an error instead of a surprise: templates other than {{ .Envs.NAME }},
 * variables that are not set or hold a line break, NUL bytes, and %(key)s where it would be
 * replaced are refused. */
#ifndef CONFIG_INI_H
#define CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>

struct problems;

enum {
    INI_SIZE_MAX = 1 << 20,     /* bytes of a file, before and after its templates are filled in */
    INI_SECTIONS_MAX = 8192,    /* a proxy each */
    INI_KEYS_MAX = 512,         /* of one section */
    INI_ALL_KEYS_MAX = 1 << 17, /* of a file */
};

struct ini_key {
    char *name;
    char *value; /* never NULL */
    size_t line;
};

struct ini_section {
    char *name;
    struct ini_key *keys;
    size_t n_keys;
    size_t line;
};

struct ini {
    char *file; /* as the caller named it, for messages */
    struct ini_section *sections;
    size_t n_sections;
    size_t n_keys;
};

/* Answers a variable's value, valid until the next call, or NULL when it is not set. */
typedef const char *ini_getenv(void *context, const char *name);

/* Fills in the templates and reads the text. Every error is in `problems` with file and line; then
 * the result is negative and *out is empty. Values are secrets as a whole: never shown. */
int ini_read(const char *file, const char *text, size_t len, ini_getenv *get, void *context,
             struct ini *out, struct problems *problems);
/* The bytes of an INI file for ini_read, the caller's (mem_free_secret). Otherwise a negative code,
 * with the cause in `problems`. */
int ini_read_file(const char *path, char **text, size_t *len, struct problems *problems);
/* Overwrites all values. */
void ini_free(struct ini *ini);

/* NULL when there is none. */
const struct ini_section *ini_section(const struct ini *ini, const char *name);
/* The key of the section or of the one it is a child of; NULL when there is none. */
const struct ini_key *ini_key(const struct ini *ini, const struct ini_section *section,
                              const char *name);
/* "file:line: name", the caller's. `name` NULL: "file:line". */
char *ini_where(const struct ini *ini, size_t line, const char *name);

/* What one value text means when it stands behind the equals sign. 0, and *out the caller's and
 * *unquoted set when quotes were removed; ERR_TYPE for a backslash at the end, ERR_SYNTAX for an
 * opening ` or """ without its end. */
int ini_decode(const char *text, size_t len, char **out, bool *unquoted);
/* The other way: a text that frp reads as exactly `value`, the caller's, or NULL when there is none
 * (line breaks, templates). */
char *ini_encode(const char *value);
/* The name in the next %(name)s of the text, or NULL. *at starts at the text and is moved. */
const char *ini_reference(const char **at, size_t *len);
/* Takes white space, as Unicode and Go see it, from both ends. */
void ini_trim(const char **text, size_t *len);

#endif
