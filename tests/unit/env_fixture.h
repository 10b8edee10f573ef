/* An environment that a test changes line by line; shared by the tests of the contract and of the
 * token. Include after cmocka. */
#ifndef TEST_ENV_FIXTURE_H
#define TEST_ENV_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/env.h"
#include "config/problem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MEGABYTE     ((size_t)1 << 20)

/* A secret that no output may contain. */
#define SECRET "hunter2-Xyzzy"

/* The smallest complete environment; a test changes one line of it or adds some. */
static const char *const base_environment[] = {
    "API_NODE=203.0.113.7:8000",
    "FRP_SERVER=frp.example.org:7000",
    "SECRET_FRP_TOKEN=" SECRET,
    "CLIENT_ID=0042",
    "PATH=/usr/bin",
    NULL,
};

enum { ENVIRONMENT_MAX = 40 };

struct fixture {
    char *list[ENVIRONMENT_MAX];
    size_t n;
    struct env_config env;
    struct problems problems;
};

static inline void set_line(struct fixture *f, const char *name, const char *value)
{
    size_t len = strlen(name);
    size_t i;

    for (i = 0; i < f->n; i++)
        if (strncmp(f->list[i], name, len) == 0 && f->list[i][len] == '=')
            break;
    if (i == f->n) {
        assert_true(f->n + 1 < ENVIRONMENT_MAX);
        f->n++;
    } else {
        mem_free(f->list[i]);
    }
    f->list[i] = mem_printf("%s=%s", name, value);
    f->list[f->n] = NULL;
}

static inline void unset_line(struct fixture *f, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < f->n; i++)
        if (strncmp(f->list[i], name, len) == 0 && f->list[i][len] == '=') {
            mem_free(f->list[i]);
            f->list[i] = f->list[--f->n];
            f->list[f->n] = NULL;
            return;
        }
}

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    for (; base_environment[f->n]; f->n++)
        f->list[f->n] = mem_strdup(base_environment[f->n]);
    problems_init(&f->problems);
}

static inline void fixture_free(struct fixture *f)
{
    for (size_t i = 0; i < f->n; i++)
        mem_free(f->list[i]);
    env_free(&f->env);
    problems_free(&f->problems);
}

static inline char *printed(const struct problems *problems)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    problems_print(problems, out);
    fclose(out);
    return text;
}

static inline void assert_secret_unsaid(const struct problems *problems, const char *secret)
{
    char *text = printed(problems);

    assert_null(strstr(text, secret));
    free(text);
    for (size_t i = 0; i < problems->count; i++) {
        assert_null(strstr(problems->items[i].rule, secret));
        assert_true(problems->items[i].value == NULL ||
                    strstr(problems->items[i].value, secret) == NULL);
    }
}

#endif
