/* `mlgate check`: what is wrong here, all of it at once. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "check/container.h"
#include "check/report.h"
#include "cli/run_environment.h"
#include "cli/verb.h"
#include "config/env.h"
#include "config/frpc.h"
#include "config/problem.h"

struct options {
    bool json;
    bool terminal; /* signs and colours */
};

static void usage(FILE *out)
{
    fputs("usage: mlgate check [--json]\n\n"
          "In the GPU container: looks at the configuration, the way to each FRP server with a\n"
          "login that claims no port, the API node, MLNode, disk, GPUs, and what is open to\n"
          "strangers. Nothing that runs is disturbed, nothing is written. Works before\n"
          "`mlgate run` and beside it; as root it sees most.\n\n"
          "  -j, --json   one JSON object instead of a list\n"
          "  -h, --help   this text\n\n"
          "Status: 0 nothing failed, 1 something did, 2 the configuration cannot be used.\n\n"
          "The ids of the findings:\n\n",
          out);
    for (int id = 0; id < CHECK_ID_COUNT; id++)
        fprintf(out, "  %-20s %s\n", check_id_text((enum check_id)id),
                check_id_about((enum check_id)id));
}

/* As the demo: colours for people who did not ask for none. */
static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

static unsigned columns(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void report(const struct options *o, const struct findings *list, const char *side)
{
    if (o->json)
        findings_json(list, side, stdout);
    else
        findings_text(list, o->terminal, columns(), stdout);
    fflush(stdout);
}

/* ---- the container --------------------------------------------------------------------------- */

static const char *directory(void)
{
    const char *given = env_get(environ, "FRP_CONFIG_DIR");

    return given != NULL && *given != '\0' ? given : "/etc/frp";
}

static bool has(const char *name)
{
    const char *value = env_get(environ, name);

    return value != NULL && *value != '\0';
}

/* A running `mlgate run` has overwritten the token in its environment, and wrote it into frpc.ini
 * before, which root may read. */
static bool borrow_token(void)
{
    char *path = mem_printf("%s/frpc.ini", directory());
    struct client_config cfg;
    struct problems unsaid;
    bool borrowed = false;

    problems_init(&unsaid);
    if (access(path, R_OK) == 0 && frpc_load(path, env_lookup, environ, &cfg, &unsaid) == 0) {
        char *text = ini_encode(cfg.token);

        borrowed = text != NULL && *text != '\0' && setenv("SECRET_FRP_TOKEN", text, 1) == 0;
        mem_free_secret(text, text != NULL ? strlen(text) : 0);
        client_config_free(&cfg);
    }
    problems_free(&unsaid);
    mem_free(path);
    return borrowed;
}

static char *complete_environment(void)
{
    size_t borrowed = getpid() != 1 ? run_environment_borrow("/proc/1/environ") : 0;
    bool token = !has("SECRET_FRP_TOKEN") && !has("SECRET_FRP_TOKEN_FILE") && borrow_token();
    char *said = mem_strdup("all variables can be used");

    if (borrowed > 0) {
        char *longer =
            mem_printf("%s; %zu that were missing here came from /proc/1/environ", said, borrowed);

        mem_free(said);
        said = longer;
    }
    if (token) {
        char *longer = mem_printf("%s; the token came from %s/frpc.ini", said, directory());

        mem_free(said);
        said = longer;
    }
    return said;
}

static int check_here(const struct options *o)
{
    char *source = complete_environment();
    struct container_check c = {.environ_list = environ,
                                .source = source,
                                .terminal = o->terminal && !o->json ? stdout : NULL};
    struct findings list = {0};
    struct env_config env;
    struct problems problems;
    bool usable;
    bool clean;
    int status;

    problems_init(&problems);
    usable = env_load(environ, &env, &problems) == 0;
    c.env = usable ? &env : NULL;
    c.problems = &problems;
    clean = check_container(&c, &list);
    report(o, &list, "container");
    status = usable ? findings_status(&list) : 2;
    if (!clean)
        _exit(status);
    if (usable)
        env_free(&env);
    problems_free(&problems);
    findings_free(&list);
    mem_free(source);
    return status;
}

int cli_check(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct options o = {.terminal = wants_colour()};
    int opt;

    while ((opt = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
        if (opt == 'j') {
            o.json = true;
        } else {
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? 0 : 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "mlgate check: unexpected argument '%s'\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    return check_here(&o);
}
