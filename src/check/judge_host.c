#include "check/judge_host.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "container/model.h"

static const uint64_t GB = 1000 * 1000 * 1000;
static const uint64_t MIB = 1024 * 1024;
enum { ABOUT_MAX = 300 };

/* ---- disk ------------------------------------------------------------------------------------ */

static bool names_any(const char *name, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasestr(name, *words) != NULL)
            return true;
    return false;
}

/* Bits of a weight: quantised models say so in their names, the others have 16. */
static uint64_t weight_bits(const char *name)
{
    static const char *const eight[] = {"fp8", "int8", "w8a8", "w8a16", NULL};
    static const char *const four[] = {"fp4", "int4", "awq", "gptq", "4bit", "w4a16", NULL};

    if (names_any(name, eight))
        return 8;
    return names_any(name, four) ? 4 : 16;
}

/* Billions of parameters: the largest number before a B that ends a word, so that 235B counts in
 * "235B-A22B". */
static double parameters(const char *name)
{
    double largest = 0;

    for (const char *at = name; *at != '\0'; at++) {
        double number = 0;
        double place = 0;

        if (!isdigit((unsigned char)*at) || (at > name && isalnum((unsigned char)at[-1])))
            continue;
        for (; isdigit((unsigned char)*at) || (*at == '.' && place == 0); at++) {
            if (*at == '.')
                place = 1;
            else if (place == 0)
                number = number * 10 + (*at - '0');
            else
                number += (*at - '0') * (place /= 10);
        }
        if ((*at == 'B' || *at == 'b') && !isalnum((unsigned char)at[1]) && number > largest)
            largest = number;
        if (*at == '\0')
            break;
    }
    return largest;
}

uint64_t judge_model_bytes(const char *name)
{
    enum { PARAMETERS_MAX = 100000 }; /* billions; more is no name of a model */
    double billions = parameters(name);

    if (billions <= 0 || billions > PARAMETERS_MAX)
        return 0;
    return (uint64_t)(billions * (double)weight_bits(name) / 8 * 1e9);
}

/* Empty files can still be made there, so that the directory itself looks writable. */
static bool is_full(const struct directory_facts *d)
{
    return d->total > 0 && d->free == 0;
}

/* false: said, and nothing more is to be said. */
static bool can_write(struct findings *list, enum check_id id, const struct directory_facts *d,
                      enum verdict verdict, const char *remedy)
{
    if (d->exists && !d->is_directory) {
        finding_add(list, id, d->variable, VERDICT_FAIL, "%s is no directory", d->path);
        finding_remedy(list, "set %s to a directory", d->variable);
        return false;
    }
    if (d->writable && !is_full(d))
        return true;
    finding_add(list, id, d->variable, verdict, "%s %s: %s", d->path,
                d->exists ? "cannot be written" : "cannot be made",
                strerror(d->writable ? ENOSPC : d->error));
    finding_remedy(list, "%s", remedy);
    return false;
}

/* What of the file system models may use: all that is free but its last fifth. */
static uint64_t usable(const struct model_space *space)
{
    uint64_t keep = space->total / 100 * MODEL_KEEP_FREE_PERCENT;

    return space->free > keep ? space->free - keep : 0;
}

static const char room_remedy[] =
    "give HF_HOME a larger disk: choose one when renting, or move HF_HOME to a volume that lasts "
    "(RunPod: /workspace); or delete models that are no longer served";

/* How much is still to be fetched, as far as that is known. */
static uint64_t missing(const struct model_facts *m)
{
    uint64_t size = m->given && !m->complete ? judge_model_bytes(m->name) : 0;

    return size > m->bytes ? size - m->bytes : 0;
}

static void no_room(struct findings *list, const struct directory_facts *d,
                    const struct model_space *space, const struct model_facts *m)
{
    if (missing(m) > 0)
        finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_FAIL,
                    "%s has %" PRIu64 " GB free, of which models may take %" PRIu64
                    " GB (the last %d %% stay free); %s still needs about %" PRIu64 " GB",
                    d->path, space->free / GB, usable(space) / GB, MODEL_KEEP_FREE_PERCENT, m->name,
                    missing(m) / GB);
    else
        finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_FAIL,
                    "%s has %" PRIu64 " GB free, less than %d %%: models are not fetched then",
                    d->path, space->free / GB, MODEL_KEEP_FREE_PERCENT);
    finding_remedy(list, "%s", room_remedy);
}

