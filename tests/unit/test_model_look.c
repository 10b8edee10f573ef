/* What of a model is on disk, and which tools there are. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "container/model_internal.h"

struct tree {
    char root[64];
};

static const char *path(const struct tree *t, const char *name)
{
    static char out[512];

    snprintf(out, sizeof(out), "%s/%s", t->root, name);
    return out;
}

static void make_dirs(const struct tree *t, const char *name)
{
    char command[600];

    snprintf(command, sizeof(command), "mkdir -p '%s'", path(t, name));
    assert_int_equal(system(command), 0);
}

/* `written` bytes with content, up to `size`. */
static void make_file(const struct tree *t, const char *name, off_t size, size_t written)
{
    char *content = calloc(1, written + 1);
    int fd = open(path(t, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    memset(content, 'x', written);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, written), written);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
    free(content);
}

static void make_script(const struct tree *t, const char *name, const char *first_line, mode_t mode)
{
    FILE *file = fopen(path(t, name), "w");

    assert_non_null(file);
    fprintf(file, "%s\n", first_line);
    fclose(file);
    assert_int_equal(chmod(path(t, name), mode), 0);
}

static int set_up(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));

    strcpy(t->root, "/tmp/mlgate-test-XXXXXX");
    *state = t;
    return mkdtemp(t->root) == NULL;
}

static int tear_down(void **state)
{
    struct tree *t = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", t->root);
    free(t);
    return system(command);
}

static void bytes_of_a_model(void **state)
{
    struct tree *t = *state;

    assert_int_equal(model_bytes(t->root, "org/name"), 0);
    assert_false(model_cached(t->root, "org/name"));
    make_dirs(t, "models--org--name/blobs");
    make_dirs(t, "models--org--name/refs");
    make_dirs(t, "models--org--other/blobs");
    make_dirs(t, "models--name/blobs");
    make_file(t, "models--org--other/blobs/a", 7, 7);
    make_file(t, "models--name/blobs/a", 100, 100);
    make_file(t, "models--org--name/refs/main", 40, 40);
    assert_int_equal(model_bytes(t->root, "org/name"), 0);
    make_file(t, "models--org--name/blobs/a", 1000, 1000);
    make_file(t, "models--org--name/blobs/b.incomplete", 300, 300);
    assert_int_equal(model_bytes(t->root, "org/name"), 1300);
    assert_int_equal(model_bytes(t->root, "name"), 100);
    assert_int_equal(model_bytes(t->root, "org/other"), 7);
}

/* Written in several places at once: what has no blocks is not there. */
static void a_file_with_holes(void **state)
{
    struct tree *t = *state;

    make_dirs(t, "models--org--name/blobs");
    make_file(t, "models--org--name/blobs/a.incomplete", 1 << 30, 4096);
    assert_true(model_bytes(t->root, "org/name") < 1 << 20);
    make_file(t, "models--org--name/blobs/a", 1 << 30, 4096); /* one that is whole is believed */
    assert_true(model_bytes(t->root, "org/name") >= 1 << 30);
}

static void a_whole_model(void **state)
{
    struct tree *t = *state;

    make_dirs(t, "models--org--name/blobs");
    make_dirs(t, "models--org--name/snapshots/5b6a");
    make_file(t, "models--org--name/blobs/a", 10, 10);
    assert_false(model_cached(t->root, "org/name"));
    assert_int_equal(symlink("../../blobs/a", path(t, "models--org--name/snapshots/5b6a/a")), 0);
    assert_true(model_cached(t->root, "org/name"));
    assert_int_equal(model_bytes(t->root, "org/name"), 10); /* not twice */
    make_file(t, "models--org--name/blobs/b.incomplete", 0, 0);
    assert_false(model_cached(t->root, "org/name"));
}

/* Where links cannot be made the library puts the files themselves there. */
static void a_cache_without_links(void **state)
{
    struct tree *t = *state;

    make_dirs(t, "models--org--name/snapshots/5b6a/sub");
    make_file(t, "models--org--name/snapshots/5b6a/a", 10, 10);
    make_file(t, "models--org--name/snapshots/5b6a/sub/b", 20, 20);
    assert_int_equal(model_bytes(t->root, "org/name"), 30);
    assert_true(model_cached(t->root, "org/name"));
}

/* Parts that no later download takes up: gone once their file is there, or once they are old and
 * nobody has their lock. */
static void what_killed_downloads_leave(void **state)
{
    struct tree *t = *state;
    const char *const parts[] = {"aa.0123abcd.incomplete", "bb.0123abcd.incomplete",
                                 "cc.0123abcd.incomplete", "dd.0123abcd.incomplete"};
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char name[128];
    int lock;

    make_dirs(t, "models--org--name/blobs");
    make_dirs(t, ".locks/models--org--name");
    assert_int_equal(model_leftovers(t->root, "org/name", true), 0);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "models--org--name/blobs/%s", parts[i]);
        make_file(t, name, 100, 100);
        if (i >= 2)
            assert_int_equal(utimensat(AT_FDCWD, path(t, name), old, 0), 0);
    }
    make_file(t, "models--org--name/blobs/aa", 5, 5);            /* aa came otherwise */
    make_file(t, "models--org--name/blobs/ee.incomplete", 7, 7); /* this one is taken up */
    make_file(t, "models--org--name/blobs/ff.0123abcx.incomplete", 7, 7);
    make_file(t, ".locks/models--org--name/dd.lock", 0, 0); /* somebody downloads dd */
    lock = open(path(t, ".locks/models--org--name/dd.lock"), O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(model_leftovers(t->root, "org/name", false), 400);
    assert_int_equal(model_leftovers(t->root, "org/name", true), 200); /* bb is young, dd held */
    assert_int_equal(model_bytes(t->root, "org/name"), 200 + 5 + 7 + 7);
    close(lock);
    assert_int_equal(model_leftovers(t->root, "org/name", true), 100);
    assert_int_equal(access(path(t, "models--org--name/blobs/bb.0123abcd.incomplete"), F_OK), 0);
}

