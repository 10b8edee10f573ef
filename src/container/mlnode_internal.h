/* What the files of MLNode's start share. No one else includes this.
 *
 *   mlnode.c       the decision
 *   mlnode_look.c  the facts
 *   mlnode_run.c   the steps, up to execve
 *
 * The preparation of the model (model_internal.h) finds its tools the same way. */
#ifndef CONTAINER_MLNODE_INTERNAL_H
#define CONTAINER_MLNODE_INTERNAL_H

#include <stdbool.h>

/* Where upstream's images keep things. */
#define MLNODE_SCRIPT     "/app/entrypoint.sh"
#define MLNODE_VENV       "/app/packages/api/.venv"
#define MLNODE_VENV_2     "/app/.venv"
#define MLNODE_VENVS      "VIRTUAL_ENV, " MLNODE_VENV " and " MLNODE_VENV_2
#define MLNODE_PYTHONPATH "/app:/app/packages/api/src"
/* The interpreter of vLLM's engines, which is not the virtual environment's. */
#define MLNODE_ENGINE_PYTHON "/usr/bin/python3.12"
/* What a login shell has; for an image that sets no PATH. */
#define MLNODE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* mlnode_look.c: the first directory of a list with colons that has the program; its path goes to
 * out[MLNODE_PATH_MAX], which stays as it is when there is none. */
bool mlnode_find_program(const char *list, const char *name, char *out);

#endif
