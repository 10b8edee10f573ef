/* How MLNode is started. What is on disk differs from image to image, so the facts are gathered
 * first (mlnode_look) and the decision is a pure function of them (mlnode_decide).
 *
 * In this order: MLNODE_COMMAND where it is given; upstream's /app/entrypoint.sh where it is there
 * and works, because upstream's changes to it are then picked up; else what that script does, done
 * here: virtual environment, PYTHONPATH, and uvicorn on loopback. */
#ifndef CONTAINER_MLNODE_H
#define CONTAINER_MLNODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum mlnode_way {
    MLNODE_NONE = 0,   /* nothing that could be started: `why` names what was looked for */
    MLNODE_ELSEWHERE,  /* nothing to start here: MLNODE_MANAGEMENT names another host */
    MLNODE_COMMAND,    /* MLNODE_COMMAND */
    MLNODE_ENTRYPOINT, /* upstream's script, with the uvicorn command as its arguments */
    MLNODE_UVICORN,    /* uvicorn, by ourselves */
};

/* What the operator said. Borrowed: everything outlives the calls that take it. */
struct mlnode_settings {
    char *const *command; /* MLNODE_COMMAND in words, or NULL */
    const char *host;     /* MLNODE_MANAGEMENT: uvicorn listens there */
    uint16_t port;        /* … when it is on loopback */
    const char *hf_home;
    int host_uid;
    int host_gid;
    const char *guard;       /* path of mlgate-bind.so, or NULL: none could be put in place */
    const char *guard_ports; /* BIND_GUARD_PORTS as the guard reads it; NULL: its own default */
    enum log_format log_format;
};

enum mlnode_script {
    MLNODE_SCRIPT_ABSENT = 0,
    MLNODE_SCRIPT_UNTRIED,
    MLNODE_SCRIPT_WORKS,
    MLNODE_SCRIPT_FAILS,
};

enum { MLNODE_PATH_MAX = 512, MLNODE_SAID_MAX = 160 };

/* What is on disk, as paths inside the container. What was not found is "". */
struct mlnode_world {
    enum mlnode_script script;          /* /app/entrypoint.sh */
    char script_said[MLNODE_SAID_MAX];  /* how it failed, printable */
    bool app_dir;                       /* /app */
    bool app_sources;                   /* the module api.app, where PYTHONPATH will point */
    char venv[MLNODE_PATH_MAX];         /* a virtual environment … */
    char venv_uvicorn[MLNODE_PATH_MAX]; /* … and programs in it */
    char venv_python[MLNODE_PATH_MAX];
    char uvicorn[MLNODE_PATH_MAX];      /* on PATH */
    char libcuda[MLNODE_PATH_MAX];      /* a libcuda.so.1 beside which libcuda.so is missing */
    char libcuda_link[MLNODE_PATH_MAX]; /* the latter's path */
};

/* How to start it. */
struct mlnode_start {
    enum mlnode_way way;
    char **argv; /* ends with NULL; NULL where there is nothing to start */
    char **envp; /* likewise; no secret of ours is in it */
    char *cwd;
    char *link_from; /* make this symbolic link first, or NULL: Triton links against -lcuda, and */
    char *link_to;   /* some rental hosts mount libcuda.so.1 alone */
    char *why;       /* one sentence for the log, never NULL */
};

/* How long upstream's script may take with the command `true`. Some versions make a user, none
 * fetches anything; one that takes longer counts as failing. */
enum { MLNODE_SCRIPT_MS = 10000 };

/* Gathers the facts below `root` ("" for the container's own). Starts nothing. */
void mlnode_look(const struct mlnode_settings *settings, char *const *environ_list,
                 const char *root, struct mlnode_world *world);

/* Where the script is UNTRIED: runs it with the command `true` in the environment that MLNode will
 * have, because only a run tells whether it works (its useradd fails where the uid is taken).
 * Blocks for up to MLNODE_SCRIPT_MS and waits for its own child. */
void mlnode_try_script(const struct mlnode_settings *settings, char *const *environ_list,
                       struct mlnode_world *world);

/* Pure. The answer owns everything in it. An untried script is taken to work. */
struct mlnode_start mlnode_decide(const struct mlnode_settings *settings,
                                  const struct mlnode_world *world, char *const *environ_list);
void mlnode_start_free(struct mlnode_start *start);
/* The environment that MLNode's own programs are found and run in, its virtual environment first on
 * PATH. Pure; released by mlnode_words_free. */
char **mlnode_tool_environment(const struct mlnode_settings *settings,
                               const struct mlnode_world *world, char *const *environ_list);
void mlnode_words_free(char **words);

/* Whether there is anything to start. When not, says once what was looked for. Does not block. */
bool mlnode_present(const struct mlnode_settings *settings, struct log *log);

/* A child_program's main (container/child.h), to be run below the shim; `settings` is a struct
 * mlnode_settings. Looks, tries, decides, and executes. Returns, with the status that a shell would
 * give, only when that is not possible. Looks anew each time: a volume may come later. */
int mlnode_main(void *settings, int link);

#endif
