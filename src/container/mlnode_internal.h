/* What the files of MLNode's start share. No one else includes this.
 *
 *   mlnode.c       the decision
 *   mlnode_look.c  the facts
 *   mlnode_run.c   the steps, up to execve */
#ifndef CONTAINER_MLNODE_INTERNAL_H
#define CONTAINER_MLNODE_INTERNAL_H

/* Where upstream's images keep things. */
#define MLNODE_SCRIPT     "/app/entrypoint.sh"
#define MLNODE_VENV       "/app/packages/api/.venv"
#define MLNODE_VENV_2     "/app/.venv"
#define MLNODE_VENVS      "VIRTUAL_ENV, " MLNODE_VENV " and " MLNODE_VENV_2
#define MLNODE_PYTHONPATH "/app:/app/packages/api/src"
/* What a login shell has; for an image that sets no PATH. */
#define MLNODE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#endif
