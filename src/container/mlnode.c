/* The decision: what to start, given what is there. Pure. */
#include "container/mlnode.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "config/env.h"
#include "container/mlnode_internal.h"
#include "container/variables.h"

enum { ARGV_MAX = 16 };

struct words {
    const char *at[ARGV_MAX];
    size_t count;
};

static void add(struct words *words, const char *word)
{
    words->at[words->count++] = word;
}

/* An owned copy, ended by NULL. */
static char **copied(const char *const *words, size_t count)
{
    char **copy = mem_array(NULL, count + 1, sizeof(*copy));

    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(words[i]);
    copy[count] = NULL;
    return copy;
}

static enum mlnode_way choose(const struct mlnode_settings *settings,
                              const struct mlnode_world *world)
{
    if (settings->command)
        return MLNODE_COMMAND;
    if (!env_is_loopback(settings->host))
        return MLNODE_ELSEWHERE;
    if (world->script == MLNODE_SCRIPT_UNTRIED || world->script == MLNODE_SCRIPT_WORKS)
        return MLNODE_ENTRYPOINT;
    /* With an environment of its own the module may be installed in there. */
    if (world->venv_uvicorn[0] || world->venv_python[0] ||
        (world->uvicorn[0] && world->app_sources))
        return MLNODE_UVICORN;
    return MLNODE_NONE;
}

/* uvicorn in the virtual environment, however it can be started there; else the one on PATH, which
 * upstream's script may have changed when it comes to it. */
static void add_uvicorn(struct words *words, const struct mlnode_world *world, enum mlnode_way way)
{
    if (world->venv_uvicorn[0])
        add(words, world->venv_uvicorn);
    else if (world->venv_python[0]) {
        add(words, world->venv_python);
        add(words, "-m");
        add(words, "uvicorn");
    } else
        add(words, way == MLNODE_ENTRYPOINT ? "uvicorn" : world->uvicorn);
}

static char **arguments(const struct mlnode_settings *settings, const struct mlnode_world *world,
                        enum mlnode_way way)
{
    struct words words = {.count = 0};
    char port[8];
    size_t n = 0;

    if (way == MLNODE_COMMAND) {
        while (settings->command[n])
            n++;
        return copied((const char *const *)settings->command, n);
    }
    if (way == MLNODE_ENTRYPOINT)
        add(&words, MLNODE_SCRIPT);
    add_uvicorn(&words, world, way);
    port[text_put_uint(port, settings->port)] = '\0';
    add(&words, "api.app:app");
    add(&words, "--host");
    add(&words, strcmp(settings->host, "localhost") == 0 ? "127.0.0.1" : settings->host);
    add(&words, "--port");
    add(&words, port);
    return copied(words.at, words.count);
}

/* What `source activate` does. Upstream's script does it itself. */
static void activate(struct variables *list, const char *venv)
{
    char *bin = mem_printf("%s/bin", venv);

    variables_set(list, "VIRTUAL_ENV", "%s", venv);
    variables_prepend(list, "PATH", bin, ':');
    variables_unset(list, "PYTHONHOME");
    mem_free(bin);
}

static char **environment(const struct mlnode_settings *settings, const struct mlnode_world *world,
                          char *const *environ_list, enum mlnode_way way)
{
    struct variables list = variables_copy(environ_list);
    const char *path = variables_get(&list, "PATH");
    const char *modules = variables_get(&list, "PYTHONPATH");

    if (path == NULL || *path == '\0')
        variables_set(&list, "PATH", "%s", MLNODE_PATH);
    if (world->venv[0] && way != MLNODE_ENTRYPOINT)
        activate(&list, world->venv);
    if (world->app_dir && (modules == NULL || *modules == '\0'))
        variables_set(&list, "PYTHONPATH", "%s", MLNODE_PYTHONPATH);
    variables_set(&list, "HOST_UID", "%d", settings->host_uid);
    variables_set(&list, "HOST_GID", "%d", settings->host_gid);
    variables_set(&list, "HF_HOME", "%s", settings->hf_home);
    /* vLLM's engines give themselves names (setproctitle), which would overwrite the environment
     * that /proc shows, and with it the mark by which init.c knows them when the shim is gone. */
    variables_set(&list, "SPT_NOENV", "1");
    if (settings->guard) {
        /* Last: what others load before has its turn first (src/guard/bind.c). */
        variables_append(&list, "LD_PRELOAD", settings->guard, ':');
        variables_unset(&list, "BIND_GUARD_PORTS");
        if (settings->guard_ports)
            variables_set(&list, "BIND_GUARD_PORTS", "%s", settings->guard_ports);
    }
    return list.items;
}

char **mlnode_tool_environment(const struct mlnode_settings *settings,
                               const struct mlnode_world *world, char *const *environ_list)
{
    struct mlnode_settings unguarded = *settings;

    unguarded.guard = NULL; /* a tool listens nowhere */
    return environment(&unguarded, world, environ_list, MLNODE_UVICORN);
}

static char *sentence(const struct mlnode_settings *settings, const struct mlnode_world *world,
                      enum mlnode_way way, char *const *argv)
{
    bool failed = world->script == MLNODE_SCRIPT_FAILS;

    switch (way) {
    case MLNODE_COMMAND:
        return mem_printf("starting MLNODE_COMMAND, %s", argv[0]);
    case MLNODE_ENTRYPOINT:
        return mem_printf("starting MLNode by " MLNODE_SCRIPT);
    case MLNODE_UVICORN:
        return mem_printf("starting MLNode by %s%s%s%s", argv[0],
                          failed ? ", because " MLNODE_SCRIPT " fails (" : "",
                          failed ? world->script_said : "", failed ? ")" : "");
    case MLNODE_ELSEWHERE:
        return mem_printf("MLNODE_MANAGEMENT names %s, so no MLNode is started here",
                          settings->host);
    case MLNODE_NONE:
        break;
    }
    return mem_printf("no MLNode in this image: looked for " MLNODE_SCRIPT "%s%s%s, a virtual "
                      "environment in " MLNODE_VENVS ", and uvicorn on PATH%s with the module "
                      "api.app on PYTHONPATH (" MLNODE_PYTHONPATH ")%s; is the image built on an "
                      "MLNode image, or is MLNODE_COMMAND missing?",
                      failed ? " (it fails: " : "", failed ? world->script_said : "",
                      failed ? ")" : "", world->uvicorn[0] ? " (is there)" : "",
                      world->app_sources ? " (is there)" : "");
}

struct mlnode_start mlnode_decide(const struct mlnode_settings *settings,
                                  const struct mlnode_world *world, char *const *environ_list)
{
    struct mlnode_start start = {.way = choose(settings, world)};

    if (start.way != MLNODE_NONE && start.way != MLNODE_ELSEWHERE) {
        start.argv = arguments(settings, world, start.way);
        start.envp = environment(settings, world, environ_list, start.way);
        start.cwd = mem_strdup(world->app_dir ? "/app" : "/");
        if (world->libcuda_link[0]) {
            start.link_from = mem_strdup(world->libcuda_link);
            start.link_to = mem_strdup(world->libcuda);
        }
    }
    start.why = sentence(settings, world, start.way, start.argv);
    return start;
}

void mlnode_words_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        mem_free(words[i]);
    mem_free(words);
}

void mlnode_start_free(struct mlnode_start *start)
{
    mlnode_words_free(start->argv);
    mlnode_words_free(start->envp);
    mem_free(start->cwd);
    mem_free(start->link_from);
    mem_free(start->link_to);
    mem_free(start->why);
    *start = (struct mlnode_start){0};
}
