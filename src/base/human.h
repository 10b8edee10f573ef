/* Numbers as people read them. */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include <stddef.h>
#include <stdint.h>

enum { HUMAN_MAX = 32 }; /* holds every one of them */

/* "17 B", "1.4 KiB", "312 MiB", "1.21 TiB": three digits that count. Returns `out`. */
char *human_bytes(char out[HUMAN_MAX], uint64_t bytes);
/* "40 s", "7 min", "3.4 h", "12 d". Returns `out`. */
char *human_seconds(char out[HUMAN_MAX], uint64_t seconds);
/* To the second where it is young: "12 s", "3 m 12 s", "2 h 3 m", "5 d 1 h". Returns `out`. */
char *human_age(char out[HUMAN_MAX], uint64_t seconds);
/* "0.31 ms", "23.1 ms", "310 ms", "1.2 s", "3 m 12 s". Returns `out`. */
char *human_ms(char out[HUMAN_MAX], double ms);
/* "1,234,567". Returns `out`. */
char *human_count(char out[HUMAN_MAX], uint64_t n);

#endif
