/* The verbs that only say something, and the one that lives elsewhere. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "config/env.h"
#include "testnode/verb.h"

int cli_version(int argc, char **argv)
{
    printf("mlgate %s\n", MLGATE_VERSION);
    return 0;
}

int cli_testnode(int argc, char **argv)
{
    return testnode_main(argc, argv);
}

int cli_misused(const char *verb)
{
    fprintf(stderr, "mlgate %s --help lists the flags\n", verb);
    return 2;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int cli_help(int argc, char **argv)
{
    char flag[] = "--help";
    char *words[] = {NULL, flag, NULL};
    const struct verb *verb;

    if (argc < 2 || asks_for_help(argv[1])) {
        cli_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "env") == 0) {
        env_help(stdout, isatty(STDOUT_FILENO));
        return 0;
    }
    words[0] = argv[1];
    verb = cli_verb(argv[1]);
    if (verb != NULL)
        return verb->run(2, words);
    fprintf(stderr, "mlgate help: nothing about '%s'; there is env, and each verb:\n\n", argv[1]);
    cli_usage(stderr);
    return 2;
}
