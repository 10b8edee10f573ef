/* Disk, GPUs, ports and the network node: facts in, findings out; and the facts themselves, where a
 * directory can stand for the machine. */
#include "findings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "check/judge_host.h"
#include "check/look_host.h"

#define MANY(rows) (sizeof(rows) / sizeof((rows)[0]))
#define GB         ((uint64_t)1000 * 1000 * 1000)

/* ---- judgements ------------------------------------------------------------------------------ */

static void test_size_by_name(void **state)
{
    static const struct {
        const char *name;
        uint64_t gb;
    } rows[] = {
        {"Qwen/Qwen3-32B-FP8", 32},
        {"Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", 235},
        {"meta/Llama-3.3-70B-Instruct", 140},
        {"Qwen/Qwen2.5-7B-Instruct-AWQ", 3},
        {"org/model-1.5B", 3},
        {"org/model-0.5b-gptq", 0},
        {"moonshotai/Kimi-K2.6", 0},
        {"org/v2B2", 0},
        {"org/x32B", 0},
        {"org/99999999999999999999B", 0},
        {"32", 0},
        {"", 0},
    };

    for (size_t i = 0; i < MANY(rows); i++)
        assert_int_equal(judge_model_bytes(rows[i].name) / GB, rows[i].gb);
}

static struct directory_facts disk(uint64_t total_gb, uint64_t free_gb)
{
    return (struct directory_facts){.variable = "HF_HOME",
                                    .path = "/data",
                                    .exists = true,
                                    .is_directory = true,
                                    .writable = true,
                                    .total = total_gb * GB,
                                    .free = free_gb * GB};
}

