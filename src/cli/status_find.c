/* Which other doors of mlgate are open on this machine, for those who asked at the wrong one. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/status.h"

enum {
    FOUND_MAX = 4, /* a hint, no list */
    NAME_MAX_SAID = 160,
    LINE_ROOM = 512, /* of /proc/net/unix: numbers, and a name of at most 108 bytes */
    LISTENS = 0x10000,
};

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t n = strlen(end);

    return len >= n && strcmp(text + len - n, end) == 0;
}

/* A door is DIRECTORY/status.sock, or FILE.sock beside a client's file. */
static bool is_door(const char *path)
{
    return ends_with(path, "/status.sock") || ends_with(path, ".toml.sock") ||
           ends_with(path, ".ini.sock");
}

/* The name of a socket that listens; false: the line has none. */
static bool take_name(char *line, const char **name)
{
    unsigned flags;
    int at = 0;

    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%*s %*x %*x %x %*x %*x %*u %n", &flags, &at) != 1 || at == 0)
        return false;
    *name = line + at;
    return (flags & LISTENS) != 0;
}

bool status_find(const char *proc_net_unix, const char *not_this, char *out, size_t size)
{
    FILE *in = fopen(proc_net_unix, "re");
    char line[LINE_ROOM];
    const char *name;
    size_t found = 0;

    out[0] = '\0';
    while (in != NULL && found < FOUND_MAX && fgets(line, sizeof(line), in) != NULL) {
        char safe[NAME_MAX_SAID];
        size_t len = strlen(out);

        if (!take_name(line, &name) || !is_door(name) || strcmp(name, not_this) == 0)
            continue;
        snprintf(out + len, size - len, "%s%s", found > 0 ? ", " : "",
                 log_safe(safe, sizeof(safe), name, strlen(name)));
        found++;
    }
    if (in != NULL)
        fclose(in);
    return found > 0;
}
