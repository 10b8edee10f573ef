/* The verbs that only say something, and the one that lives elsewhere. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "config/env.h"
#include "config/frps.h"
#include "config/registration.h"
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

int cli_help(int argc, char **argv)
{
    bool colour = isatty(STDOUT_FILENO);
    char client[] = "client";
    char help[] = "--help";
    char *const client_help[] = {client, help, NULL};

    if (argc < 2) {
        cli_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "env") == 0)
        env_help(stdout, colour);
    else if (strcmp(argv[1], "server") == 0)
        server_help(stdout, colour);
    else if (strcmp(argv[1], "gateway") == 0)
        env_gateway_help(stdout, colour);
    else if (strcmp(argv[1], "register") == 0)
        registration_help(stdout, colour);
    else if (strcmp(argv[1], "client") == 0)
        return cli_client(2, (char **)(void *)client_help);
    else {
        fprintf(
            stderr,
            "mlgate help: nothing about '%s'; there is env, client, gateway, register, server\n",
            argv[1]);
        return 2;
    }
    return 0;
}
