/* The door for local operators. That it survives a former life, and what stands in its place, is in
 * test_health.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "observe/door.h"

enum { ENOUGH = 30, /* seconds: only against hanging */ PATIENCE_MS = 10000, SHORT_MS = 50 };

struct place {
    char directory[64];
    char path[80];
};

static int make(void **state)
{
    static struct place place;

    snprintf(place.directory, sizeof(place.directory), "/tmp/mlgate-test-XXXXXX");
    if (mkdtemp(place.directory) == NULL)
        return -1;
    snprintf(place.path, sizeof(place.path), "%s/a.sock", place.directory);
    alarm(ENOUGH);
    *state = &place;
    return 0;
}

static int clear(void **state)
{
    const struct place *place = *state;

    alarm(0);
    remove(place->path);
    return rmdir(place->directory);
}

/* Lets one in and says `len` bytes of x; the asker hears at most `max`. */
static ssize_t hear(const struct door *door, const char *path, size_t len, size_t max)
{
    int asker = door_knock(path, PATIENCE_MS);
    int other = door_accept(door->fd, door->owner);
    char *text = NULL;
    ssize_t n;
    pid_t pid;

    assert_true(asker >= 0 && other >= 0);
    pid = fork();
    if (pid == 0) {
        char *said = mem_alloc(len);

        memset(said, 'x', len);
        for (size_t at = 0; at < len;) {
            ssize_t sent = send(other, said + at, len - at, MSG_NOSIGNAL);

            if (sent < 0 && errno != EAGAIN)
                break; /* heard enough */
            at += sent > 0 ? (size_t)sent : 0;
        }
        _exit(0);
    }
    close(other);
    n = door_hear(asker, max, PATIENCE_MS, &text);
    close(asker);
    waitpid(pid, NULL, 0);
    if (n >= 0) {
        assert_int_equal(strlen(text), n);
        assert_int_equal(strspn(text, "x"), n);
    } else {
        assert_null(text);
    }
    mem_free(text);
    return n;
}

static void all_is_heard_up_to_the_limit(void **state)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 8192, 8193, 99999, 100000};
    const struct place *place = *state;
    struct door door;

    assert_int_equal(door_open(&door, place->path), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(hear(&door, place->path, sizes[i], 100000), sizes[i]);
    assert_int_equal(hear(&door, place->path, 100001, 100000), -EMSGSIZE);
    assert_int_equal(hear(&door, place->path, 3, 2), -EMSGSIZE);
    assert_int_equal(hear(&door, place->path, 2, 2), 2);
    door_close(&door);
}

static void silence_is_a_refusal_and_has_a_limit(void **state)
{
    const struct place *place = *state;
    struct door door;
    char *text;
    int asker;
    int other;

    assert_int_equal(door_open(&door, place->path), 0);
    asker = door_knock(place->path, PATIENCE_MS);
    other = door_accept(door.fd, door.owner);
    assert_int_equal(door_hear(asker, 10, SHORT_MS, &text), -ETIMEDOUT);
    close(other);
    assert_int_equal(door_hear(asker, 10, PATIENCE_MS, &text), -EACCES);
    close(asker);
    assert_int_equal(door_accept(door.fd, door.owner), -1);
    door_close(&door);
}

static void only_root_and_the_owner_are_let_in(void **state)
{
    const struct place *place = *state;
    struct door door;
    int status;
    pid_t pid;

    if (geteuid() != 0)
        skip();
    assert_int_equal(door_open(&door, place->path), 0);
    chmod(place->directory, 0755);
    for (int owner = 0; owner < 2; owner++) {
        door.owner = owner == 0 ? 0 : 65534;
        chmod(place->path, 0666); /* what the file's mode keeps out is not the question here */
        pid = fork();
        if (pid == 0)
            _exit(setuid(65534) != 0 || door_knock(place->path, PATIENCE_MS) != -EPERM);
        waitpid(pid, &status, 0);
        int other = door_accept(door.fd, door.owner);

        assert_int_equal(other >= 0, owner == 1);
        if (other >= 0)
            close(other);
    }
    door_close(&door);
}

/* Each look sends some away and comes to an end, though there are more. */
static void a_crowd_of_strangers_has_an_end(void **state)
{
    enum { CROWD = 40 }; /* more than are sent away at once */
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct door door = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    int ends[2];
    int asker;

    snprintf(at.sun_path + 1, sizeof(at.sun_path) - 1, "crowd-%d", (int)getpid());
    assert_int_equal(bind(door.fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(door.fd, CROWD + 1), 0);
    assert_int_equal(pipe(ends), 0);
    if (geteuid() != 0)
        skip();
    if (fork() == 0) {
        int rc = setuid(65534);

        for (int i = 0; i < CROWD && rc == 0; i++)
            rc = connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&at, sizeof(at));
        _exit(write(ends[1], &rc, sizeof(rc)) < 0);
    }
    assert_int_equal(read(ends[0], &asker, sizeof(asker)), sizeof(asker));
    assert_int_equal(asker, 0);
    wait(NULL);
    asker = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(asker, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(door_accept(door.fd, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(door_accept(door.fd, 0) >= 0); /* the asker, behind what was left of the crowd */
    assert_int_equal(door_accept(door.fd, 0), -1);
    close(asker);
    close(door.fd);
}

static void others_cannot_even_knock(void **state)
{
    const struct place *place = *state;
    struct door door;
    struct stat st;

    assert_int_equal(door_open(&door, place->path), 0);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(door_is_ours(place->path));
    door_close(&door);
    assert_false(door_is_ours(place->path));
    assert_int_equal(stat(place->path, &st), -1);
    assert_int_equal(door_knock(place->path, PATIENCE_MS), -ENOENT);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    const struct place *place = *state;
    FILE *file = fopen(place->path, "w");
    struct door door;
    struct stat st;

    assert_non_null(file);
    fputs("somebody's", file);
    fclose(file);
    assert_int_equal(door_open(&door, place->path), 0);
    assert_string_equal(door.path, "");
    assert_int_equal(hear(&door, place->path, 5, 10), 5);
    door_close(&door);
    assert_int_equal(stat(place->path, &st), 0);
    assert_int_equal(st.st_size, 10);
}

static void names_without_a_file_and_long_ones(void **state)
{
    char name[64];
    char path[400];
    struct door door;
    struct door second;

    snprintf(name, sizeof(name), "@test-%d", (int)getpid());
    snprintf(path, sizeof(path), "/tmp/%0300d", (int)getpid());
    assert_int_equal(door_open(&door, name), 0);
    assert_int_equal(door_open(&second, name), -EADDRINUSE);
    assert_int_equal(second.fd, -1);
    assert_int_equal(hear(&door, name, 5, 10), 5);
    door_close(&door);
    assert_int_equal(door_knock(name, PATIENCE_MS), -ECONNREFUSED);
    assert_int_equal(door_open(&door, path), 0);
    assert_int_equal(hear(&door, path, 5, 10), 5);
    door_close(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_heard_up_to_the_limit, make, clear),
        cmocka_unit_test_setup_teardown(silence_is_a_refusal_and_has_a_limit, make, clear),
        cmocka_unit_test_setup_teardown(only_root_and_the_owner_are_let_in, make, clear),
        cmocka_unit_test(a_crowd_of_strangers_has_an_end),
        cmocka_unit_test_setup_teardown(others_cannot_even_knock, make, clear),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_socket_stays, make, clear),
        cmocka_unit_test(names_without_a_file_and_long_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
