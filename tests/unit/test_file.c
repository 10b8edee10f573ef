/* Reading what may be no file at all. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/file.h"
#include "net/tls.h"

enum { ENOUGH = 60 }; /* seconds: only against hanging */

struct place {
    char directory[64];
    char fifo[80];
};

static int make(void **state)
{
    static struct place place;

    snprintf(place.directory, sizeof(place.directory), "/tmp/mlgate-test-XXXXXX");
    if (mkdtemp(place.directory) == NULL)
        return -1;
    snprintf(place.fifo, sizeof(place.fifo), "%s/fifo", place.directory);
    alarm(ENOUGH);
    *state = &place;
    return mkfifo(place.fifo, 0600);
}

static int clear(void **state)
{
    const struct place *place = *state;

    alarm(0);
    remove(place->fifo);
    return rmdir(place->directory);
}

static void expect_text(const char *path, const char *expected)
{
    char why[200] = "";
    char *data;
    size_t len;

    if (file_read(path, 1000, &data, &len, why, sizeof(why)) != 0)
        fail_msg("%s: %s", path, why);
    assert_string_equal(data, expected);
    assert_int_equal(len, strlen(expected));
    mem_free(data);
}

static void expect_error(const char *path, int code, const char *text)
{
    char why[200] = "";
    char *data;
    size_t len;

    assert_int_equal(file_read(path, 1000, &data, &len, why, sizeof(why)), code);
    if (strstr(why, text) == NULL)
        fail_msg("%s: %s", path, why);
}

static void a_pipe_that_nobody_fills(void **state)
{
    const struct place *place = *state;

    expect_error(place->fifo, ERR_IO, "into which nobody writes");
}

/* Its writer comes when it likes: opening waits for us, and we wait for it. */
static void a_pipe_that_is_filled(void **state)
{
    const struct place *place = *state;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int fd = open(place->fifo, O_WRONLY);
        bool well = write(fd, "one ", 4) == 4 && write(fd, "two", 3) == 3;

        _exit(well ? 0 : 1);
    }
    assert_true(pid > 0);
    expect_text(place->fifo, "one two");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* As a shell's <(...) makes it. */
static void a_descriptor_of_ours(void **state)
{
    int ends[2];
    char path[32];

    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    assert_int_equal(write(ends[1], "secret", 6), 6);
    close(ends[1]);
    expect_text(path, "secret");
    close(ends[0]);
}

static void devices_and_directories(void **state)
{
    const struct place *place = *state;

    expect_text("/dev/null", "");
    expect_error("/dev/zero", ERR_LIMIT, "longer than 1000 bytes");
    expect_error(place->directory, ERR_IO, "directory");
}

/* What the TLS library would open by itself. */
static void a_pipe_for_tls(void **state)
{
    const struct place *place = *state;
    const struct tls_client_options o = {.ca_file = place->fifo};
    char error[200] = "";

    assert_null(tls_context_client(&o, error, sizeof(error)));
    assert_non_null(strstr(error, "is a pipe, and must be a file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pipe_that_nobody_fills, make, clear),
        cmocka_unit_test_setup_teardown(a_pipe_that_is_filled, make, clear),
        cmocka_unit_test_setup_teardown(a_descriptor_of_ours, make, clear),
        cmocka_unit_test_setup_teardown(devices_and_directories, make, clear),
        cmocka_unit_test_setup_teardown(a_pipe_for_tls, make, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
