/* The facts: what of an MLNode is on disk. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/env.h"
#include "container/mlnode.h"
#include "container/mlnode_internal.h"

/* A path inside the container and the same below the root that is looked at. */
struct place {
    char inside[MLNODE_PATH_MAX];
    char real[2 * MLNODE_PATH_MAX];
};

/* Puts dir/name together. What does not fit is not there. */
static bool put(struct place *place, const char *root, const char *dir, size_t dir_len,
                const char *name)
{
    int len = snprintf(place->inside, sizeof(place->inside), "%.*s/%s", (int)dir_len, dir, name);
    int real = snprintf(place->real, sizeof(place->real), "%s%s", root, place->inside);

    return len < (int)sizeof(place->inside) && real < (int)sizeof(place->real);
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_program(const char *path)
{
    return is_file(path) && access(path, X_OK) == 0;
}

/* The first directory of a list with colons that has a `name` as `test` wants it; its path inside
 * the container goes to out[MLNODE_PATH_MAX]. */
static bool find(const char *root, const char *list, const char *name, bool (*test)(const char *),
                 char *out)
{
    struct place place = {.inside = ""};
    size_t len;

    for (const char *dir = list; dir; dir = dir[len] ? dir + len + 1 : NULL) {
        len = strcspn(dir, ":");
        /* An empty element means the working directory, which means nothing here. */
        if (*dir == '/' && put(&place, root, dir, len, name) && test(place.real)) {
            memcpy(out, place.inside, MLNODE_PATH_MAX);
            return true;
        }
    }
    return false;
}

bool mlnode_find_program(const char *list, const char *name, char *out)
{
    return find("", list, name, is_program, out);
}

static const char *given(char *const *environ_list, const char *name, const char *fallback)
{
    const char *value = env_get(environ_list, name);

    return value && *value ? value : fallback;
}

static void look_for_venv(char *const *environ_list, const char *root, struct mlnode_world *world)
{
    const char *dirs[] = {given(environ_list, "VIRTUAL_ENV", ""), MLNODE_VENV, MLNODE_VENV_2};
    char found[MLNODE_PATH_MAX];

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        if (strchr(dirs[i], ':') || !find(root, dirs[i], "pyvenv.cfg", is_file, found))
            continue;
        snprintf(world->venv, sizeof(world->venv), "%s", dirs[i]);
        find(root, dirs[i], "bin/uvicorn", is_program, world->venv_uvicorn);
        if (!find(root, dirs[i], "bin/python3", is_program, world->venv_python))
            find(root, dirs[i], "bin/python", is_program, world->venv_python);
        return;
    }
}

/* Where the drivers' libraries are mounted, after what LD_LIBRARY_PATH names. */
#define LIBRARY_DIRS                                                                               \
    "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib/aarch64-linux-gnu:"                      \
    "/usr/lib/aarch64-linux-gnu:/usr/lib64:/usr/local/nvidia/lib64:/usr/local/nvidia/lib:"         \
    "/usr/local/cuda/compat"

static void look_for_libcuda(char *const *environ_list, const char *root,
                             struct mlnode_world *world)
{
    const char *lists[] = {given(environ_list, "LD_LIBRARY_PATH", ""), LIBRARY_DIRS};
    char library[MLNODE_PATH_MAX];
    struct place link = {.inside = ""};
    struct stat st;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (!find(root, lists[i], "libcuda.so.1", is_file, library))
            continue;
        if (put(&link, root, library, (size_t)(strrchr(library, '/') - library), "libcuda.so") &&
            lstat(link.real, &st) != 0) {
            memcpy(world->libcuda, library, sizeof(library));
            memcpy(world->libcuda_link, link.inside, sizeof(link.inside));
        }
        return;
    }
}

void mlnode_look(const struct mlnode_settings *settings, char *const *environ_list,
                 const char *root, struct mlnode_world *world)
{
    const char *modules = given(environ_list, "PYTHONPATH", MLNODE_PYTHONPATH);
    struct place place = {.inside = ""};
    char found[MLNODE_PATH_MAX];

    *world = (struct mlnode_world){.script = MLNODE_SCRIPT_ABSENT};
    if (settings->command == NULL && put(&place, root, "", 0, &MLNODE_SCRIPT[1]) &&
        is_program(place.real))
        world->script = MLNODE_SCRIPT_UNTRIED;
    world->app_dir = put(&place, root, "", 0, "app") && is_dir(place.real);
    world->app_sources = find(root, modules, "api/app.py", is_file, found) ||
                         find(root, modules, "api/app/__init__.py", is_file, found);
    look_for_venv(environ_list, root, world);
    find(root, given(environ_list, "PATH", MLNODE_PATH), "uvicorn", is_program, world->uvicorn);
    look_for_libcuda(environ_list, root, world);
}
