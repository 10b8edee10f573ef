#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"
#include "config/typo.h"

static const struct verb verbs[] = {
    {"run", cli_run, "the container's entry point: tunnel, gateway and MLNode, supervised"},
    {"health", cli_health, "whether the running container is ready; --live: whether it lives"},
    {"check", cli_check, "everything that is wrong here, each with its remedy"},
    {"status", cli_status, "what goes on in a running mlgate: --json, --watch"},
    {"client", cli_client,
     "the tunnel client: -c frpc.ini, or tunnel and gateway from the environment"},
    {"gateway", cli_gateway, "the HTTP gateway in front of one MLNode, alone"},
    {"server", cli_server, "the frp server for the network node"},
    {"register", cli_register, "the node object for the API node, printed or sent"},
    {"testnode", cli_testnode, "a stand-in for MLNode without a GPU"},
    {"demo", cli_demo, "all of it on loopback: a streamed answer, what is routed and refused"},
    {"version", cli_version, "print the version"},
    {"help", cli_help, "this text; `help VERB` describes one verb, `help env` the environment"},
};

enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

void cli_usage(FILE *out)
{
    fprintf(out, "usage: mlgate VERB [ARGUMENTS]\n\n");
    for (size_t i = 0; i < N_VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    fprintf(out, "\nmlgate VERB --help describes one verb.\n");
}

const struct verb *cli_verb(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

/* A list would push the answer out of sight where there is one. */
static int refuse(const char *word)
{
    fprintf(stderr, "mlgate: unknown verb '%s'", word);
    for (size_t i = 0; i < N_VERBS; i++) {
        if (typo_is_near(word, strlen(word), verbs[i].name)) {
            fprintf(stderr, ": did you mean %s?\n", verbs[i].name);
            return 2;
        }
    }
    fputs("\n\n", stderr);
    cli_usage(stderr);
    return 2;
}

static const char *without_dashes(const char *word)
{
    while (*word == '-')
        word++;
    return word;
}

/* As images do: `docker run IMAGE bash`. Returns when there is no such program. */
static void execute(char **argv)
{
    if (argv[0][0] != '-' && argv[0][0] != '\0')
        execvp(argv[0], argv);
}

/* Where one is closed, the next socket would have its number, and get what is written to it. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    const struct verb *verb;

    fill_standard_descriptors();
    if (argc < 2 && getpid() == 1)
        return cli_run(argc, argv);
    if (argc < 2) {
        cli_usage(stderr);
        return 2;
    }
    verb = cli_verb(argv[1]);
    if (verb != NULL)
        return verb->run(argc - 1, argv + 1);
    if (strcmp(argv[1], "-h") == 0 || strcmp(without_dashes(argv[1]), "help") == 0)
        return cli_help(argc - 1, argv + 1);
    if (strcmp(argv[1], "-v") == 0 || strcmp(without_dashes(argv[1]), "version") == 0)
        return cli_version(argc - 1, argv + 1);
    execute(argv + 1);
    return refuse(argv[1]);
}
