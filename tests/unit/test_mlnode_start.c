#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "config/env.h"
#include "container/mlnode.h"

#define VENV "/app/packages/api/.venv"
#define TAIL " api.app:app --host 127.0.0.1 --port 8080"

static char *no_variables[] = {NULL};

static const struct mlnode_settings plain = {
    .host = "127.0.0.1",
    .port = 8080,
    .hf_home = "/data/hf-cache",
    .host_uid = 1000,
    .host_gid = 1001,
    .guard = "/lib/mlgate-bind.so",
    .guard_ports = "5000-5128",
};

/* The words with blanks between, in memory that the next call uses again. */
static const char *joined(char *const *words)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; words && words[i]; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "", words[i]);
    return text;
}

static void test_what_is_started(void **state)
{
    static const struct {
        struct mlnode_world world;
        enum mlnode_way way;
        const char *argv;
        const char *cwd;
    } rows[] = {
        {{.script = MLNODE_SCRIPT_ABSENT}, MLNODE_NONE, "", NULL},
        /* upstream's script wins, whatever else is there */
        {{.script = MLNODE_SCRIPT_WORKS,
          .app_dir = true,
          .venv = VENV,
          .uvicorn = "/usr/bin/uvicorn"},
         MLNODE_ENTRYPOINT,
         "/app/entrypoint.sh uvicorn" TAIL,
         "/app"},
        {{.script = MLNODE_SCRIPT_UNTRIED},
         MLNODE_ENTRYPOINT,
         "/app/entrypoint.sh uvicorn" TAIL,
         "/"},
        {{.script = MLNODE_SCRIPT_WORKS, .venv = VENV, .venv_python = VENV "/bin/python3"},
         MLNODE_ENTRYPOINT,
         "/app/entrypoint.sh " VENV "/bin/python3 -m uvicorn" TAIL,
         "/"},
        /* … unless it fails */
        {{.script = MLNODE_SCRIPT_FAILS,
          .script_said = "useradd: UID 1000 is not unique",
          .app_dir = true,
          .venv = VENV,
          .venv_uvicorn = VENV "/bin/uvicorn",
          .venv_python = VENV "/bin/python3"},
         MLNODE_UVICORN,
         VENV "/bin/uvicorn" TAIL,
         "/app"},
        {{.script = MLNODE_SCRIPT_FAILS, .script_said = "x"}, MLNODE_NONE, "", NULL},
        /* a virtual environment that takes uvicorn from the system */
        {{.app_dir = true,
          .venv = VENV,
          .venv_python = VENV "/bin/python3",
          .uvicorn = "/bin/uvicorn"},
         MLNODE_UVICORN,
         VENV "/bin/python3 -m uvicorn" TAIL,
         "/app"},
        /* without one: the program and the module, not one alone */
        {{.app_dir = true, .app_sources = true, .uvicorn = "/usr/bin/uvicorn"},
         MLNODE_UVICORN,
         "/usr/bin/uvicorn" TAIL,
         "/app"},
        {{.app_dir = true, .app_sources = true}, MLNODE_NONE, "", NULL},
        {{.uvicorn = "/usr/bin/uvicorn"}, MLNODE_NONE, "", NULL},
        {{.venv = VENV}, MLNODE_NONE, "", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mlnode_start start = mlnode_decide(&plain, &rows[i].world, no_variables);

        assert_int_equal(start.way, rows[i].way);
        assert_string_equal(joined(start.argv), rows[i].argv);
        if (rows[i].cwd)
            assert_string_equal(start.cwd, rows[i].cwd);
        else
            assert_null(start.cwd);
        assert_true((start.argv == NULL) == (start.envp == NULL));
        assert_true(strlen(start.why) > 10);
        /* why the script was not used is said wherever it was not */
        if (rows[i].world.script_said[0])
            assert_non_null(strstr(start.why, rows[i].world.script_said));
        mlnode_start_free(&start);
    }
}

static void test_what_was_looked_for_is_named(void **state)
{
    const struct mlnode_world nothing = {.app_sources = true};
    struct mlnode_start start = mlnode_decide(&plain, &nothing, no_variables);

    assert_non_null(strstr(start.why, "/app/entrypoint.sh"));
    assert_non_null(strstr(start.why, VENV));
    assert_non_null(strstr(start.why, "uvicorn on PATH with"));
    assert_non_null(strstr(start.why, "/app/packages/api/src) (is there)"));
    mlnode_start_free(&start);
}

static void test_a_command_comes_first(void **state)
{
    char *words[] = {"/opt/server", "--name", "two words", NULL};
    const struct mlnode_world world = {.script = MLNODE_SCRIPT_WORKS, .venv = VENV};
    struct mlnode_settings settings = plain;
    struct mlnode_start start;

    settings.command = words;
    settings.host = "10.0.0.5";
    start = mlnode_decide(&settings, &world, no_variables);
    assert_int_equal(start.way, MLNODE_COMMAND);
    assert_string_equal(joined(start.argv), "/opt/server --name two words");
    assert_string_equal(start.argv[2], "two words");
    assert_string_equal(env_get(start.envp, "VIRTUAL_ENV"), VENV);
    mlnode_start_free(&start);
}

static void test_where_it_listens(void **state)
{
    static const struct {
        const char *host;
        enum mlnode_way way;
        const char *listens;
    } rows[] = {
        {"127.0.0.1", MLNODE_ENTRYPOINT, "127.0.0.1"},
        {"::1", MLNODE_ENTRYPOINT, "::1"},
        {"127.0.0.9", MLNODE_ENTRYPOINT, "127.0.0.9"},
        {"localhost", MLNODE_ENTRYPOINT, "127.0.0.1"},
        {"10.0.0.5", MLNODE_ELSEWHERE, NULL},
        {"mlnode", MLNODE_ELSEWHERE, NULL},
        {"0.0.0.0", MLNODE_ELSEWHERE, NULL},
    };
    const struct mlnode_world world = {.script = MLNODE_SCRIPT_WORKS};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mlnode_settings settings = plain;
        struct mlnode_start start;

        settings.host = rows[i].host;
        settings.port = 9;
        start = mlnode_decide(&settings, &world, no_variables);
        assert_int_equal(start.way, rows[i].way);
        if (rows[i].listens) {
            assert_string_equal(start.argv[4], rows[i].listens);
            assert_string_equal(start.argv[6], "9");
        } else {
            assert_null(start.argv);
            assert_non_null(strstr(start.why, rows[i].host));
        }
        mlnode_start_free(&start);
    }
}

