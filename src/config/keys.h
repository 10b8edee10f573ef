/* From the keys of an INI section to the members of a configuration, and what becomes of keys that
 * frp has and we do not serve. Ignoring one silently would let an operator believe in something
 * that does not happen, so each is named: as an error where it changes what is exposed or how it is
 * protected, in one common warning line otherwise. */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/field.h"
#include "config/ini.h"

struct problems;

struct foreign_key {
    const char *name;
    const char *without; /* what happens when the key is not obeyed, in words */
    const char *neutral; /* the value that asks for nothing; NULL: 0 and the words for false */
};

/* Everything that reading one file needs, on the stack of the reader. */
struct keys {
    const struct ini *ini;
    struct problems *problems;
    char ignored[512]; /* names for the warning */
    size_t ignored_len;
    size_t n_ignored;
};

/* Sets what the section says. As in frp a key without a value is as good as not written. */
void keys_set(struct keys *keys, const struct ini_section *section, const struct field *fields,
              size_t n, void *base);
/* An error for each key of the table that asks for something; true when there was none. */
bool keys_refuse(struct keys *keys, const struct ini_section *section,
                 const struct foreign_key *table, size_t n);
bool keys_in_fields(const struct field *fields, size_t n, const char *name);
bool keys_in_foreign(const struct foreign_key *table, size_t n, const char *name);
/* Notes a name for the warning. */
void keys_ignore(struct keys *keys, const char *name);
void keys_problem(struct keys *keys, const struct ini_key *key, const char *value,
                  const char *rule);
/* Says the warning, when there is something to say. */
void keys_report_ignored(struct keys *keys);

/* The section [common], which every file of frp's must have; NULL with the error said. */
const struct ini_section *keys_common(struct keys *keys);

#endif
