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
#include "container/sandbox.h"

enum {
    ENTRIES_MAX = 100000, /* of a model's folder; the largest have some hundred files */
};

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
    struct statvfs fs;
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
    if (statvfs(path, &fs) == 0) {
        d->total = (uint64_t)fs.f_blocks * fs.f_frsize;
        d->free = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    mem_free(path);
}

/* Bytes of the files in a folder; *partial when one is still being fetched. */
static uint64_t measure(const char *path, bool *partial)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    uint64_t bytes = 0;
    size_t seen = 0;

    while (dir != NULL && seen++ < ENTRIES_MAX && (entry = readdir(dir)) != NULL) {
        struct stat st;

        if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode))
            continue;
        bytes += (uint64_t)st.st_blocks * 512;
        *partial |= strstr(entry->d_name, ".incomplete") != NULL;
    }
    if (dir != NULL)
        closedir(dir);
    return bytes;
}

static bool has_entries(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool found = false;

    while (dir != NULL && !found && (entry = readdir(dir)) != NULL)
        found = entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return found;
}

/* As huggingface_hub keeps it: hub/models--ORG--NAME with blobs and snapshots. */
static char *model_folder(const char *hf_home, const char *name)
{
    char *path = mem_printf("%s/hub/models--", hf_home);

    for (; *name != '\0'; name++) {
        char *longer = mem_printf(*name == '/' ? "%s--" : "%s%c", path, *name);

        mem_free(path);
        path = longer;
    }
    return path;
}

void look_model(const char *hf_home, const char *name, struct model_facts *m)
{
    char *folder;
    char *blobs;
    char *snapshots;
    bool partial = false;

    *m = (struct model_facts){.name = name, .is_path = name[0] == '/'};
    if (m->is_path) {
        m->path_exists = access(name, F_OK) == 0;
        return;
    }
    folder = model_folder(hf_home, name);
    blobs = mem_printf("%s/blobs", folder);
    snapshots = mem_printf("%s/snapshots", folder);
    m->bytes = measure(blobs, &partial);
    m->complete = m->bytes > 0 && !partial && has_entries(snapshots);
    mem_free(folder);
    mem_free(blobs);
    mem_free(snapshots);
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
