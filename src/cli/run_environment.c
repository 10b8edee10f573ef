#include "cli/run_environment.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/env.h"
#include "observe/door.h"

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

/* Cuts the next "NAME=value" at its '=' and puts *value behind that; NULL at the end. */
static char *next_line(char **at, const char *end, char **value)
{
    while (*at < end) {
        char *line = *at;
        char *equals = strchr(line, '=');

        *at += strlen(line) + 1;
        if (equals == NULL || equals == line)
            continue;
        *equals = '\0';
        *value = equals + 1;
        return line;
    }
    return NULL;
}

static bool listed(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        size_t len = strlen(*names);

        if (strcmp(*names, name) == 0 ||
            (len > 0 && (*names)[len - 1] == '*' && strncmp(*names, name, len - 1) == 0))
            return true;
    }
    return false;
}

/* `only`: those names; NULL: all. Whether there was a token is asked before, so that both variables
 * of PID 1 may come, and be reported. */
static size_t borrow(const char *path, const char *const *only)
{
    bool had_token = has_token();
    size_t added = 0;
    size_t len;
    char *text = read_all(path, &len);
    char *at = text;
    char *name, *value;

    if (text == NULL)
        return 0;
    while ((name = next_line(&at, text + len, &value)) != NULL) {
        bool wanted = is_token(name) ? !had_token : !has(name);

        if (wanted && (only == NULL || listed(name, only)) && setenv(name, value, 1) == 0)
            added++;
    }
    mem_free_secret(text, RUN_ENVIRONMENT_MAX + 1);
    return added;
}

size_t run_environment_borrow(const char *path)
{
    return lacks_something() ? borrow(path, NULL) : 0;
}

size_t run_environment_borrow_only(const char *path, const char *const *names)
{
    return borrow(path, names);
}

const char *run_environment_find(const char *path, const char *const *beginnings)
{
    const char *found = NULL;
    size_t len;
    char *text = read_all(path, &len);

    for (char *line = text; text != NULL && found == NULL && line < text + len;
         line += strlen(line) + 1)
        for (size_t i = 0; beginnings[i] != NULL && found == NULL; i++)
            if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0)
                found = beginnings[i];
    mem_free_secret(text, text ? RUN_ENVIRONMENT_MAX + 1 : 0);
    return found;
}

/* ---- the directory --------------------------------------------------------------------------- */

static const char directory_name[] = "FRP_CONFIG_DIR";

static bool take(char out[PATH_MAX], const char *value)
{
    if (value == NULL || *value == '\0')
        return false;
    snprintf(out, PATH_MAX, "%s", value);
    return true;
}

/* The kernel's list of sockets has the paths of those that listen. Any user can have one there:
 * what counts is who listens. */
static bool take_from_sockets(char out[PATH_MAX], const char *path)
{
    static const char socket_name[] = "/mlgate.sock\n";
    FILE *list = fopen(path, "re");
    char line[PATH_MAX + 128];
    bool found = false;

    if (list == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), list) != NULL) {
        char *folder = strchr(line, '/');
        char *end = strstr(line, socket_name);

        if (folder == NULL || end == NULL || end == folder)
            continue;
        end[strlen(socket_name) - 1] = '\0';
        if (!door_is_ours(folder))
            continue;
        *end = '\0';
        found = take(out, folder);
    }
    fclose(list);
    return found;
}

static const char *fallback(void)
{
    for (size_t i = 0; i < env_n_fields; i++)
        if (strcmp(env_fields[i].name, directory_name) == 0)
            return env_fields[i].fallback;
    return "";
}

char *run_environment_directory(char out[PATH_MAX])
{
    static const char *const names[] = {directory_name, NULL};

    if (!has(directory_name))
        run_environment_borrow_only("/proc/1/environ", names);
    if (!take(out, env_get(environ, directory_name)) && !take_from_sockets(out, "/proc/net/unix"))
        take(out, fallback());
    return out;
}
