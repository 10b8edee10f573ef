/* What the container has for MLNode and for us: room, memory, GPUs, descriptors, rights. Pure. */
#ifndef CHECK_JUDGE_HOST_H
#define CHECK_JUDGE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/finding.h"

enum {
    CHECK_SHM_MIB = 8 * 1024,   /* NCCL's buffers between the GPUs of one engine */
    CHECK_CLIENT_FILES = 4096,  /* one for each user, engine and file */
    CHECK_SERVER_FILES = 16384, /* one for each user of each client */
};

/* A directory that somebody will write into. */
struct directory_facts {
    const char *variable;
    const char *path;
    bool exists;
    bool is_directory;
    bool writable;  /* or, where it does not exist, can be made */
    int error;      /* errno of what failed; 0: nothing did */
    uint64_t total; /* bytes of its file system; 0: not known */
    uint64_t free;  /* that we may use */
};

struct model_facts {
    const char *name;
    bool given; /* MODEL_NAME is set: it will be fetched */
    bool is_path;
    bool path_exists;
    bool complete;  /* in HF_HOME, and nothing of it is under way */
    uint64_t bytes; /* in HF_HOME already */
};

struct host_facts {
    bool test; /* UBUNTU_TEST: no model, no GPU */
    int tensor_parallel_size;
    unsigned gpu_devices; /* /dev/nvidia0 ... */
    unsigned gpu_drivers; /* entries of /proc/driver/nvidia/gpus */
    bool shm;
    uint64_t shm_bytes;
    uint64_t open_files; /* the hard limit */
};

/* About how many bytes a model's weights have, by what its name says ("32B", "FP8"); 0: it says
 * nothing. */
uint64_t judge_model_bytes(const char *name);

void judge_hf_home(struct findings *list, const struct directory_facts *d,
                   const struct model_facts *m, bool test);
void judge_frp_config_dir(struct findings *list, const struct directory_facts *d);
void judge_log_dir(struct findings *list, const struct directory_facts *d, bool test);
void judge_shm(struct findings *list, const struct host_facts *f);
void judge_gpu(struct findings *list, const struct host_facts *f);
void judge_open_files(struct findings *list, uint64_t limit, uint64_t wanted);
/* `path`: where the guard is or would be; NULL: nowhere, for the reason `why`. */
void judge_bind_guard(struct findings *list, const char *path, const char *why);
/* `warnings`: what a trial of the sandbox said, a line each; "" when all could be given up. */
void judge_sandbox(struct findings *list, const char *warnings, bool off);

#endif
