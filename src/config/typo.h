/* Slips of the finger in names: a variable that nobody reads would be passed over in silence. */
#ifndef CONFIG_TYPO_H
#define CONFIG_TYPO_H

#include <stdbool.h>
#include <stddef.h>

struct problems;

/* `len` bytes at `text` differ from `name` by one letter too many, too few, another one or two
 * swapped; by two of these where the name has more than eight letters. The first letter must be
 * right: words of other programs end like ours more often than anyone misses the first key. Pure;
 * bounded by the name's length, which is at most TYPO_NAME_MAX. */
bool typo_is_near(const char *text, size_t len, const char *name);
enum { TYPO_NAME_MAX = 40 };

/* Warns of each variable that is none of ours and whose name is near to one of ours that is not
 * set. The first is about the environment contract, the second about the server's variables. */
void typo_warn_contract(char *const *environ_list, struct problems *problems);
void typo_warn_server(char *const *environ_list, struct problems *problems);

#endif
