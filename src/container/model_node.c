/* MLNode's endpoint for models. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "container/model_internal.h"
#include "container/sockets.h"
#include "net/fetch.h"

enum {
    BODY_MAX = 64 * 1024, /* an error message has 500 letters of a tool's output */
    /* Before it begins, MLNode asks the hub for the list of files, and looks at all of them. */
    ORDER_MS = 30000,
};

static const char status_path[] = "/api/v1/models/status";
static const char download_path[] = "/api/v1/models/download";
static const char models_path[] = "/api/v1/models";

/* ---- what an answer means -------------------------------------------------------------------- */

static enum model_says says_of(const char *word)
{
    static const struct {
        const char *word;
        enum model_says says;
    } words[] = {
        {"DOWNLOADED", MODEL_SAYS_DOWNLOADED}, {"DOWNLOADING", MODEL_SAYS_DOWNLOADING},
        {"PARTIAL", MODEL_SAYS_MISSING},       {"NOT_FOUND", MODEL_SAYS_MISSING},
        {"IGNORED", MODEL_SAYS_IGNORED},
    };

    for (size_t i = 0; word && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].says;
    return MODEL_SAYS_ODD;
}

enum model_says model_node_read(unsigned status, const char *body, size_t len, char *detail,
                                size_t size)
{
    json_t *root = json_loadb(body ? body : "", len, 0, NULL);
    const json_t *message = json_object_get(root, status < 300 ? "error_message" : "detail");
    enum model_says says = MODEL_SAYS_ODD;

    detail[0] = '\0';
    if (json_string_length(message) > 0)
        log_safe(detail, size, json_string_value(message), json_string_length(message));
    if (status == 404 || status == 405 || status == 501)
        says = MODEL_SAYS_NO_ENDPOINT;
    else if (status == 409)
        says = MODEL_SAYS_TAKEN;
    else if (status == 429)
        says = MODEL_SAYS_BUSY;
    else if (status >= 200 && status < 300)
        says = says_of(json_string_value(json_object_get(root, "status")));
    if (says == MODEL_SAYS_ODD && detail[0] == '\0')
        snprintf(detail, size, "status %u", status);
    json_decref(root);
    return says;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static enum model_says ask(struct model_node *n, const char *method, const char *path,
                           const char *name, unsigned timeout_ms)
{
    /* A repository's name needs no escaping (model_kind). */
    char *json = mem_printf("{\"hf_repo\":\"%s\",\"hf_commit\":null}", name);
    const struct fetch_request request = {.host = n->host,
                                          .port = n->port,
                                          .method = method,
                                          .path = path,
                                          .json = json,
                                          .timeout_ms = timeout_ms,
                                          .body_max = BODY_MAX};
    enum model_says says = MODEL_SAYS_NOTHING;
    struct fetch_answer answer;
    char error[FETCH_ERROR_MAX];

    n->detail[0] = '\0';
    if (fetch(&request, &answer, error, sizeof(error)) == 0) {
        model_hide_secrets(n->envp, answer.body, answer.body_len);
        says = model_node_read(answer.status, answer.body, answer.body_len, n->detail,
                               sizeof(n->detail));
    }
    fetch_release(&answer);
    mem_free(json);
    return says;
}

enum model_says model_node_ask(struct model_node *n, const char *name, unsigned timeout_ms)
{
    return ask(n, "POST", status_path, name, timeout_ms);
}

enum model_says model_node_order(struct model_node *n, const char *name)
{
    return ask(n, "POST", download_path, name, ORDER_MS);
}

bool model_node_cancel(struct model_node *n, const char *name)
{
    if (model_node_ask(n, name, MODEL_NODE_POLL_MS) != MODEL_SAYS_DOWNLOADING)
        return false;
    ask(n, "DELETE", models_path, name, ORDER_MS);
    return true;
}

/* ---- whose process it is --------------------------------------------------------------------- */

struct wanted {
    uint16_t port;
    uint64_t inode; /* 0: not found */
};

static void note(void *ctx, const struct listening *l)
{
    struct wanted *w = ctx;

    if (l->port == w->port)
        w->inode = l->inode;
}

struct model_identity model_node_identity(uint16_t port)
{
    struct model_identity who = {.change = false};
    struct wanted wanted = {.port = port};
    char name[SOCKETS_NAME_MAX];
    char path[32];
    struct stat st;
    pid_t pid;

    if (geteuid() != 0 || sockets_read("/proc", note, &wanted) != 0 || wanted.inode == 0)
        return who;
    pid = sockets_owner("/proc", wanted.inode, name);
    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (pid > 0 && stat(path, &st) == 0 && st.st_uid != 0)
        who = (struct model_identity){.change = true, .uid = st.st_uid, .gid = st.st_gid};
    return who;
}
