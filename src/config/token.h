/* The shared frp token, read as the original frpc reads it from its INI file, so that a container
 * and a network node that were configured for the original agree on the same bytes. */
#ifndef CONFIG_TOKEN_H
#define CONFIG_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

/* frp has no limit; nobody types more, and a megabyte of it is an accident worth naming. */
enum { TOKEN_MAX = 4096 };

/* Takes blanks and CR from the ends and one pair of surrounding quotes (then *unquoted is true).
 * NULL on success, with *out the caller's (release with token_free); otherwise the rule that the
 * text breaks, a static text that shows nothing of the token. */
const char *token_from_text(const char *text, size_t len, char **out, bool *unquoted);

/* The same from a file; `why` gets the text for people when the answer is not 0. */
int token_from_file(const char *path, char **out, bool *unquoted, char *why, size_t why_size);

/* Overwrites before freeing. NULL is allowed. */
void token_free(char *token);

#endif