static void judge_room(struct findings *list, const struct directory_facts *d,
                       const struct model_facts *m)
{
    const struct model_space space = {.total = d->total, .free = d->free};
    char about[ABOUT_MAX] = "no model is named";

    if (m->complete)
        snprintf(about, sizeof(about), "%.200s is there (%" PRIu64 " GB)", m->name, m->bytes / GB);
    else if (!model_fits(&space, missing(m))) {
        no_room(list, d, &space, m);
        return;
    } else if (missing(m) > 0)
        snprintf(about, sizeof(about), "%.200s still needs about %" PRIu64 " GB", m->name,
                 missing(m) / GB);
    else if (m->given)
        snprintf(about, sizeof(about), "how much %.200s needs is not known", m->name);
    finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_OK,
                "%s can be written, %" PRIu64 " GB are free; %s", d->path, d->free / GB, about);
}

void judge_hf_home(struct findings *list, const struct directory_facts *d,
                   const struct model_facts *m, bool test)
{
    if (test) {
        finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_SKIP,
                    "the test servers (UBUNTU_TEST) keep no model");
        return;
    }
    if (m->is_path) {
        finding_add(list, CHECK_DISK_HF_HOME, "MODEL_NAME",
                    m->path_exists ? VERDICT_OK : VERDICT_FAIL,
                    m->path_exists ? "%s is here" : "%s does not exist", m->name);
        if (!m->path_exists)
            finding_remedy(list, "put the model there, or name a repository of the hub");
    }
    if (!can_write(list, CHECK_DISK_HF_HOME, d, VERDICT_FAIL,
                   "HF_HOME must be on a disk that root may write; set it to such a path"))
        return;
    if (d->total == 0)
        finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_OK,
                    "%s can be written; its free space is not known", d->path);
    else if (m->is_path)
        finding_add(list, CHECK_DISK_HF_HOME, d->variable, VERDICT_OK,
                    "%s can be written, %" PRIu64 " GB are free", d->path, d->free / GB);
    else
        judge_room(list, d, m);
}

void judge_frp_config_dir(struct findings *list, const struct directory_facts *d)
{
    if (can_write(list, CHECK_DISK_FRP_CONFIG_DIR, d, VERDICT_WARN,
                  "mlgate runs without it, but a restarted container then waits for its ports; set "
                  "FRP_CONFIG_DIR to a directory that root may write"))
        finding_add(list, CHECK_DISK_FRP_CONFIG_DIR, d->variable, VERDICT_OK,
                    d->exists ? "%s can be written" : "%s can be made", d->path);
}

void judge_log_dir(struct findings *list, const struct directory_facts *d, bool test)
{
    if (!test)
        finding_add(list, CHECK_DISK_LOG_DIR, d->variable, VERDICT_SKIP,
                    "only the test servers (UBUNTU_TEST) write there");
    else if (can_write(list, CHECK_DISK_LOG_DIR, d, VERDICT_WARN,
                       "the test servers run without their logs; set LOG_DIR to a directory that "
                       "root may write"))
        finding_add(list, CHECK_DISK_LOG_DIR, d->variable, VERDICT_OK,
                    d->exists ? "%s can be written" : "%s can be made", d->path);
}

/* ---- memory, GPUs, descriptors --------------------------------------------------------------- */

void judge_shm(struct findings *list, const struct host_facts *f)
{
    uint64_t mib = f->shm_bytes / MIB;

    if (f->shm && (f->tensor_parallel_size == 1 || mib >= CHECK_SHM_MIB)) {
        finding_add(list, CHECK_SHM, NULL, VERDICT_OK,
                    "/dev/shm has %" PRIu64 " MiB, TENSOR_PARALLEL_SIZE is %d", mib,
                    f->tensor_parallel_size);
        return;
    }
    if (!f->shm)
        finding_add(list, CHECK_SHM, NULL, VERDICT_WARN, "/dev/shm is not there");
    else
        finding_add(list, CHECK_SHM, NULL, VERDICT_WARN,
                    "/dev/shm has %" PRIu64 " MiB; with TENSOR_PARALLEL_SIZE=%d the engine's "
                    "processes want %d",
                    mib, f->tensor_parallel_size, CHECK_SHM_MIB);
    finding_remedy(list, "docker run --shm-size=16g or --ipc=host; where the platform sets it, "
                         "choose a larger machine, or TENSOR_PARALLEL_SIZE=1");
}

