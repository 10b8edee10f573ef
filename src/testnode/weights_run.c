/* MLNode's endpoint for weights: their status, a download, and its end. */
#include <jansson.h>

#include "base/err.h"
#include "testnode/node.h"

/* The name in the body, valid as long as *root, which is the caller's to release; else answers
 * itself and returns NULL. */
static const char *wanted(struct conn *c, json_t **root)
{
    struct exchange *x = &c->exchange;
    const char *name;

    *root = json_loadb(x->body.data ? x->body.data : "", x->body.len, 0, NULL);
    name = json_string_value(json_object_get(*root, "hf_repo"));
    if (name == NULL)
        exchange_failure(c, 422, "body must be an object with a hf_repo", NULL);
    return name;
}

/* Names come from the client: they are written as JSON does it. */
static void answer_about(struct conn *c, int status, const char *name, const char *word,
                         uint64_t elapsed_ms)
{
    json_t *out = json_pack("{s:{s:s, s:n}, s:s, s:n}", "model", "hf_repo", name, "hf_commit",
                            "status", word, "error_message");
    struct blob body = {0};

    if (elapsed_ms > 0)
        json_object_set_new(out, "progress",
                            json_pack("{s:f}", "elapsed_seconds", (double)elapsed_ms / 1000));
    blob_json(&body, out);
    json_decref(out);
    exchange_json(c, status, &body, NULL);
}

void weights_run_status(struct conn *c)
{
    struct testnode *node = c->owner;
    json_t *root;
    const char *name = wanted(c, &root);
    uint64_t elapsed_ms = 0;
    enum weights_status status;

    if (name != NULL) {
        status = weights_status(&node->weights, name, node_now_ms(node), &elapsed_ms);
        answer_about(c, 200, name, weights_status_name(status),
                     status == WEIGHTS_DOWNLOADING ? elapsed_ms : 0);
    }
    json_decref(root);
}

void weights_run_download(struct conn *c)
{
    struct testnode *node = c->owner;
    json_t *root;
    const char *name = wanted(c, &root);
    uint64_t now_ms = node_now_ms(node);
    int rc = name ? weights_download(&node->weights, name, now_ms) : 0;

    if (rc == ERR_EXISTS)
        exchange_failure(c, 409, "Model is already downloading", NULL);
    else if (rc == ERR_LIMIT)
        exchange_failure(c, 429, "Maximum concurrent downloads (3) reached", NULL);
    else if (rc != 0)
        exchange_failure(c, 400, "hf_repo is no name", NULL);
    else if (name != NULL)
        answer_about(c, 202, name,
                     weights_status_name(weights_status(&node->weights, name, now_ms, NULL)), 0);
    json_decref(root);
}

void weights_run_delete(struct conn *c)
{
    struct testnode *node = c->owner;
    json_t *root;
    const char *name = wanted(c, &root);
    enum weights_status was =
        name ? weights_delete(&node->weights, name, node_now_ms(node)) : WEIGHTS_NOT_FOUND;

    if (name != NULL && was == WEIGHTS_NOT_FOUND)
        exchange_failure(c, 404, "Model not found in cache", NULL);
    else if (name != NULL)
        answer_about(c, 200, name, was == WEIGHTS_DOWNLOADING ? "cancelled" : "deleted", 0);
    json_decref(root);
}
