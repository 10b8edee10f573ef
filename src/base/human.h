/* Numbers as people read them. */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include <stddef.h>
#include <stdint.h>

enum { HUMAN_MAX = 16 }; /* holds every one of them */

/* "17 B", "1.4 KiB", "312 MiB", "1.21 TiB": three digits that count. Returns `out`. */
char *human_bytes(char out[HUMAN_MAX], uint64_t bytes);
/* "40 s", "7 min", "3.4 h", "12 d". Returns `out`. */
char *human_seconds(char out[HUMAN_MAX], uint64_t seconds);

#endif
