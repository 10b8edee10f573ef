/* `mlgate status`: how a running mlgate is, for people or as JSON, once or again and again. */
#include "cli/status.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run_environment.h"
#include "cli/verb.h"

struct asked {
    const char *config; /* -c */
    bool json;
    bool watch;
};

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate status [--json] [--watch] [-c FILE]\n\n"
        "Says how the `mlgate run` or `mlgate client` of this machine is: its servers, what goes\n"
        "through, what was refused, MLNode, the model, restarts, listeners that strangers may\n"
        "reach; what is broken comes first. Asked as root or as its user. Status: 0 when it\n"
        "answered, otherwise 1.\n\n"
        "  -j, --json         the whole document as JSON\n"
        "  -w, --watch        again each second, until Ctrl-C; with --json one line each\n"
        "  -c, --config FILE  the `mlgate client -c FILE` of this file\n"
        "  -h, --help         this text\n\n"
        "FRP_CONFIG_DIR is taken from here, else from PID 1.\n",
        out);
}

static bool aim(const struct asked *a, struct status_target *t)
{
    int n;

    t->who = a->config ? "`mlgate client -c`" : "`mlgate run`";
    t->directory[0] = '\0';
    if (a->config != NULL) {
        n = snprintf(t->path, sizeof(t->path), "%s.sock", a->config);
    } else {
        run_environment_directory(t->directory);
        n = snprintf(t->path, sizeof(t->path), "%s/status.sock", t->directory);
    }
    return n > 0 && (size_t)n < sizeof(t->path);
}

static int run(const struct asked *a)
{
    struct status_target target;
    struct status_answer answer;
    bool colour = isatty(STDOUT_FILENO);

    if (!aim(a, &target)) {
        fputs("mlgate status: the path is too long\n", stderr);
        return 2;
    }
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

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"watch", no_argument, NULL, 'w'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct asked a = {0};
    int opt;

    while ((opt = getopt_long(argc, argv, "jwc:h", options, NULL)) != -1) {
        switch (opt) {
        case 'j':
            a.json = true;
            break;
        case 'w':
            a.watch = true;
            break;
        case 'c':
            a.config = optarg;
            break;
        default:
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind == argc)
        return run(&a);
    fprintf(stderr, "mlgate status: unexpected argument '%s'\n", argv[optind]);
    usage(stderr);
    return 2;
}
