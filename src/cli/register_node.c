#include "cli/register_node.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { INFERENCE_BASE = 10000, POC_BASE = 20000 /* 1{CLIENT_ID}, 2{CLIENT_ID} */ };

/* The API node puts "http://" before it and a port behind it. */
static json_t *host_json(const char *host)
{
    char *text = mem_printf(strchr(host, ':') != NULL ? "[%s]" : "%s", host);
    json_t *json = json_string(text);

    mem_free(text);
    return json;
}

static json_t *models_json(const struct registration *r)
{
    json_t *args = json_array();
    json_t *models = json_object();

    for (size_t i = 0; i < r->args.n; i++)
        json_array_append_new(args, json_string(r->args.words[i]));
    json_object_set_new(models, r->env.model_name, json_pack("{s:o}", "args", args));
    return models;
}

static char *dump(const json_t *json, size_t flags)
{
    size_t len = json_dumpb(json, NULL, 0, flags);
    char *text = mem_alloc(len + 1);

    json_dumpb(json, text, len, flags);
    text[len] = '\0';
    return text;
}

char *register_node_json(const struct registration *r, bool one_line)
{
    const json_int_t id = r->env.client_id_number;
    json_t *node = json_object();
    char *text;

    json_object_set_new(node, "id", json_string(r->env.node_id));
    json_object_set_new(node, "host", host_json(r->host));
    json_object_set_new(node, "inference_port", json_integer(INFERENCE_BASE + id));
    json_object_set_new(node, "poc_port", json_integer(POC_BASE + id));
    json_object_set_new(node, "models", models_json(r));
    json_object_set_new(node, "max_concurrent", json_integer(r->max_concurrent));
    text = dump(node, one_line ? JSON_COMPACT : JSON_INDENT(2));
    json_decref(node);
    return text;
}

/* As one word for a shell. */
static char *shell_quoted(const char *text)
{
    size_t quotes = 0;
    char *out, *to;

    for (const char *c = text; *c; c++)
        quotes += *c == '\'';
    out = to = mem_alloc(strlen(text) + quotes * 3 + 3);
    *to++ = '\'';
    for (const char *c = text; *c; c++) {
        if (*c == '\'') {
            memcpy(to, "'\\'", 3);
            to += 3;
        }
        *to++ = *c;
    }
    *to++ = '\'';
    *to = '\0';
    return out;
}

char *register_node_command(const char *json)
{
    char *quoted = shell_quoted(json);
    char *command = mem_printf("curl -sS -X POST http://127.0.0.1:9200/admin/v1/nodes "
                               "-H 'Content-Type: application/json' --data-raw %s",
                               quoted);

    mem_free(quoted);
    return command;
}