static void test_environment_of_the_script(void **state)
{
    char *given[] = {"PATH=/usr/bin",
                     "SECRET_FRP_TOKEN=hush",
                     "SECRET_FRP_TOKEN_FILE=/f",
                     "LD_PRELOAD=/usr/lib/libjemalloc.so.2",
                     "BIND_GUARD_PORTS= 1 , 2",
                     "HF_HOME=/elsewhere",
                     "CLIENT_ID=0042",
                     NULL};
    const struct mlnode_world world = {
        .script = MLNODE_SCRIPT_WORKS, .app_dir = true, .venv = VENV};
    struct mlnode_start start = mlnode_decide(&plain, &world, given);

    for (size_t i = 0; start.envp[i]; i++)
        assert_null(strstr(start.envp[i], "hush"));
    assert_null(env_get(start.envp, "SECRET_FRP_TOKEN"));
    assert_null(env_get(start.envp, "SECRET_FRP_TOKEN_FILE"));
    /* the guard is behind what was preloaded before */
    assert_string_equal(env_get(start.envp, "LD_PRELOAD"),
                        "/usr/lib/libjemalloc.so.2:/lib/mlgate-bind.so");
    assert_string_equal(env_get(start.envp, "BIND_GUARD_PORTS"), "5000-5128");
    assert_string_equal(env_get(start.envp, "HF_HOME"), "/data/hf-cache");
    assert_string_equal(env_get(start.envp, "HOST_UID"), "1000");
    assert_string_equal(env_get(start.envp, "HOST_GID"), "1001");
    assert_string_equal(env_get(start.envp, "CLIENT_ID"), "0042");
    assert_string_equal(env_get(start.envp, "SPT_NOENV"), "1");
    assert_string_equal(env_get(start.envp, "PYTHONPATH"), "/app:/app/packages/api/src");
    /* it activates the environment itself */
    assert_string_equal(env_get(start.envp, "PATH"), "/usr/bin");
    assert_null(env_get(start.envp, "VIRTUAL_ENV"));
    mlnode_start_free(&start);
}

