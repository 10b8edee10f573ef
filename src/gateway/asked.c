#include "gateway/asked.h"

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static void forget(struct asked *a)
{
    mem_free(a->body);
    a->body = NULL;
    a->len = 0;
    a->by = NULL;
}

void asked_begin(struct asked *a, const void *by)
{
    forget(a);
    a->by = by;
}

void asked_take(struct asked *a, const void *by, const char *data, size_t len)
{
    if (a->by != by || len == 0)
        return;
    if (len > ASKED_BODY_MAX - a->len) {
        forget(a); /* whatever that is, no order to load a model */
        return;
    }
    a->body = mem_realloc(a->body, a->len + len);
    memcpy(a->body + a->len, data, len);
    a->len += len;
}

bool asked_done(struct asked *a, const void *by)
{
    json_t *root = a->by == by && a->len > 0 ? json_loadb(a->body, a->len, 0, NULL) : NULL;
    const json_t *model = json_object_get(root, "model");
    char name[ASKED_NAME_MAX];
    bool changed = false;

    if (json_string_length(model) > 0) {
        log_safe(name, sizeof(name), json_string_value(model), json_string_length(model));
        changed = strcmp(name, a->name) != 0;
        memcpy(a->name, name, sizeof(name));
    }
    json_decref(root);
    asked_leave(a, by);
    return changed;
}

void asked_leave(struct asked *a, const void *by)
{
    if (a->by == by)
        forget(a);
}
