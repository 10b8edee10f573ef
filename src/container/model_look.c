/* The facts: what of the model and of tools for it is on disk. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/env.h"
#include "container/mlnode_internal.h"
#include "container/model_internal.h"

enum {
    DEPTH_MAX = 8, /* of directories in a repository; the hub's models have one or two */
    SCRIPT_LINE_MAX = 256,
};

static const char *given(char *const *envp, const char *name)
{
    const char *value = env_get(envp, name);

    return value && *value ? value : NULL;
}

bool model_switch_is_on(char *const *envp, const char *name)
{
    static const char *const words[] = {"1", "on", "yes", "true"};
    const char *value = given(envp, name);

    for (size_t i = 0; value && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(value, words[i]) == 0)
            return true;
    return false;
}

bool model_cache_dir(char *const *envp, enum model_by by, char out[MLNODE_PATH_MAX])
{
    const char *home = given(envp, "HF_HOME");
    const char *cache = given(envp, "HF_HUB_CACHE");

    if (cache == NULL)
        cache = given(envp, "HUGGINGFACE_HUB_CACHE");
    if (cache != NULL && by != MODEL_BY_MLNODE)
        return snprintf(out, MLNODE_PATH_MAX, "%s", cache) < MLNODE_PATH_MAX;
    return snprintf(out, MLNODE_PATH_MAX, "%s/hub", home ? home : "") < MLNODE_PATH_MAX;
}

/* ---- the cache ------------------------------------------------------------------------------- */

void model_folder(const char *name, char out[MODEL_FOLDER_MAX])
{
    const char *slash = strchr(name, '/');
    int owner = slash ? (int)(slash - name) : (int)strlen(name);

    snprintf(out, MODEL_FOLDER_MAX, "models--%.*s%s%s", owner, name, slash ? "--" : "",
             slash ? slash + 1 : "");
}

static int open_model(const char *dir, const char *name)
{
    char path[2 * MLNODE_PATH_MAX];
    char model[MODEL_FOLDER_MAX];

    model_folder(name, model);
    snprintf(path, sizeof(path), "%s/%s", dir, model);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool is_coming(const char *name)
{
    static const size_t end = sizeof(MODEL_COMING) - 1;
    size_t len = strlen(name);

    return len >= end && strcmp(name + len - end, MODEL_COMING) == 0;
}

struct counted {
    uint64_t bytes;
    unsigned files;
    unsigned coming;
};

static void count_file(struct counted *n, const char *name, const struct stat *st)
{
    uint64_t there = (uint64_t)st->st_size;
    uint64_t blocks = (uint64_t)st->st_blocks * 512;

    n->files++;
    /* A file that is written in several places at once has its full size from the beginning. */
    if (is_coming(name)) {
        n->coming++;
        if (blocks < there)
            there = blocks;
    }
    n->bytes += there;
}

/* Adds up the files below directory `name` of `at`. Links are not followed: what a snapshot points
 * to is among the blobs, and where links cannot be made it has the files themselves. */
static void count_below(int at, const char *name, int depth, struct counted *n)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    struct stat st;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
            count_below(fd, entry->d_name, depth + 1, n);
        else if (S_ISREG(st.st_mode))
            count_file(n, entry->d_name, &st);
        else if (S_ISLNK(st.st_mode))
            n->files++;
    }
    closedir(dir);
}

uint64_t model_bytes(const char *dir, const char *name)
{
    struct counted n = {.bytes = 0};
    int fd = open_model(dir, name);

    if (fd < 0)
        return 0;
    count_below(fd, "blobs", 0, &n);
    count_below(fd, "snapshots", 0, &n);
    close(fd);
    return n.bytes;
}

bool model_cached(const char *dir, const char *name)
{
    struct counted blobs = {.bytes = 0};
    struct counted snapshots = {.bytes = 0};
    int fd = open_model(dir, name);

    if (fd < 0)
        return false;
    count_below(fd, "blobs", 0, &blobs);
    count_below(fd, "snapshots", 0, &snapshots);
    close(fd);
    return snapshots.files > 0 && blobs.coming == 0 && snapshots.coming == 0;
}

struct model_space model_space_at(const char *path)
{
    struct model_space space = {.total = 0};
    char at[MLNODE_PATH_MAX];
    struct statvfs fs;

    if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
        return space;
    while (statvfs(at, &fs) != 0) {
        char *slash = strrchr(at, '/');

        if (slash == NULL || slash == at) {
            if (statvfs("/", &fs) != 0)
                return space;
            break;
        }
        *slash = '\0';
    }
    space.total = (uint64_t)fs.f_blocks * fs.f_frsize;
    space.free = (uint64_t)fs.f_bavail * fs.f_frsize;
    return space;
}

/* ---- tools ----------------------------------------------------------------------------------- */

static void add_python(struct model_tools *tools, const char *path)
{
    if (path[0] == '\0' || tools->n_pythons == MODEL_PYTHONS_MAX)
        return;
    for (size_t i = 0; i < tools->n_pythons; i++)
        if (strcmp(tools->python[i], path) == 0)
            return;
    snprintf(tools->python[tools->n_pythons++], MLNODE_PATH_MAX, "%s", path);
}

/* The Python that a script names in its first line has what the script needs. */
static void add_interpreter(struct model_tools *tools, const char *script)
{
    char line[SCRIPT_LINE_MAX];
    FILE *file = script[0] ? fopen(script, "re") : NULL;
    char *at = file ? fgets(line, sizeof(line), file) : NULL;
    const char *base;

    if (file)
        fclose(file);
    if (at == NULL || strncmp(at, "#!", 2) != 0)
        return;
    at += 2 + strspn(at + 2, " \t");
    at[strcspn(at, " \t\r\n")] = '\0';
    base = strrchr(at, '/');
    if (base != NULL && strncmp(base + 1, "python", 6) == 0 && access(at, X_OK) == 0)
        add_python(tools, at);
}

void model_tools_look(char *const *envp, struct model_tools *out)
{
    const char *path = given(envp, "PATH");
    const char *engine = given(envp, "VLLM_PYTHON_PATH");
    char python[MLNODE_PATH_MAX] = "";

    *out = (struct model_tools){.n_pythons = 0};
    if (path == NULL)
        path = MLNODE_PATH;
    mlnode_find_program(path, "hf", out->hf);
    mlnode_find_program(path, "huggingface-cli", out->hf_cli);
    add_interpreter(out, out->hf);
    add_interpreter(out, out->hf_cli);
    mlnode_find_program(path, "python3", python);
    add_python(out, python);
    if (engine == NULL)
        engine = MLNODE_ENGINE_PYTHON;
    if (access(engine, X_OK) == 0)
        add_python(out, engine);
}