static void test_environment_without_the_script(void **state)
{
    char *given[] = {"PYTHONPATH=/mine", "PYTHONHOME=/other", NULL};
    const struct mlnode_world world = {
        .app_dir = true, .venv = VENV, .venv_python = VENV "/bin/python3"};
    struct mlnode_settings settings = plain;
    struct mlnode_start start;

    settings.guard = NULL;
    start = mlnode_decide(&settings, &world, given);
    assert_string_equal(env_get(start.envp, "VIRTUAL_ENV"), VENV);
    assert_memory_equal(env_get(start.envp, "PATH"),
                        VENV "/bin:/usr/local/sbin:", strlen(VENV "/bin:/usr/local/sbin:"));
    assert_string_equal(env_get(start.envp, "PYTHONPATH"), "/mine");
    assert_null(env_get(start.envp, "PYTHONHOME"));
    assert_null(env_get(start.envp, "LD_PRELOAD"));
    mlnode_start_free(&start);
}

static void test_libcuda_link(void **state)
{
    const struct mlnode_world with = {.script = MLNODE_SCRIPT_WORKS,
                                      .libcuda = "/lib/libcuda.so.1",
                                      .libcuda_link = "/lib/libcuda.so"};
    const struct mlnode_world without = {.script = MLNODE_SCRIPT_WORKS};
    struct mlnode_start start = mlnode_decide(&plain, &with, no_variables);

    assert_string_equal(start.link_from, "/lib/libcuda.so");
    assert_string_equal(start.link_to, "/lib/libcuda.so.1");
    mlnode_start_free(&start);
    start = mlnode_decide(&plain, &without, no_variables);
    assert_null(start.link_from);
    mlnode_start_free(&start);
}

/* ---- the facts, from a tree
 * ---------------------------------------------------------------------- */

struct tree {
    char root[64];
};

static int tree_make(void **state)
{
    struct tree *tree = mem_zalloc(sizeof(*tree));

    snprintf(tree->root, sizeof(tree->root), "/tmp/test_mlnode_start.XXXXXX");
    if (mkdtemp(tree->root) == NULL)
        return -1;
    *state = tree;
    return 0;
}

