/* `mlgate register`: the node object for the API node, printed, and sent where that is safe. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/register_node.h"
#include "cli/run_environment.h"
#include "cli/verb.h"
#include "config/problem.h"

/* Lines for people behind the JSON begin with '#', so that a shell passes over them. */
static void print_for_people(const struct registration *r, const char *one_line)
{
    char *json = register_node_json(r, false);
    char *command = register_node_command(one_line);

    puts(json);
    if (r->send == NULL)
        printf("# For the operator, on the network node where the admin port is on 127.0.0.1:\n"
               "# %s\n"
               "# The API node takes models of the network only. Its public API lists them:\n"
               "# curl -sS http://PUBLIC-API:PORT/v1/governance/models\n",
               command);
    mem_free(json);
    mem_free(command);
}

static int print_and_send(const struct registration *r)
{
    char *one_line = register_node_json(r, true);
    int status = 0;

    if (r->json)
        puts(one_line);
    else
        print_for_people(r, one_line);
    fflush(stdout);
    if (r->send != NULL)
        status = register_node_send(r, one_line);
    mem_free(one_line);
    return status;
}

/* Over SSH a rented container's variables are PID 1's alone. */
static void borrow(void)
{
    const char *id = env_get(environ, "CLIENT_ID");
    size_t n = 0;

    if (getpid() != 1 && (id == NULL || *id == '\0'))
        n = run_environment_borrow_only("/proc/1/environ", registration_variables);
    if (n > 0)
        fprintf(stderr, "mlgate register: %zu variables came from /proc/1/environ\n", n);
}

static int load_and_run(char **words, struct problems *problems)
{
    struct registration r;
    const char *stray;
    int status = 2;
    int rc;

    borrow();
    rc = registration_load(environ, words, &r, &stray, problems);
    if (stray != NULL) {
        fprintf(stderr, "mlgate register: '%s' is no flag, or its value is missing\n", stray);
        cli_misused("register");
    }
    problems_print_all(problems, stderr);
    if (rc == 0) {
        status = print_and_send(&r);
        registration_free(&r);
    }
    return status;
}

int cli_register(int argc, char **argv)
{
    struct problems problems;
    int status;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            registration_help(stdout, isatty(STDOUT_FILENO));
            return 0;
        }
    }
    problems_init(&problems);
    status = load_and_run(argv + 1, &problems);
    problems_free(&problems);
    return status;
}
