/* `mlgate status`: how a running mlgate is, for people or as JSON, once or again and again. */
#include "cli/status.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/run_environment.h"
#include "cli/terminal.h"
#include "cli/verb.h"
#include "config/frps.h"
#include "config/problem.h"

struct asked {
    const char *config;    /* -c */
    const char *state_dir; /* the next two: with --server */
    const char *bind;
    bool server;
    bool json;
    bool watch;
};

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate status [--json] [--watch] [-c FILE]\n"
        "       mlgate status --server [--json] [--watch] [--state-dir DIR] [--bind ADDR]\n\n"
        "Says how the `mlgate run` or `mlgate client` of this machine is: its servers, what goes\n"
        "through, what was refused, MLNode, the model, restarts, listeners that strangers may\n"
        "reach; what is broken comes first. With --server: who is logged in at this machine's\n"
        "`mlgate server`, and who was refused. Asked as root or as its user. Status: 0 when it\n"
        "answered, otherwise 1.\n\n"
        "  -j, --json         the whole document as JSON\n"
        "  -w, --watch        again each second, until Ctrl-C; with --json one line each\n"
        "  -c, --config FILE  the `mlgate client -c FILE` of this file\n"
        "  -s, --server       the network node's side\n"
        "      --state-dir DIR, --bind ADDR   which server, by what it was started with\n"
        "  -h, --help         this text\n\n"
        "FRP_CONFIG_DIR is taken from here, else from PID 1.\n",
        out);
}

/* The flags count before the variables. What else the server's variables say is its own business,
 * and so are their mistakes. NULL: a flag is wrong, which has been said. */
static char *server_door(const struct asked *a)
{
    struct server_config cfg;
    struct problems theirs;
    struct problems ours;
    char *path = NULL;

    problems_init(&theirs);
    problems_init(&ours);
    server_config_defaults(&cfg);
    server_config_env(&cfg, environ, &theirs);
    if ((a->state_dir == NULL || server_config_set(&cfg, "state-dir", a->state_dir, &ours)) &&
        (a->bind == NULL || server_config_set(&cfg, "bind", a->bind, &ours)))
        path = status_server_door(a->bind != NULL && a->state_dir == NULL ? NULL : cfg.state_dir,
                                  cfg.bind_port);
    problems_print(&ours, stderr);
    server_config_free(&cfg);
    problems_free(&ours);
    problems_free(&theirs);
    return path;
}

/* false: it cannot be, which has been said. */
static bool aim(const struct asked *a, struct status_target *t)
{
    char *path;
    int n;

    t->directory[0] = '\0';
    t->server = a->server;
    if (a->server) {
        t->who = "`mlgate server`";
        path = server_door(a);
    } else if (a->config != NULL) {
        t->who = "`mlgate client -c`";
        path = mem_printf("%s.sock", a->config);
    } else {
        t->who = "`mlgate run`";
        path = mem_printf("%s/status.sock", run_environment_directory(t->directory));
    }
    if (path == NULL)
        return false;
    n = snprintf(t->path, sizeof(t->path), "%s", path);
    mem_free(path);
    if (n > 0 && (size_t)n < sizeof(t->path))
        return true;
    fputs("mlgate status: the path is too long\n", stderr);
    return false;
}

static int run(const struct asked *a)
{
    struct status_target target;
    struct status_answer answer;
    bool colour = terminal_colour();

    if (!aim(a, &target))
        return 2;
    if (a->watch)
        return status_watch(&target, a->json) ? 0 : 1;
    status_ask(&target, &answer);
    if (answer.document == NULL && !a->json)
        fprintf(stderr, "%s\n", answer.error);
    else
        status_print(stdout, &answer, a->json, JSON_INDENT(2), colour);
    json_decref(answer.document);
    return answer.error[0] == '\0' ? 0 : 1;
}

/* false: another word than the flags that say something. */
static bool take(struct asked *a, int flag, const char *value)
{
    switch (flag) {
    case 'j':
        a->json = true;
        return true;
    case 'w':
        a->watch = true;
        return true;
    case 's':
        a->server = true;
        return true;
    case 'c':
        a->config = value;
        return true;
    case 'd':
        a->state_dir = value;
        return true;
    case 'b':
        a->bind = value;
        return true;
    default:
        return false;
    }
}

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"watch", no_argument, NULL, 'w'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"server", no_argument, NULL, 's'},
                                            {"state-dir", required_argument, NULL, 'd'},
                                            {"bind", required_argument, NULL, 'b'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct asked a = {0};
    int opt;

    while ((opt = getopt_long(argc, argv, "jwc:sh", options, NULL)) != -1) {
        if (take(&a, opt, optarg))
            continue;
        usage(opt == 'h' ? stdout : stderr);
        return opt == 'h' ? 0 : 2;
    }
    if (optind < argc)
        fprintf(stderr, "mlgate status: unexpected argument '%s'\n", argv[optind]);
    else if (a.server ? a.config != NULL : a.state_dir != NULL || a.bind != NULL)
        fputs("mlgate status: -c is for a client, --state-dir and --bind for --server\n", stderr);
    else
        return run(&a);
    usage(stderr);
    return 2;
}
