#include "container/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

int command_main(void *ctx, int link)
{
    char **words = ctx;

    unsetenv("SECRET_FRP_TOKEN");
    unsetenv("SECRET_FRP_TOKEN_FILE");
    execvp(words[0], words);
    dprintf(STDERR_FILENO, "mlgate: MLNODE_COMMAND: cannot execute %s: %s\n", words[0],
            strerror(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
