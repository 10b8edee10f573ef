/* `mlgate health`: what PID 1 of this container says about itself, or whether a server serves. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/run_environment.h"
#include "cli/verb.h"
#include "config/client_config.h"
#include "config/field.h"
#include "config/problem.h"
#include "container/health.h"
#include "net/fetch.h"

enum { PAGE_MAX = 16 * 1024 * 1024 /* a line for each port of thousands of clients */ };

static void usage(FILE *out)
{
    fputs(
        "usage: mlgate health [--live | --server [ADDRESS:]PORT]\n\n"
        "Asks the `mlgate run` of this container, as root. Status 0: ready, which means that the\n"
        "tunnel is registered with a server and MLNode's management answers. Otherwise 1.\n\n"
        "  -l, --live   0 when the supervisor and its worker respond, whatever the network node\n"
        "               and MLNode do: the only question that may decide about a restart\n"
        "  -s, --server [ADDRESS:]PORT\n"
        "               of a `mlgate server` instead: 0 when its page of --metrics answers there;\n"
        "               nothing else is asked, so that the server sees no failed login\n"
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

/* ---- a server -------------------------------------------------------------------------------- */

static int ask_page(const struct server_addr *at)
{
    const struct fetch_request request = {.host = at->host,
                                          .port = at->port,
                                          .path = "/metrics",
                                          .timeout_ms = HEALTH_ASK_MS,
                                          .body_max = PAGE_MAX};
    struct fetch_answer answer;
    char error[FETCH_ERROR_MAX];
    int status;

    if (fetch(&request, &answer, error, sizeof(error)) != 0) {
        printf("the server does not answer: %s\n", error);
        return 1;
    }
    status = answer.status == 200 ? 0 : 1;
    if (status == 0)
        puts("live");
    else
        printf("%s answers with %u: is it the server's --metrics?\n", answer.peer, answer.status);
    fetch_release(&answer);
    return status;
}

static int ask_server(const char *where)
{
    static const struct field page = {.name = "--server",
                                      .kind = FIELD_PAGE,
                                      .offset = offsetof(struct server_addr, host),
                                      .count_offset = offsetof(struct server_addr, port),
                                      .example = "127.0.0.1:9180"};
    struct server_addr at = {0};
    struct problems problems;
    int status = 2;

    problems_init(&problems);
    if (field_set(&page, &at, where, page.name, &problems) && at.host == NULL)
        problem_addf(&problems, page.name, "must say where the page is");
    if (problems.errors > 0)
        problems_print(&problems, stderr);
    else
        status = ask_page(&at);
    problems_free(&problems);
    mem_free(at.host);
    return status;
}

int cli_health(int argc, char **argv)
{
    static const struct option options[] = {{"live", no_argument, NULL, 'l'},
                                            {"server", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *server = NULL;
    bool live = false;
    int opt;

    while ((opt = getopt_long(argc, argv, "ls:h", options, NULL)) != -1) {
        if (opt == 'l') {
            live = true;
        } else if (opt == 's') {
            server = optarg;
        } else {
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind == argc)
        return server != NULL ? ask_server(server) : ask(live);
    fprintf(stderr, "mlgate health: unexpected argument '%s'\n", argv[optind]);
    usage(stderr);
    return 2;
}
