/* Heap access for everything that links into the worker. An allocation that the kernel refuses ends
 * the process with one clear line: what peers can make us hold is bounded by the budget
 * (base/budget.h), so a refusal here means the machine is out of memory, and the supervisor's
 * restart is the honest answer. Nothing else in the tree calls malloc. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
/* Grows an array to hold `count` elements of `size`; refuses products that overflow by ending. */
void *mem_array(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *format, ...)
    __attribute__((format(printf, 1, 2), nonnull(1), returns_nonnull));
/* NULL is allowed. */
void mem_free(void *p);
/* Overwrites before freeing, in a way that the compiler keeps. For secrets. NULL is allowed. */
void mem_free_secret(void *p, size_t size);

#endif
