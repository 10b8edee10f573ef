/* What standard output is, for verbs that print for people. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* It is a terminal that knows colours, and nobody asked for none (NO_COLOR, TERM=dumb). */
bool terminal_colour(void);
/* 0: not known. */
unsigned terminal_rows(void);
unsigned terminal_columns(void);

#endif
