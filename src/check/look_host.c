#include "check/look_host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "container/model_disk.h"
#include "container/sandbox.h"

/* ---- disk ------------------------------------------------------------------------------------ */

/* The nearest directory above `path` that is there; cuts `path` to it. */
static void climb(char *path, struct stat *st)
{
    char *slash;

    while (stat(path, st) != 0 && (slash = strrchr(path, '/')) != NULL)
        slash[slash == path ? 1 : 0] = '\0';
}

void look_directory(struct directory_facts *d)
{
    char *path = mem_strdup(d->path);
    struct model_space space = model_space_at(d->path);
    struct stat st = {0};

    d->exists = stat(path, &st) == 0;
    if (!d->exists && errno != ENOENT)
        d->error = errno;
    if (!d->exists)
        climb(path, &st);
    d->is_directory = S_ISDIR(st.st_mode);
    d->writable = d->error == 0 && faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
    if (!d->writable && d->error == 0)
        d->error = errno;
    if (!d->is_directory && !d->exists) {
        d->writable = false;
        d->error = ENOTDIR;
    }
    d->total = space.total;
    d->free = space.free;
    mem_free(path);
}

void look_model(const char *hf_home, const char *name, struct model_facts *m)
{
    char *cache;

    m->name = name;
    m->is_path = model_kind(name) == MODEL_KIND_PATH;
    m->path_exists = m->is_path && access(name, F_OK) == 0;
    if (m->is_path)
        return;
    cache = mem_printf("%s/hub", hf_home); /* where MLNode looks, whatever else is set */
    m->bytes = model_bytes(cache, name);
    m->complete = model_cached(cache, name);
    mem_free(cache);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static bool is_gpu(const char *name)
{
    if (strncmp(name, "nvidia", 6) != 0 || name[6] == '\0')
        return false;
    for (name += 6; *name != '\0'; name++)
        if (!isdigit((unsigned char)*name))
            return false;
    return true;
}

static bool is_entry(const char *name)
{
    return name[0] != '.';
}

static unsigned count_entries(const char *path, bool (*counts)(const char *name))
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    unsigned n = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        n += counts(entry->d_name);
    if (dir != NULL)
        closedir(dir);
    return n;
}

void look_host(const char *dev, const char *proc, struct host_facts *f)
{
    char *gpus = mem_printf("%s/driver/nvidia/gpus", proc);
    char *shm = mem_printf("%s/shm", dev);
    struct statvfs fs;
    struct rlimit limit;

    f->gpu_devices = count_entries(dev, is_gpu);
    f->gpu_drivers = count_entries(gpus, is_entry);
    f->shm = statvfs(shm, &fs) == 0;
    f->shm_bytes = f->shm ? (uint64_t)fs.f_blocks * fs.f_frsize : 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        f->open_files = limit.rlim_max;
    mem_free(gpus);
    mem_free(shm);
}

/* ---- the sandbox ----------------------------------------------------------------------------- */

static void try_sandbox(int fd)
{
    struct log *log = log_new(fd, "sandbox", LOG_WARN, LOG_TEXT);

    sandbox_enter(false, log);
    log_free(log);
    _exit(0);
}

/* Keeps of each log line what stands behind "sandbox: ". */
static void strip_heads(char *text)
{
    static const char mark[] = "sandbox: ";
    char *to = text;

    for (char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char *next = line + len + (line[len] == '\n');
        char *words = memmem(line, len, mark, sizeof(mark) - 1);

        if (words != NULL) {
            words += sizeof(mark) - 1;
            memmove(to, words, (size_t)(next - words));
            to += next - words;
        }
        line = next;
    }
    *to = '\0';
}

void look_sandbox(char *warnings, size_t size)
{
    size_t len = 0;
    int ends[2];
    ssize_t n;
    pid_t pid;

    warnings[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid = fork();
    if (pid == 0)
        try_sandbox(ends[1]);
    close(ends[1]);
    while (pid > 0 && len + 1 < size && (n = read(ends[0], warnings + len, size - len - 1)) > 0)
        len += (size_t)n;
    warnings[len] = '\0';
    close(ends[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    strip_heads(warnings);
}