static void no_gpu(struct findings *list, const struct host_facts *f)
{
    if (f->test) {
        finding_add(list, CHECK_GPU, NULL, VERDICT_SKIP,
                    "the test servers (UBUNTU_TEST) need no GPU");
        return;
    }
    finding_add(list, CHECK_GPU, NULL, VERDICT_FAIL,
                f->gpu_drivers > 0 ? "the driver has GPUs, and no /dev/nvidia0 is in this container"
                                   : "no GPU is here");
    finding_remedy(list, "docker run --gpus all, with the NVIDIA container toolkit on the host; "
                         "UBUNTU_TEST=true runs without a GPU");
}

void judge_gpu(struct findings *list, const struct host_facts *f)
{
    unsigned wanted = (unsigned)f->tensor_parallel_size;

    if (f->gpu_devices == 0) {
        no_gpu(list, f);
    } else if (f->gpu_devices < wanted) {
        finding_add(list, CHECK_GPU, NULL, VERDICT_FAIL,
                    "%u GPU%s here, and TENSOR_PARALLEL_SIZE=%u wants that many for one engine",
                    f->gpu_devices, f->gpu_devices == 1 ? " is" : "s are", wanted);
        finding_remedy(list, "set TENSOR_PARALLEL_SIZE to at most %u, or rent more GPUs",
                       f->gpu_devices);
    } else if (f->gpu_devices % wanted != 0) {
        finding_add(list, CHECK_GPU, NULL, VERDICT_WARN,
                    "%u GPUs are here, %u for each engine (TENSOR_PARALLEL_SIZE): %u stay idle",
                    f->gpu_devices, wanted, f->gpu_devices % wanted);
        finding_remedy(list, "choose a TENSOR_PARALLEL_SIZE that divides the number of GPUs");
    } else {
        finding_add(list, CHECK_GPU, NULL, VERDICT_OK, "%u GPU%s here, %u for each engine",
                    f->gpu_devices, f->gpu_devices == 1 ? " is" : "s are", wanted);
    }
}

void judge_open_files(struct findings *list, uint64_t limit, uint64_t wanted)
{
    if (limit >= wanted) {
        finding_add(list, CHECK_OPEN_FILES, NULL, VERDICT_OK, "%" PRIu64 " are allowed", limit);
        return;
    }
    finding_add(list, CHECK_OPEN_FILES, NULL, VERDICT_WARN,
                "%" PRIu64 " are allowed; each user takes one, %" PRIu64 " are enough for a busy "
                "node",
                limit, wanted);
    finding_remedy(list, "docker run --ulimit nofile=65536; with systemd LimitNOFILE=65536; else "
                         "ulimit -Hn");
}

/* ---- what protects --------------------------------------------------------------------------- */

void judge_bind_guard(struct findings *list, const char *path, const char *why)
{
    if (path != NULL) {
        finding_add(list, CHECK_BIND_GUARD, NULL, VERDICT_OK, "%s", path);
        return;
    }
    finding_add(list, CHECK_BIND_GUARD, NULL, VERDICT_WARN, "it cannot be put in place: %s", why);
    finding_remedy(list, "MLNode's ports 5000 and 5001 and up will be open on every address: let "
                         "the platform publish none of them, or make /run or /tmp writable and "
                         "executable");
}

/* One finding for each line. */
void judge_sandbox(struct findings *list, const char *warnings, bool off)
{
    if (off) {
        finding_add(list, CHECK_SANDBOX, NULL, VERDICT_WARN,
                    "SANDBOX=off: what hears from the network keeps all rights of this container");
        finding_remedy(list, "leave SANDBOX out");
        return;
    }
    if (*warnings == '\0')
        finding_add(list, CHECK_SANDBOX, NULL, VERDICT_OK,
                    "the worker can give up its identity, files and system calls here");
    while (*warnings != '\0') {
        size_t len = strcspn(warnings, "\n");

        finding_add(list, CHECK_SANDBOX, NULL, VERDICT_WARN, "%.*s", (int)len, warnings);
        finding_remedy(list, "the worker runs without this protection; a container started by "
                             "root, on a kernel since 5.13, has all of it");
        warnings += len + (warnings[len] == '\n');
    }
}
