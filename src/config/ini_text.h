/* Between the two halves of the INI reader; nobody else includes this. */
#ifndef CONFIG_INI_TEXT_H
#define CONFIG_INI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/ini.h"

void ini_trim_left(const char **text, size_t *len);
/* 3 for a value that opens with """, 1 for `, 0 for everything else. */
size_t ini_quote_len(const char *text, size_t len);
/* The last occurrence of the quote in the text, or NULL. */
const char *ini_last_quote(const char *text, size_t len, const char *quote, size_t quote_len);
/* One pair of ' or " around the text and none of the same kind inside. */
bool ini_surrounded(const char *text, size_t len);
/* Fills in the templates. *out is the caller's and may be NULL when *out_len is 0. */
int ini_expand(const char *file, const char *text, size_t len, ini_getenv *get, void *context,
               char **out, size_t *out_len, struct problems *problems);

#endif
