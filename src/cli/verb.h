/* The verbs of the command line. Each gets argv with its own name first and returns the exit
 * status: 0 done or stopped on request, 2 usage or configuration, 1 otherwise. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include <stdio.h>

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

int cli_run(int argc, char **argv);
int cli_health(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_client(int argc, char **argv);
int cli_gateway(int argc, char **argv);
int cli_server(int argc, char **argv);
int cli_register(int argc, char **argv);
int cli_testnode(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_help(int argc, char **argv);

/* The list of verbs; main.c has it. */
void cli_usage(FILE *out);
/* The verb of this name, or NULL. */
const struct verb *cli_verb(const char *name);
/* Behind a message about a word of the command line, on standard error: where the flags are told.
 * The help itself would push the message out of sight. Returns the exit status. */
int cli_misused(const char *verb);

#endif
