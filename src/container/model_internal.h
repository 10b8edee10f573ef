/* What the files of the model's preparation share. No one else includes this.
 *
 *   model_look.c     the disk: what is there of the model, how much is free, which tools
 *   model_clean.c    what killed downloads left there
 *   model_node.c     MLNode's endpoint, and whose process it is
 *   model_tool.c     a tool as a child process, and what it says
 *   model_measure.c  how much there is to fetch
 *   model_run.c      the steps of model.h in their order */
#ifndef CONTAINER_MODEL_INTERNAL_H
#define CONTAINER_MODEL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/gate.h"
#include "base/log.h"
#include "container/mlnode.h"
#include "container/model.h"
#include "container/model_disk.h"

/* ---- model_look.c ---------------------------------------------------------------------------- */

/* Where the hub's library keeps models in this environment; MLNode's downloader looks at HF_HOME
 * alone. false: the path is too long to be one. */
bool model_cache_dir(char *const *envp, enum model_by by, char out[MLNODE_PATH_MAX]);

/* The directory of a repository in a cache, models--OWNER--NAME. */
enum { MODEL_FOLDER_MAX = MODEL_REPOSITORY_MAX + 16 };
void model_folder(const char *name, char out[MODEL_FOLDER_MAX]);
/* How the names of files end that are not whole. */
#define MODEL_COMING ".incomplete"

enum { MODEL_PYTHONS_MAX = 5 };

/* Programs of the image, as MLNode's environment finds them; "": not there. */
struct model_tools {
    char hf[MLNODE_PATH_MAX];
    char hf_cli[MLNODE_PATH_MAX];
    /* Which may have huggingface_hub, the likeliest first. */
    char python[MODEL_PYTHONS_MAX][MLNODE_PATH_MAX];
    size_t n_pythons;
};
void model_tools_look(char *const *envp, struct model_tools *out);
/* Whether a variable of the hub's library that is a switch is on. */
bool model_switch_is_on(char *const *envp, const char *name);

/* ---- model_clean.c --------------------------------------------------------------------------- */

/* Bytes in parts of files that no download will take up. `remove`: those that nobody writes any
 * more are removed first: nobody holds their lock, and their file came otherwise or they are older
 * than a download may stand still. */
uint64_t model_leftovers(const char *dir, const char *name, bool remove);

/* ---- model_tool.c ---------------------------------------------------------------------------- */

enum {
    MODEL_TOOL_LINE_MAX = 1024,
    MODEL_TOOL_TAIL_MAX = 8192, /* holds a Python traceback with its causes */
    MODEL_TOOL_SECRETS = 4,
    MODEL_TOOL_READS = 64, /* in one go */
    MODEL_TOOL_BURST = 8,  /* lines in the log at once; then one a second */
};

/* Whose process a tool becomes. */
struct model_identity {
    bool change;
    uid_t uid;
    gid_t gid;
};

struct model_tool {
    pid_t pid;       /* 0: none runs */
    int out;         /* its standard output and error; -1: none */
    struct log *log; /* its lines go there, escaped and not too many; NULL: nowhere */
    const char *name;
    char *const *envp; /* whose secrets are never shown */
    struct log_gates gates;
    struct log_gate gate;
    char line[MODEL_TOOL_LINE_MAX];
    size_t line_len;
    bool cut; /* the rest of the line is dropped */
    char tail[MODEL_TOOL_TAIL_MAX];
    size_t tail_len;
};

/* `argv` and `envp` end with NULL. `name` and what `envp` points to outlive the tool. false, with
 * errno: it could not be started. */
bool model_tool_start(struct model_tool *t, const char *name, const char *const *argv,
                      char *const *envp, const struct model_identity *who, struct log *log);
/* Takes what it has said. Does not wait. */
void model_tool_read(struct model_tool *t, uint64_t now_us);
/* Whether it has ended; then *status is as a shell has it. Does not wait. */
bool model_tool_ended(struct model_tool *t, uint64_t now_us, int *status);
/* Ends it: TERM, and KILL a moment later. Waits for that. */
void model_tool_end(struct model_tool *t);
/* Overwrites what of the secrets is in `text`. */
void model_hide_secrets(char *const *envp, char *text, size_t len);

/* ---- model_measure.c ------------------------------------------------------------------------- */

/* Asks the hub, by its own library in one of `tools`' Pythons, how large the model is. Fills total,
 * fault, retry_after_s and tool of *out; *python is the one that has the library, or NULL. Waits
 * for up to a minute for each. */
void model_measure_hub(const char *name, const struct model_tools *tools, char *const *envp,
                       const struct model_identity *who, struct model_measure *out,
                       const char **python);
/* The one line that the little program in Python writes; false: it is none. Pure. */
bool model_measure_line(const char *line, size_t len, struct model_measure *out);

/* ---- model_node.c ---------------------------------------------------------------------------- */

enum { MODEL_NODE_POLL_MS = 5000 };

struct model_node {
    const char *host;
    uint16_t port;
    char *const *envp; /* whose secrets do not appear in `detail` */
    char detail[160];  /* of the last answer, printable; "" */
};

enum model_says model_node_ask(struct model_node *n, const char *name, unsigned timeout_ms);
enum model_says model_node_order(struct model_node *n, const char *name);
/* Ends a download that is under way, and only that: a model that is whole would be deleted. false:
 * it was not told so. */
bool model_node_cancel(struct model_node *n, const char *name);
/* What an answer means. Pure. */
enum model_says model_node_read(unsigned status, const char *body, size_t len, char *detail,
                                size_t size);
/* Whose process listens on MLNode's port, where we are root and it is not. */
struct model_identity model_node_identity(uint16_t port);

#endif
