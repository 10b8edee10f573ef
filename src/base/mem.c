#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *p, size_t size)
{
    if (p == NULL) {
        fprintf(stderr, "mlgate: out of memory asking for %zu bytes\n", size);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return or_die(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size)
{
    return or_die(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *old, size_t size)
{
    return or_die(realloc(old, size ? size : 1), size);
}

void *mem_array(void *old, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        or_die(NULL, SIZE_MAX);
    return mem_realloc(old, count * size);
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_printf(const char *format, ...)
{
    va_list args;
    char *text;
    int len;

    /* Not vasprintf: it may grow in steps, and the text may hold a secret. */
    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        or_die(NULL, SIZE_MAX);
    text = mem_alloc((size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

void mem_free(void *p)
{
    free(p);
}

void mem_free_secret(void *p, size_t size)
{
    if (p == NULL)
        return;
    explicit_bzero(p, size);
    free(p);
}