/* Links that lead to themselves, and a depth that no repository has. */
static void a_hostile_cache(void **state)
{
    struct tree *t = *state;
    char deep[300] = "models--org--name/blobs";

    make_dirs(t, deep);
    assert_int_equal(symlink("..", path(t, "models--org--name/blobs/up")), 0);
    assert_int_equal(symlink("/", path(t, "models--org--name/blobs/root")), 0);
    for (int i = 0; i < 40; i++)
        strcat(deep, "/d");
    make_dirs(t, deep);
    make_file(t, "models--org--name/blobs/d/a", 5, 5);
    strcat(deep, "/a");
    make_file(t, deep, 9, 9);
    assert_int_equal(model_bytes(t->root, "org/name"), 5);
}

static void where_the_cache_is(void **state)
{
    char out[MLNODE_PATH_MAX];
    char *const plain[] = {(char[]){"HF_HOME=/data"}, NULL};
    char *const old[] = {(char[]){"HF_HOME=/data"}, (char[]){"HUGGINGFACE_HUB_CACHE=/old"}, NULL};
    char *const both[] = {(char[]){"HF_HOME=/data"}, (char[]){"HUGGINGFACE_HUB_CACHE=/old"},
                          (char[]){"HF_HUB_CACHE=/cache"}, NULL};
    char longest[MLNODE_PATH_MAX + 16] = "HF_HOME=/";
    char *const too_long[] = {longest, NULL};

    assert_true(model_cache_dir(plain, MODEL_BY_HF, out));
    assert_string_equal(out, "/data/hub");
    assert_true(model_cache_dir(old, MODEL_BY_HF, out));
    assert_string_equal(out, "/old");
    assert_true(model_cache_dir(both, MODEL_BY_PYTHON, out));
    assert_string_equal(out, "/cache");
    assert_true(model_cache_dir(both, MODEL_BY_MLNODE, out)); /* it looks nowhere else */
    assert_string_equal(out, "/data/hub");
    memset(longest + 9, 'x', sizeof(longest) - 10);
    assert_false(model_cache_dir(too_long, MODEL_BY_HF, out));
}

static void space_above_what_is_missing(void **state)
{
    struct tree *t = *state;
    struct model_space here = model_space_at(t->root);
    struct model_space there = model_space_at(path(t, "not/yet/there"));

    assert_true(here.total > 0);
    assert_int_equal(here.total, there.total);
    assert_true(model_space_at("").total > 0);
}

static void tools_of_the_image(void **state)
{
    struct tree *t = *state;
    struct model_tools tools;
    char variable[600];
    char *const envp[] = {variable, (char[]){"VLLM_PYTHON_PATH=/nowhere/python"}, NULL};
    char line[300];

    make_dirs(t, "a");
    make_dirs(t, "b");
    snprintf(variable, sizeof(variable), "PATH=%s/a:%s/b:relative", t->root, t->root);
    model_tools_look(envp, &tools);
    assert_string_equal(tools.hf, "");
    assert_string_equal(tools.hf_cli, "");
    assert_int_equal(tools.n_pythons, 0);

    make_script(t, "a/hf", "#!/bin/sh", 0644); /* cannot be run */
    make_script(t, "b/python3", "#!/bin/sh", 0755);
    make_script(t, "b/python3.9", "#!/bin/sh", 0755);
    snprintf(line, sizeof(line), "#! %s/b/python3.9 -E", t->root);
    make_script(t, "b/hf", line, 0755);
    make_script(t, "b/huggingface-cli", "#!/usr/bin/env ruby", 0755);
    model_tools_look(envp, &tools);
    assert_string_equal(tools.hf, path(t, "b/hf"));
    assert_string_equal(tools.hf_cli, path(t, "b/huggingface-cli"));
    assert_int_equal(tools.n_pythons, 2); /* the tool's own first */
    assert_string_equal(tools.python[0], path(t, "b/python3.9"));
    assert_string_equal(tools.python[1], path(t, "b/python3"));
}

static void switches(void **state)
{
    char *const envp[] = {(char[]){"A=1"},
                          (char[]){"B=ON"},
                          (char[]){"C=True"},
                          (char[]){"D=yes"},
                          (char[]){"E=0"},
                          (char[]){"F="},
                          NULL};

    for (const char *on = "ABCD"; *on; on++)
        assert_true(model_switch_is_on(envp, (char[]){*on, '\0'}));
    for (const char *off = "EFG"; *off; off++)
        assert_false(model_switch_is_on(envp, (char[]){*off, '\0'}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_of_a_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_with_holes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_whole_model, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cache_without_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_killed_downloads_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hostile_cache, set_up, tear_down),
        cmocka_unit_test(where_the_cache_is),
        cmocka_unit_test_setup_teardown(space_above_what_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tools_of_the_image, set_up, tear_down),
        cmocka_unit_test(switches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