static void test_room(void **state)
{
    static const struct {
        uint64_t total;
        uint64_t free;
        uint64_t has;
        const char *name;
        bool complete;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {1000, 500, 0, "Qwen/Qwen3-32B-FP8", false, VERDICT_OK, "about 32 GB"},
        /* the last fifth stays free */
        {100, 52, 0, "Qwen/Qwen3-32B-FP8", false, VERDICT_OK, "about 32 GB"},
        {100, 51, 0, "Qwen/Qwen3-32B-FP8", false, VERDICT_FAIL, "may take 31 GB"},
        {100, 40, 12, "Qwen/Qwen3-32B-FP8", false, VERDICT_OK, "about 20 GB"},
        {100, 19, 0, "org/who-knows", false, VERDICT_FAIL, "19 GB free"},
        {100, 50, 0, "org/who-knows", false, VERDICT_OK, "not known"},
        {100, 5, 32, "Qwen/Qwen3-32B-FP8", true, VERDICT_OK, "Qwen/Qwen3-32B-FP8 is there (32 GB)"},
        {0, 0, 0, "Qwen/Qwen3-32B-FP8", false, VERDICT_OK, "free space is not known"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        struct directory_facts d = disk(rows[i].total, rows[i].free);
        const struct model_facts m = {.name = rows[i].name,
                                      .given = true,
                                      .complete = rows[i].complete,
                                      .bytes = rows[i].has * GB};
        struct findings list = {0};

        judge_hf_home(&list, &d, &m, false);
        expect_finding(&list, CHECK_DISK_HF_HOME, rows[i].verdict, rows[i].found, NULL);
    }
}

static void test_hf_home_itself(void **state)
{
    const struct model_facts hub = {.name = "org/m-1B", .given = true};
    const struct model_facts unnamed = {.name = "Qwen/Qwen3-32B-FP8"};
    const struct model_facts path = {.name = "/models/m", .is_path = true, .path_exists = true};
    const struct model_facts gone = {.name = "/models/m", .is_path = true};
    const struct expected with_path[] = {
        {CHECK_DISK_HF_HOME, VERDICT_OK, "/models/m is here", NULL},
        {CHECK_DISK_HF_HOME, VERDICT_OK, "can be written", NULL}};
    const struct expected without[] = {
        {CHECK_DISK_HF_HOME, VERDICT_FAIL, "/models/m does not exist", "put the model"},
        {CHECK_DISK_HF_HOME, VERDICT_OK, "can be written", NULL}};
    struct directory_facts d = disk(100, 50);
    struct findings list = {0};

    judge_hf_home(&list, &d, &hub, true);
    expect_finding(&list, CHECK_DISK_HF_HOME, VERDICT_SKIP, "UBUNTU_TEST", NULL);
    judge_hf_home(&list, &d, &path, false);
    expect_findings(&list, with_path, 2);
    judge_hf_home(&list, &d, &gone, false);
    expect_findings(&list, without, 2);
    judge_hf_home(&list, &d, &unnamed, false);
    expect_finding(&list, CHECK_DISK_HF_HOME, VERDICT_OK, "no model is named", NULL);
    d.free = 19 * GB;
    judge_hf_home(&list, &d, &unnamed, false);
    expect_finding(&list, CHECK_DISK_HF_HOME, VERDICT_FAIL, "less than 20 %", "HF_HOME");
    d.writable = false;
    d.error = EROFS;
    judge_hf_home(&list, &d, &hub, false);
    expect_finding(&list, CHECK_DISK_HF_HOME, VERDICT_FAIL, "Read-only", "HF_HOME");
    d.is_directory = false;
    judge_hf_home(&list, &d, &hub, false);
    expect_finding(&list, CHECK_DISK_HF_HOME, VERDICT_FAIL, "no directory", "HF_HOME");
}

static void test_other_directories(void **state)
{
    struct directory_facts d = disk(100, 50);
    struct findings list = {0};

    judge_frp_config_dir(&list, &d);
    expect_finding(&list, CHECK_DISK_FRP_CONFIG_DIR, VERDICT_OK, "can be written", NULL);
    judge_log_dir(&list, &d, false);
    expect_finding(&list, CHECK_DISK_LOG_DIR, VERDICT_SKIP, "UBUNTU_TEST", NULL);
    judge_log_dir(&list, &d, true);
    expect_finding(&list, CHECK_DISK_LOG_DIR, VERDICT_OK, "can be written", NULL);
    d.free = 0;
    judge_frp_config_dir(&list, &d);
    expect_finding(&list, CHECK_DISK_FRP_CONFIG_DIR, VERDICT_WARN, "cannot be written: No space",
                   "FRP_CONFIG_DIR");
    d.total = 0; /* not known */
    d.exists = false;
    judge_frp_config_dir(&list, &d);
    expect_finding(&list, CHECK_DISK_FRP_CONFIG_DIR, VERDICT_OK, "can be made", NULL);
    d.writable = false;
    d.error = EACCES;
    judge_frp_config_dir(&list, &d);
    expect_finding(&list, CHECK_DISK_FRP_CONFIG_DIR, VERDICT_WARN, "cannot be made: Permission",
                   "FRP_CONFIG_DIR");
    judge_log_dir(&list, &d, true);
    expect_finding(&list, CHECK_DISK_LOG_DIR, VERDICT_WARN, "cannot be made", "LOG_DIR");
}

static void test_shm(void **state)
{
    static const struct {
        bool there;
        uint64_t mib;
        int size;
        enum verdict verdict;
    } rows[] = {
        {true, 64, 1, VERDICT_OK},   {true, 64, 2, VERDICT_WARN}, {true, 8191, 4, VERDICT_WARN},
        {true, 8192, 4, VERDICT_OK}, {false, 0, 1, VERDICT_WARN}, {false, 0, 2, VERDICT_WARN},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        const struct host_facts f = {.shm = rows[i].there,
                                     .shm_bytes = rows[i].mib << 20,
                                     .tensor_parallel_size = rows[i].size};
        struct findings list = {0};

        judge_shm(&list, &f);
        expect_finding(&list, CHECK_SHM, rows[i].verdict, "/dev/shm",
                       rows[i].verdict == VERDICT_WARN ? "--shm-size" : NULL);
    }
}

static void test_gpu(void **state)
{
    static const struct {
        unsigned devices;
        unsigned drivers;
        int size;
        bool test;
        enum verdict verdict;
        const char *found;
    } rows[] = {
        {8, 8, 4, false, VERDICT_OK, "8 GPUs are here, 4"},
        {1, 1, 1, false, VERDICT_OK, "1 GPU is here"},
        {1, 8, 2, false, VERDICT_FAIL, "1 GPU is here"},
        {3, 3, 2, false, VERDICT_WARN, "1 stay idle"},
        {0, 0, 1, false, VERDICT_FAIL, "no GPU is here"},
        {0, 4, 1, false, VERDICT_FAIL, "the driver has GPUs"},
        {0, 0, 1, true, VERDICT_SKIP, "UBUNTU_TEST"},
    };

    for (size_t i = 0; i < MANY(rows); i++) {
        const struct host_facts f = {.gpu_devices = rows[i].devices,
                                     .gpu_drivers = rows[i].drivers,
                                     .tensor_parallel_size = rows[i].size,
                                     .test = rows[i].test};
        struct findings list = {0};

        judge_gpu(&list, &f);
        expect_finding(&list, CHECK_GPU, rows[i].verdict, rows[i].found, NULL);
    }
}

static void test_what_protects(void **state)
{
    const struct expected two[] = {
        {CHECK_SANDBOX, VERDICT_WARN, "no Landlock here", "without this protection"},
        {CHECK_SANDBOX, VERDICT_WARN, "not filtered", "without this protection"}};
    struct findings list = {0};

    judge_open_files(&list, 4096, CHECK_CLIENT_FILES);
    expect_finding(&list, CHECK_OPEN_FILES, VERDICT_OK, "4096", NULL);
    judge_open_files(&list, 4095, CHECK_CLIENT_FILES);
    expect_finding(&list, CHECK_OPEN_FILES, VERDICT_WARN, "4095", "--ulimit");
    judge_bind_guard(&list, "it is at /x", "");
    expect_finding(&list, CHECK_BIND_GUARD, VERDICT_OK, "/x", NULL);
    judge_bind_guard(&list, NULL, "noexec");
    expect_finding(&list, CHECK_BIND_GUARD, VERDICT_WARN, "noexec", "5000");
    judge_sandbox(&list, "", false);
    expect_finding(&list, CHECK_SANDBOX, VERDICT_OK, "can give up", NULL);
    judge_sandbox(&list, "", true);
    expect_finding(&list, CHECK_SANDBOX, VERDICT_WARN, "SANDBOX=off", "leave SANDBOX out");
    judge_sandbox(&list, "no Landlock here\ncalls are not filtered\n", false);
    expect_findings(&list, two, 2);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static char *made(const char *dir, const char *name, size_t size)
{
    char *path = mem_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    if (size > 0)
        assert_int_equal(posix_fallocate(fd, 0, (off_t)size), 0);
    close(fd);
    return path;
}

static void make_file(const char *dir, const char *name, size_t size)
{
    mem_free(made(dir, name, size));
}

static char *make_dir(const char *dir, const char *name)
{
    char *path = mem_printf("%s/%s", dir, name);

    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static int set_up(void **state)
{
    char *dir = mem_printf("%s/mlgate-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");

    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int tear_down(void **state)
{
    char *command[] = {"rm", "-rf", *state, NULL};
    pid_t pid = fork();

    if (pid == 0) {
        execvp(command[0], command);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    mem_free(*state);
    return 0;
}

static void test_looks_at_directories(void **state)
{
    char *file = made(*state, "file", 10);
    char *below = mem_printf("%s/below", file);
    char *missing = mem_printf("%s/a/b/c", (char *)*state);
    struct directory_facts d = {.path = *state};

    look_directory(&d);
    assert_true(d.exists && d.is_directory && d.writable && d.total > 0 && d.total >= d.free);
    d = (struct directory_facts){.path = missing};
    look_directory(&d);
    assert_true(!d.exists && d.writable && d.total > 0);
    d = (struct directory_facts){.path = file};
    look_directory(&d);
    assert_true(d.exists && !d.is_directory);
    d = (struct directory_facts){.path = below};
    look_directory(&d);
    assert_true(!d.writable && d.error == ENOTDIR);
    d = (struct directory_facts){.path = "/proc/sys/none"};
    look_directory(&d);
    assert_false(d.writable);
    assert_int_equal(access(missing, F_OK), -1); /* looked at, not made */
    mem_free(file);
    mem_free(below);
    mem_free(missing);
}

static void test_looks_at_models(void **state)
{
    enum { SIZE = 1 << 20 };
    char *hub = make_dir(*state, "hub");
    char *model = make_dir(hub, "models--org--m");
    char *blobs = make_dir(model, "blobs");
    char *snapshots = make_dir(model, "snapshots");
    struct model_facts m;
    char *snapshot;
    char *partial;

    look_model(*state, "org/other", &m);
    assert_true(!m.complete && m.bytes == 0);
    make_file(blobs, "aa", SIZE);
    make_file(blobs, "bb.incomplete", SIZE);
    look_model(*state, "org/m", &m);
    assert_true(!m.complete);
    assert_in_range(m.bytes, 2 * SIZE, 2 * SIZE + 65536);
    snapshot = make_dir(snapshots, "0123");
    make_file(snapshot, "config.json", 0);
    look_model(*state, "org/m", &m);
    assert_false(m.complete); /* one blob is still under way */
    partial = mem_printf("%s/bb.incomplete", blobs);
    assert_int_equal(unlink(partial), 0);
    mem_free(partial);
    look_model(*state, "org/m", &m);
    assert_true(m.complete);
    look_model(*state, *state, &m);
    assert_true(m.is_path && m.path_exists);
    look_model(*state, "/nowhere/at/all", &m);
    assert_true(m.is_path && !m.path_exists);
    mem_free(hub);
    mem_free(model);
    mem_free(blobs);
    mem_free(snapshots);
    mem_free(snapshot);
}

static void test_looks_at_the_machine(void **state)
{
    static const char *const names[] = {"nvidia0",    "nvidia1", "nvidia11", "nvidiactl",
                                        "nvidia-uvm", "nvidia",  "nvidia0x"};
    char *dev = make_dir(*state, "dev");
    char *driver = make_dir(*state, "driver");
    char *nvidia = make_dir(driver, "nvidia");
    char *gpus = make_dir(nvidia, "gpus");
    struct host_facts f = {0};

    for (size_t i = 0; i < MANY(names); i++)
        make_file(dev, names[i], 0);
    mem_free(make_dir(gpus, "0000:01:00.0"));
    look_host(dev, *state, &f);
    assert_int_equal(f.gpu_devices, 3);
    assert_int_equal(f.gpu_drivers, 1);
    assert_false(f.shm);
    assert_true(f.open_files > 0);
    mem_free(make_dir(dev, "shm"));
    look_host(dev, *state, &f);
    assert_true(f.shm && f.shm_bytes > 0);
    mem_free(dev);
    mem_free(driver);
    mem_free(nvidia);
    mem_free(gpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_by_name),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_hf_home_itself),
        cmocka_unit_test(test_other_directories),
        cmocka_unit_test(test_shm),
        cmocka_unit_test(test_gpu),
        cmocka_unit_test(test_what_protects),
        cmocka_unit_test_setup_teardown(test_looks_at_directories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looks_at_models, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_looks_at_the_machine, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
