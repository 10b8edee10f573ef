#include "cli/run_environment.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/env.h"

static bool is_token(const char *name)
{
    return strcmp(name, "SECRET_FRP_TOKEN") == 0 || strcmp(name, "SECRET_FRP_TOKEN_FILE") == 0;
}

static bool has(const char *name)
{
    const char *value = env_get(environ, name);

    return value != NULL && *value != '\0';
}

static bool has_token(void)
{
    return has("SECRET_FRP_TOKEN") || has("SECRET_FRP_TOKEN_FILE");
}

static bool lacks_something(void)
{
    for (size_t i = 0; i < env_n_fields; i++) {
        const struct field *f = &env_fields[i];

        if (f->required && !(is_token(f->name) ? has_token() : has(f->name)))
            return true;
    }
    return false;
}

/* NULL when it cannot be read. */
static char *read_all(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text;
    ssize_t n;

    if (fd < 0)
        return NULL;
    text = mem_alloc(RUN_ENVIRONMENT_MAX + 1);
    *len = 0;
    while (*len < RUN_ENVIRONMENT_MAX &&
           (n = read(fd, text + *len, RUN_ENVIRONMENT_MAX - *len)) > 0)
        *len += (size_t)n;
    close(fd);
    text[*len] = '\0';
    return text;
}

/* `had_token`: from before, so that both variables of PID 1 may come, and be reported. */
static bool add(char *line, bool had_token)
{
    char *equals = strchr(line, '=');
    bool wanted;

    if (equals == NULL || equals == line)
        return false;
    *equals = '\0';
    wanted = is_token(line) ? !had_token : !has(line);
    return wanted && setenv(line, equals + 1, 1) == 0;
}

size_t run_environment_borrow(const char *path)
{
    bool had_token = has_token();
    size_t added = 0;
    size_t len;
    char *text;

    if (!lacks_something() || (text = read_all(path, &len)) == NULL)
        return 0;
    for (char *line = text; line < text + len;) {
        size_t length = strlen(line);

        added += add(line, had_token);
        line += length + 1;
    }
    mem_free_secret(text, RUN_ENVIRONMENT_MAX + 1);
    return added;
}
