/* MLNODE_COMMAND: any model server in the place of MLNode. */
#ifndef CONTAINER_COMMAND_H
#define CONTAINER_COMMAND_H

/* A child_program's main; `words` is a char ** as words_split returns it. Executes the program,
 * looked up in PATH, with this process's environment but without the token. Returns, with the
 * status a shell would give, only when that is not possible. */
int command_main(void *words, int link);

#endif
