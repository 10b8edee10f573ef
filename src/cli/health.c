/* `mlgate health`: what PID 1 of this container says about itself. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/run_environment.h"
#include "cli/verb.h"
#include "container/health.h"

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate health [--live]\n\n"
        "Asks the `mlgate run` of this container, as root. Status 0: ready, which means that the\n"
        "tunnel is registered with the server and MLNode's management answers. Otherwise 1.\n\n"
        "  -l, --live   0 when the supervisor and its worker respond, whatever the network node\n"
        "               and MLNode do: the only question that may decide about a restart\n"
        "  -h, --help   this text\n\n"
        "FRP_CONFIG_DIR is taken from here, else from PID 1.\n",
        out);
}

static int ask(bool live)
{
    char directory[PATH_MAX];
    struct health h;
    int rc = health_ask(run_environment_directory(directory), &h);
    bool good;

    if (rc == -ENOENT || rc == -ECONNREFUSED) {
        puts("no `mlgate run` is here (for this FRP_CONFIG_DIR)");
        return 1;
    }
    if (rc == -EACCES || rc == -EPERM) {
        puts("`mlgate run` answers root only");
        return 1;
    }
    if (rc != 0) {
        printf("`mlgate run` does not answer: %s\n", strerror(-rc));
        return 1;
    }
    good = live ? health_is_live(&h) : health_is_ready(&h);
    if (live)
        puts(good ? "live" : health_text(&h));
    else
        printf("%s: %s\n", good ? "ready" : "not ready", health_text(&h));
    return good ? 0 : 1;
}

int cli_health(int argc, char **argv)
{
    static const struct option options[] = {
        {"live", no_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool live = false;
    int opt;

    while ((opt = getopt_long(argc, argv, "lh", options, NULL)) != -1) {
        if (opt == 'l') {
            live = true;
        } else {
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind == argc)
        return ask(live);
    fprintf(stderr, "mlgate health: unexpected argument '%s'\n", argv[optind]);
    usage(stderr);
    return 2;
}
