/* A command line as words, without a shell: blanks separate, '...' and "..." keep blanks together
 * (and make an empty word possible), a backslash outside of '...' takes the next character as it
 * is. Nothing is expanded. */
#ifndef CONFIG_WORDS_H
#define CONFIG_WORDS_H

/* The words, ended by NULL, in one piece of memory that mem_free releases. NULL: a quote is not
 * closed, a backslash has nothing behind it, or there is no word at all. */
char **words_split(const char *text);

#endif
