/* Where the guard's file is put. What it does once it is loaded: tests/e2e/test_bind_guard.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "container/bind_guard.h"
#include "container/bind_guard_image.h"

#define NAME "mlgate-bind.so"

struct dirs {
    char base[64];
    char image[96]; /* the first directory, which is never written */
    char own[96];
    const char *list[3];
    char path[BIND_GUARD_PATH_MAX];
    char why[256];
};

static int dirs_make(void **state)
{
    struct dirs *d = mem_zalloc(sizeof(*d));

    snprintf(d->base, sizeof(d->base), "/tmp/test_bind_guard.XXXXXX");
    if (mkdtemp(d->base) == NULL)
        return -1;
    snprintf(d->image, sizeof(d->image), "%s/image", d->base);
    snprintf(d->own, sizeof(d->own), "%s/own", d->base);
    d->list[0] = d->image;
    d->list[1] = d->own;
    *state = d;
    return 0;
}

static int dirs_remove(void **state)
{
    struct dirs *d = *state;

    for (size_t i = 0; d->list[i]; i++) {
        char file[128];

        snprintf(file, sizeof(file), "%s/" NAME, d->list[i]);
        unlink(file);
        remove(d->list[i]);
    }
    rmdir(d->base);
    mem_free(d);
    return 0;
}

static int place(struct dirs *d)
{
    return bind_guard_place(d->list, d->path, d->why, sizeof(d->why));
}

static void put(const char *dir, const void *data, size_t len)
{
    char why[256];
    char file[128];

    assert_int_equal(file_store(dir, NAME, data, len, why, sizeof(why)), 0);
    snprintf(file, sizeof(file), "%s/" NAME, dir);
    chmod(dir, 0755);
    chmod(file, 0644);
}

static void assert_in(const struct dirs *d, const char *dir)
{
    char expected[128];
    char *data;
    char why[256];
    struct stat st;
    size_t len;

    snprintf(expected, sizeof(expected), "%s/" NAME, dir);
    assert_string_equal(d->path, expected);
    assert_int_equal(file_read(d->path, 1 << 20, &data, &len, why, sizeof(why)), 0);
    assert_int_equal(len, bind_guard_image_size);
    assert_memory_equal(data, bind_guard_image, len);
    assert_int_equal(stat(d->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    mem_free(data);
}

static void test_written(void **state)
{
    struct dirs *d = *state;
    struct stat before, after;

    umask(077);
    assert_int_equal(place(d), 0);
    umask(022);
    assert_in(d, d->own);
    assert_int_not_equal(access(d->image, F_OK), 0);
    /* a second start writes nothing */
    assert_int_equal(stat(d->path, &before), 0);
    assert_int_equal(place(d), 0);
    assert_int_equal(stat(d->path, &after), 0);
    assert_true(before.st_ino == after.st_ino);
}

static void test_the_images_file_is_used(void **state)
{
    struct dirs *d = *state;

    put(d->image, bind_guard_image, bind_guard_image_size);
    assert_int_equal(place(d), 0);
    assert_in(d, d->image);
    assert_int_not_equal(access(d->own, F_OK), 0);
}

static void test_another_file_is_not(void **state)
{
    struct dirs *d = *state;
    char *changed = mem_alloc(bind_guard_image_size);

    memcpy(changed, bind_guard_image, bind_guard_image_size);
    changed[bind_guard_image_size / 2] ^= 1;
    put(d->image, changed, bind_guard_image_size);
    put(d->own, bind_guard_image, bind_guard_image_size - 1);
    mem_free(changed);
    assert_int_equal(place(d), 0);
    assert_in(d, d->own);
}

static void test_what_others_may_write_is_not(void **state)
{
    struct dirs *d = *state;
    char file[128];

    put(d->image, bind_guard_image, bind_guard_image_size);
    snprintf(file, sizeof(file), "%s/" NAME, d->image);
    chmod(file, 0664);
    assert_int_equal(place(d), 0);
    assert_in(d, d->own);
    chmod(file, 0644);
    assert_int_equal(place(d), 0);
    assert_in(d, d->image);
    chmod(d->image, 0777);
    assert_int_equal(place(d), 0);
    assert_in(d, d->own);
    chmod(d->own, 0777);
    assert_int_equal(place(d), ERR_IO);
    assert_string_equal(d->path, "");
    assert_non_null(strstr(d->why, d->own));
}

static void test_a_link_is_not_followed(void **state)
{
    struct dirs *d = *state;
    char target[128];

    snprintf(target, sizeof(target), "%s/elsewhere", d->base);
    assert_int_equal(mkdir(target, 0755), 0);
    assert_int_equal(symlink(target, d->own), 0);
    assert_int_equal(place(d), ERR_IO);
    assert_non_null(strstr(d->why, "no directory"));
    rmdir(target);
}

static void test_a_directory_that_allows_no_execution(void **state)
{
    struct dirs *d = *state;

    if (mkdir(d->own, 0755) != 0 || mount("none", d->own, "tmpfs", MS_NOEXEC, "mode=755") != 0) {
        print_message("no mount here (%m)\n");
        skip();
    }
    assert_int_equal(place(d), ERR_IO);
    umount(d->own);
    assert_non_null(strstr(d->why, "noexec"));
}

static void test_ports_in_words(void **state)
{
    const struct port_range ranges[] = {{5000, 5128}, {8080, 8080}};
    char *text = bind_guard_ports(ranges, 2);

    assert_string_equal(text, "5000-5128,8080-8080");
    mem_free(text);
    text = bind_guard_ports(ranges, 0);
    assert_string_equal(text, "");
    mem_free(text);
}

#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, dirs_make, dirs_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRS(test_written),
        WITH_DIRS(test_the_images_file_is_used),
        WITH_DIRS(test_another_file_is_not),
        WITH_DIRS(test_what_others_may_write_is_not),
        WITH_DIRS(test_a_link_is_not_followed),
        WITH_DIRS(test_a_directory_that_allows_no_execution),
        cmocka_unit_test(test_ports_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
