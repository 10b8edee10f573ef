#include "container/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char token_name[] = "SECRET_FRP_TOKEN";
static const char file_name[] = "SECRET_FRP_TOKEN_FILE";

/* All that have the name: getenv would find the first alone. */
static void overwrite(const char *name)
{
    size_t len = strlen(name);

    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            explicit_bzero(*entry + len + 1, strlen(*entry + len + 1));
}

void secret_close_memory(void)
{
#ifdef MLGATE_SANITIZED
    prctl(PR_SET_DUMPABLE, 1);
#else
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

void secret_hide(struct secret *s)
{
    struct rlimit none;

    overwrite(token_name);
    unsetenv(token_name);
    unsetenv(file_name);
    getrlimit(RLIMIT_CORE, &s->core);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = s->core.rlim_max};
    setrlimit(RLIMIT_CORE, &none);
    secret_close_memory();
}

void secret_forget(char *token)
{
    if (token != NULL)
        explicit_bzero(token, strlen(token));
}

void secret_leave(const struct secret *s)
{
    setrlimit(RLIMIT_CORE, &s->core);
}
