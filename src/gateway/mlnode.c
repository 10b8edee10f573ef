#include "gateway/mlnode.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_word(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z') ||
              text[i] == '_'))
            return false;
    return len > 0 && len < MLNODE_STATE_MAX;
}

bool mlnode_state(const char *body, size_t len, char out[MLNODE_STATE_MAX])
{
    json_t *answer = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *state = json_string_value(json_object_get(answer, "state"));
    bool good = state != NULL && is_word(state);

    if (good)
        memcpy(out, state, strlen(state) + 1);
    json_decref(answer);
    return good;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each id with its length in front, because an id may hold any byte. */
static char *join(const char **ids, size_t n)
{
    size_t room = 1;
    size_t used = 0;
    char *text;

    for (size_t i = 0; i < n; i++)
        room += strlen(ids[i]) + sizeof("18446744073709551615:,");
    text = mem_alloc(room);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(ids[i], ids[i - 1]) != 0)
            used += (size_t)snprintf(text + used, room - used, "%zu:%s,", strlen(ids[i]), ids[i]);
    return text;
}

static char *ids_of(const json_t *list)
{
    size_t n = json_array_size(list);
    const char **ids;
    char *text = NULL;
    size_t i;

    if (n == 0)
        return NULL;
    ids = mem_array(NULL, n, sizeof(*ids));
    for (i = 0; i < n; i++) {
        ids[i] = json_string_value(json_object_get(json_array_get(list, i), "id"));
        if (ids[i] == NULL)
            break;
    }
    if (i == n) {
        qsort(ids, n, sizeof(*ids), by_bytes);
        text = join(ids, n);
    }
    mem_free(ids);
    return text;
}

char *mlnode_models(const char *body, size_t len)
{
    json_t *answer = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    char *text = ids_of(json_object_get(answer, "data"));

    json_decref(answer);
    return text;
}