static int tree_remove(void **state)
{
    struct tree *tree = *state;
    char *argv[] = {"rm", "-rf", tree->root, NULL};
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    mem_free(tree);
    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static void put(const struct tree *tree, const char *path, mode_t mode)
{
    char real[512];
    FILE *file;

    snprintf(real, sizeof(real), "%s%s", tree->root, path);
    for (char *slash = real + strlen(tree->root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(real, 0755);
        *slash = '/';
    }
    file = fopen(real, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chmod(real, mode), 0);
}

static void test_nothing_is_there(void **state)
{
    const struct tree *tree = *state;
    struct mlnode_world world;

    memset(&world, 0xa5, sizeof(world));
    mlnode_look(&plain, no_variables, tree->root, &world);
    assert_int_equal(world.script, MLNODE_SCRIPT_ABSENT);
    assert_false(world.app_dir);
    assert_false(world.app_sources);
    assert_string_equal(world.venv, "");
    assert_string_equal(world.uvicorn, "");
    assert_string_equal(world.libcuda_link, "");
}

static void test_upstream_layout(void **state)
{
    const struct tree *tree = *state;
    char *given[] = {"PATH=relative::/usr/sbin:/opt/bin", "LD_LIBRARY_PATH=/nowhere:/opt/lib",
                     NULL};
    char *words[] = {"x", NULL};
    struct mlnode_settings settings = plain;
    struct mlnode_world world;

    put(tree, "/app/entrypoint.sh", 0755);
    put(tree, "/app/packages/api/src/api/app.py", 0644);
    put(tree, VENV "/pyvenv.cfg", 0644);
    put(tree, VENV "/bin/uvicorn", 0755);
    put(tree, VENV "/bin/python", 0755);
    put(tree, "/opt/bin/uvicorn", 0755);
    put(tree, "/opt/lib/libcuda.so.1", 0644);
    put(tree, "/usr/lib64/libcuda.so.1", 0644);
    mlnode_look(&plain, given, tree->root, &world);
    assert_int_equal(world.script, MLNODE_SCRIPT_UNTRIED);
    assert_true(world.app_dir);
    assert_true(world.app_sources);
    assert_string_equal(world.venv, VENV);
    assert_string_equal(world.venv_uvicorn, VENV "/bin/uvicorn");
    assert_string_equal(world.venv_python, VENV "/bin/python");
    assert_string_equal(world.uvicorn, "/opt/bin/uvicorn");
    assert_string_equal(world.libcuda, "/opt/lib/libcuda.so.1");
    assert_string_equal(world.libcuda_link, "/opt/lib/libcuda.so");

    /* with a command nobody asks for the script */
    settings.command = words;
    mlnode_look(&settings, given, tree->root, &world);
    assert_int_equal(world.script, MLNODE_SCRIPT_ABSENT);
}

static void test_things_that_do_not_count(void **state)
{
    const struct tree *tree = *state;
    char *given[] = {"PATH=/opt/bin", "VIRTUAL_ENV=/mine", "PYTHONPATH=/mods", NULL};
    struct mlnode_world world;

    put(tree, "/app/entrypoint.sh", 0644);               /* not executable */
    put(tree, "/opt/bin/uvicorn/is-a-directory", 0755);  /* not a file */
    put(tree, "/mine/bin/python3", 0755);                /* not a virtual environment */
    put(tree, "/app/packages/api/src/api/app.py", 0644); /* not on PYTHONPATH */
    put(tree, "/usr/lib64/libcuda.so.1", 0644);
    put(tree, "/usr/lib64/libcuda.so", 0644); /* not missing */
    mlnode_look(&plain, given, tree->root, &world);
    assert_int_equal(world.script, MLNODE_SCRIPT_ABSENT);
    assert_string_equal(world.uvicorn, "");
    assert_string_equal(world.venv, "");
    assert_false(world.app_sources);
    assert_string_equal(world.libcuda_link, "");

    put(tree, "/mine/pyvenv.cfg", 0644);
    put(tree, "/mods/api/app/__init__.py", 0644);
    mlnode_look(&plain, given, tree->root, &world);
    assert_string_equal(world.venv, "/mine");
    assert_string_equal(world.venv_python, "/mine/bin/python3");
    assert_true(world.app_sources);
}

static void test_paths_that_are_too_long(void **state)
{
    const struct tree *tree = *state;
    char value[4000];
    char *given[] = {value, NULL};
    struct mlnode_world world;

    memset(value, 'a', sizeof(value));
    memcpy(value, "PATH=/", 6);
    value[sizeof(value) - 1] = '\0';
    mlnode_look(&plain, given, tree->root, &world);
    assert_string_equal(world.uvicorn, "");
    memcpy(value, "VIRTUAL_ENV=/", 13);
    mlnode_look(&plain, given, tree->root, &world);
    assert_string_equal(world.venv, "");
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, tree_make, tree_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_started),
        cmocka_unit_test(test_what_was_looked_for_is_named),
        cmocka_unit_test(test_a_command_comes_first),
        cmocka_unit_test(test_where_it_listens),
        cmocka_unit_test(test_environment_of_the_script),
        cmocka_unit_test(test_environment_without_the_script),
        cmocka_unit_test(test_libcuda_link),
        IN_TREE(test_nothing_is_there),
        IN_TREE(test_upstream_layout),
        IN_TREE(test_things_that_do_not_count),
        IN_TREE(test_paths_that_are_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
