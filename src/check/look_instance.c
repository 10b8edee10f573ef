#include "check/look_instance.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "observe/door.h"

enum {
    ASK_MS = 1000,                   /* the answer is made in a fraction of it */
    DOCUMENT_MAX = 16 * 1024 * 1024, /* more than any has */
};

static json_t *document(const char *config_dir)
{
    char *path = mem_printf("%s/status.sock", config_dir);
    int fd = door_knock(path, ASK_MS);
    char *text = NULL;
    ssize_t len = fd >= 0 ? door_hear(fd, DOCUMENT_MAX, ASK_MS, &text) : fd;
    json_t *found = len >= 0 ? json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (fd >= 0)
        close(fd);
    mem_free(text);
    mem_free(path);
    return found;
}

/* The first of a server's ports that was refused: the others wait for it. */
static void note_refused(const json_t *server, struct instance_facts *f)
{
    size_t i;
    json_t *port;

    json_array_foreach (json_object_get(server, "ports"), i, port) {
        const char *error = json_string_value(json_object_get(port, "error"));
        const char *state = json_string_value(json_object_get(port, "state"));

        if (error == NULL || state == NULL || strcmp(state, "refused") != 0)
            continue;
        snprintf(f->refused, sizeof(f->refused), "%s", error);
        f->refused_port = (uint16_t)json_integer_value(json_object_get(port, "remote"));
        return;
    }
}

static void note_servers(const json_t *found, struct instance_facts *f)
{
    const json_t *servers = json_object_get(found, "servers");
    size_t i;
    json_t *server;

    f->refused[0] = '\0';
    f->several = json_array_size(servers) > 1;
    json_array_foreach (servers, i, server) {
        const char *state = json_string_value(json_object_get(server, "state"));

        f->registered |= state != NULL && strcmp(state, "registered") == 0;
        if (f->refused[0] == '\0')
            note_refused(server, f);
    }
}

void look_refused(const char *config_dir, struct instance_facts *f)
{
    json_t *found = document(config_dir);

    note_servers(found, f);
    json_decref(found);
}

static void note_left(const char *config_dir, const char *name, struct instance_facts *f)
{
    char *path = mem_printf("%s/%s", config_dir, name);
    struct stat st;

    if (f->left[0] == '\0' && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        log_safe(f->left, sizeof(f->left), path, strlen(path));
    mem_free(path);
}

void look_others(const char *config_dir, struct instance_facts *f)
{
    json_t *found = document(config_dir);
    const char *role = json_string_value(json_object_get(found, "role"));

    f->client = role != NULL && strcmp(role, "client") == 0;
    if (f->client) {
        note_servers(found, f);
    } else if (found == NULL) {
        note_left(config_dir, "mlgate.sock", f);
        note_left(config_dir, "status.sock", f);
    }
    json_decref(found);
}
